#include "convolution.h"

#include <algorithm>
#include <vector>

#include "parallel.h"

namespace spikevox {
namespace {

// Groups of kernel offsets that threads share out in a weight gradient.
constexpr int64_t kOffsetGroups = 4;

// The table with its columns filled up with zeros to whole vectors; `kept` owns it where it had to be made.
template <class T>
const T* pad(const T* table, int64_t rows, int64_t columns, int64_t wide, std::vector<T>& kept) {
  if (wide == columns) return table;
  kept.assign(rows * wide, 0);
  for (int64_t r = 0; r < rows; ++r) std::copy(table + r * columns, table + (r + 1) * columns, kept.data() + r * wide);
  return kept.data();
}

template <class T>
void unpad(const std::vector<T>& table, int64_t rows, int64_t columns, int64_t wide, T* result) {
  for (int64_t r = 0; r < rows; ++r)
    std::copy(table.data() + r * wide, table.data() + r * wide + columns, result + r * columns);
}

}  // namespace

template <class T>
void convolve(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
              int64_t in_channels, const T* weight, int64_t out_channels, T* result, int threads) {
  const int64_t wide = padded(out_channels, kernels.width);
  std::vector<T> kept_weight, kept_result;
  const T* padded_weight = pad(weight, lists.volume * in_channels, out_channels, wide, kept_weight);
  T* y = result;
  if (wide != out_channels) {
    kept_result.resize(lists.targets * wide);
    y = kept_result.data();
  }
  const bool sparse = events && events->count() <= dense_from(wide / kernels.width) * events->rows() * events->channels();
  parallel_for(lists.tiles, threads, [&](int64_t tile) {
    const int64_t first = tile * lists.tile_rows, last = std::min(lists.targets, first + lists.tile_rows);
    T* rows = y + first * wide;
    std::fill(rows, y + last * wide, T(0));
    if (sparse)
      kernels.tile_from_events(lists, tile, events->view(), padded_weight, in_channels, wide, rows);
    else
      kernels.tile_from_values(lists, tile, x, in_channels, padded_weight, in_channels, wide, rows);
  });
  if (wide != out_channels) unpad(kept_result, lists.targets, out_channels, wide, result);
}

template <class T>
void weight_gradient(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>& events, const T* grad,
                     int64_t out_channels, T* result, int threads) {
  const int64_t wide = padded(out_channels, kernels.width);
  std::vector<T> kept_grad, kept_result;
  const T* padded_grad = pad(grad, lists.targets, out_channels, wide, kept_grad);
  T* y = result;
  if (wide != out_channels) {
    kept_result.resize(lists.volume * events.channels() * wide);
    y = kept_result.data();
  }
  const int64_t size = events.channels() * wide;
  std::fill(y, y + lists.volume * size, T(0));
  // Every group goes through all tiles, one after another: the rows of a tile serve all its offsets while they are at hand.
  parallel_for(std::min(lists.volume, kOffsetGroups), threads, [&](int64_t group) {
    for (int64_t tile = 0; tile < lists.tiles; ++tile)
      for (int64_t list = group; list < lists.volume; list += kOffsetGroups)
        kernels.weight_gradient(lists, tile, list, events.view(), padded_grad, wide, y + lists.offset(list) * size);
  });
  if (wide != out_channels) unpad(kept_result, lists.volume * events.channels(), out_channels, wide, result);
}

template void convolve(const Kernels<float>&, const PairLists&, const EventTable<float>*, const float*, int64_t,
                       const float*, int64_t, float*, int);
template void convolve(const Kernels<double>&, const PairLists&, const EventTable<double>*, const double*, int64_t,
                       const double*, int64_t, double*, int);
template void weight_gradient(const Kernels<float>&, const PairLists&, const EventTable<float>&, const float*, int64_t,
                              float*, int);
template void weight_gradient(const Kernels<double>&, const PairLists&, const EventTable<double>&, const double*,
                              int64_t, double*, int);

}  // namespace spikevox
