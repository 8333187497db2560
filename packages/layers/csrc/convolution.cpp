#include "convolution.h"

#include <algorithm>

#include "parallel.h"

namespace spikevox {
namespace {

constexpr int64_t kRowsOfTask = 4096;
// Share of values that are not zero above which going through plain rows is faster than through events: for narrow results
// the cost of an event is finding it.
double dense_from(int64_t vectors) { return vectors == 1 ? 0.2 : vectors == 2 ? 0.5 : 0.7; }

int64_t padded(int64_t columns, int width) { return (columns + width - 1) / width * width; }

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
EventTable<T>::EventTable(const T* table, int64_t row_count, int64_t channel_count, int threads)
    : rows(row_count), channels(channel_count), starts(row_count + 1, 0) {
  const int64_t tasks = (rows + kRowsOfTask - 1) / kRowsOfTask;
  auto each_task = [&](auto&& visit) {
    parallel_for(tasks, threads, [&](int64_t task) {
      for (int64_t r = task * kRowsOfTask; r < std::min(rows, (task + 1) * kRowsOfTask); ++r) visit(r);
    });
  };
  each_task([&](int64_t r) {
    int64_t found = 0;
    for (int64_t c = 0; c < channels; ++c) found += table[r * channels + c] != 0;
    starts[r + 1] = found;
  });
  for (int64_t r = 0; r < rows; ++r) starts[r + 1] += starts[r];
  numbers.resize(starts.back());
  values.resize(starts.back());
  each_task([&](int64_t r) {
    int64_t at = starts[r];
    const int64_t end = starts[r + 1];
    // Written first, kept only where it counts: no branch that a processor would guess wrong.
    for (int64_t c = 0; at < end; ++c) {
      const T value = table[r * channels + c];
      numbers[at] = static_cast<uint16_t>(c);
      values[at] = value;
      at += value != 0;
    }
  });
}

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
  const bool sparse = events && events->count() <= dense_from(wide / kernels.width) * events->rows * events->channels;
  parallel_for(lists.tiles, threads, [&](int64_t tile) {
    if (sparse)
      kernels.tile_from_events(lists, tile, events->view(), padded_weight, in_channels, wide, y);
    else
      kernels.tile_from_values(lists, tile, x, padded_weight, in_channels, wide, y);
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
    kept_result.resize(lists.volume * events.channels * wide);
    y = kept_result.data();
  }
  parallel_for(lists.volume, threads, [&](int64_t k) {
    kernels.weight_gradient(lists, k, events.view(), padded_grad, events.channels, wide, y + k * events.channels * wide);
  });
  if (wide != out_channels) unpad(kept_result, lists.volume * events.channels, out_channels, wide, result);
}

template struct EventTable<float>;
template struct EventTable<double>;
template void convolve(const Kernels<float>&, const PairLists&, const EventTable<float>*, const float*, int64_t,
                       const float*, int64_t, float*, int);
template void convolve(const Kernels<double>&, const PairLists&, const EventTable<double>*, const double*, int64_t,
                       const double*, int64_t, double*, int);
template void weight_gradient(const Kernels<float>&, const PairLists&, const EventTable<float>&, const float*, int64_t,
                              float*, int);
template void weight_gradient(const Kernels<double>&, const PairLists&, const EventTable<double>&, const double*,
                              int64_t, double*, int);

}  // namespace spikevox
