// Convolutions and their gradients on one instruction set, over threads.
#pragma once
#include <cstdint>
#include <vector>

#include "kernel_map.h"
#include "kernels.h"

namespace spikevox {

// Owns the values of a feature table (rows, channels) that are not zero.
template <class T>
struct EventTable {
  EventTable(const T* values, int64_t rows, int64_t channels, int threads);
  Events<T> view() const { return {starts.data(), numbers.data(), values.data()}; }
  int64_t count() const { return starts.back(); }

  int64_t rows, channels;
  std::vector<int64_t> starts;
  std::vector<uint16_t> numbers;
  std::vector<T> values;
};

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
