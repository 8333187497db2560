// Batch normalisation over rows, and the spikes of integer neurons, for training.
#pragma once
#include <cstdint>

#include "kernels.h"

namespace spikevox {

// Statistics of each channel of a table; `variance` is the biased one.
struct Statistics {
  double* mean;
  double* variance;
};

// Rows are gone through in runs of fixed size whose totals are joined in double and in order: any number of threads gives
// the same bits. There is at least one row.
template <class T>
void statistics(const Kernels<T>& kernels, const T* x, int64_t rows, int64_t channels, Statistics result, int threads);

// result = (x - mean) / sqrt(variance + eps) * weight + bias, and + shortcut where that is given.
template <class T>
void normalise(const Kernels<T>& kernels, const T* x, int64_t rows, int64_t channels, Statistics of_x, double eps,
               const T* weight, const T* bias, const T* shortcut, T* result, int threads);

// Gradients of the input (rows, channels), of the weight and of the bias (channels each).
template <class T>
void normalise_gradient(const Kernels<T>& kernels, const T* grad, const T* x, int64_t rows, int64_t channels,
                        Statistics of_x, double eps, const T* weight, T* of_input, T* of_weight, T* of_bias, int threads);

// spikes = floor(clamp(membrane, 0, levels) + 0.5); returns how many are not 0.
template <class T>
int64_t fire_integers(const Kernels<T>& kernels, const T* membrane, int64_t count, double levels, T* spikes, int threads);

}  // namespace spikevox
