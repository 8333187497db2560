// Convolutions and their gradients on one instruction set, over threads.
#pragma once
#include <cstdint>

#include "events.h"
#include "kernel_map.h"
#include "kernels.h"

namespace spikevox {

// Share of values that are not zero above which going through plain rows is faster than through events: for narrow results
// the cost of an event is finding it. `vectors` are those of a row of the result.
inline double dense_from(int64_t vectors) { return vectors == 1 ? 0.2 : vectors == 2 ? 0.5 : 0.7; }

inline int64_t padded(int64_t columns, int width) { return (columns + width - 1) / width * width; }

// result (targets, out_channels) = sum over pairs of x[source] W[offset]. Reads `events` where they are given and sparse
// enough to pay, else the plain `x`. weight is (volume, in_channels, out_channels).
template <class T>
void convolve(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
              int64_t in_channels, const T* weight, int64_t out_channels, T* result, int threads);

// result (volume, in_channels, out_channels) = sum over pairs of x[source]^T grad[target].
template <class T>
void weight_gradient(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>& events, const T* grad,
                     int64_t out_channels, T* result, int threads);

}  // namespace spikevox
