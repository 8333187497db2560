// Convolutions and their gradients on one instruction set, over threads.
#pragma once
#include <cstdint>
#include <functional>

#include "events.h"
#include "kernel_map.h"
#include "kernels.h"

namespace spikevox {

// Share of values that are not zero above which going through plain rows is faster than through events: for narrow results
// the cost of an event is finding it. `vectors` are those of a row of the result.
constexpr double dense_from(int64_t vectors) { return vectors == 1 ? 0.1 : vectors == 2 ? 0.5 : 0.7; }

// A row that few pairs read, each for a few vectors, is multiplied in the time that its events take to be found.
constexpr double kWorthFinding = 3;

// Whether a table of which `count` of `rows` x `channels` values are not zero is gone through by its events, in `pairs` pairs.
inline bool events_pay(int64_t vectors, int64_t pairs, int64_t count, int64_t rows, int64_t channels) {
  const double share = static_cast<double>(count) / static_cast<double>(rows * channels);
  return share <= dense_from(vectors) &&
         (1 - share) * static_cast<double>(vectors * pairs) > kWorthFinding * static_cast<double>(rows);
}

// The same for the gradient of a weight.
constexpr int64_t kNarrow = 32;
inline bool gradient_events_pay(int64_t in_channels, int64_t count, int64_t values) {
  return in_channels > kNarrow && 2 * count <= values;
}

inline int64_t padded(int64_t columns, int width) { return (columns + width - 1) / width * width; }

// Called with the first of a tile's rows and their number when these are done, while they are at hand; by several threads.
using Finish = std::function<void(int64_t first, int64_t rows)>;

// result (targets, out_channels) = sum over pairs of x[source] W[offset]. Reads `events` where they are given and sparse
// enough to pay, else the plain `x`. weight is (volume, in_channels, out_channels), or where `turned` (volume, out_channels,
// in_channels).
template <class T>
void convolve(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
              int64_t in_channels, const T* weight, bool turned, int64_t out_channels, T* result, int threads,
              const Finish& finish = nullptr);

// result (volume, in_channels, out_channels) = sum over pairs of x[source]^T grad[target]; `events` are those of x, or null.
template <class T>
void weight_gradient(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
                     int64_t in_channels, const T* grad, int64_t out_channels, T* result, int threads);

}  // namespace spikevox
