#include "convolution.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "buffer.h"
#include "parallel.h"

namespace spikevox {
namespace {

// Events of a chunk of pairs, sorted by channel, have room for this many entries: they stay in the first cache.
constexpr int64_t kEntries = 4096;
constexpr int64_t kLeastPairs = 16;

template <class T>
class ChannelRoom {
 public:
  explicit ChannelRoom(int64_t channels)
      : pairs_(std::clamp(kEntries / channels, kLeastPairs, kTileRows)),
        counts_(channels),
        entries_(new typename ChannelLists<T>::Entry[channels * pairs_]) {}
  ChannelLists<T> lists() { return {pairs_, counts_.data(), entries_.get()}; }

 private:
  int64_t pairs_;
  std::vector<uint32_t> counts_;
  std::unique_ptr<typename ChannelLists<T>::Entry[]> entries_;
};

// Groups of kernel offsets that threads share out in a weight gradient.
constexpr int64_t kOffsetGroups = 4;

// The table with its columns filled up with zeros to whole vectors; `kept` owns it where it had to be made.
template <class T>
const T* pad(const T* table, int64_t rows, int64_t columns, int64_t wide, AlignedVector<T>& kept) {
  if (wide == columns) return table;
  kept.assign(rows * wide, 0);
  for (int64_t r = 0; r < rows; ++r) std::copy(table + r * columns, table + (r + 1) * columns, kept.data() + r * wide);
  return kept.data();
}

// Weights that a gradient goes back through are turned: all of them first, or, where there are few tiles to use them, each
// when it is needed, while it is at hand.
constexpr int64_t kFewTiles = 2;

template <class T>
void turn(const Kernels<T>& kernels, const T* weight, int64_t volume, int64_t rows, int64_t columns, int64_t wide, T* result) {
  if (wide != rows) std::fill(result, result + volume * columns * wide, T(0));
  for (int64_t k = 0; k < volume; ++k)
    kernels.turn(weight + k * rows * columns, rows, columns, wide, result + k * columns * wide);
}

// One list of one tile, as lists of their own.
PairLists single(const PairLists& lists, int64_t tile, int64_t list) {
  return {lists.tile_rows, lists.tiles, lists.targets, 1, lists.starts + tile * lists.volume + list - tile, lists.sources,
          lists.rows,      false,       list == lists.covering ? 0 : kNoList};
}

template <class T>
void turned_tile(const Kernels<T>& kernels, const PairLists& lists, int64_t tile, const T* x, int64_t in_channels,
                 const T* weight, int64_t out_channels, int64_t wide, T* rows) {
  static thread_local Buffer<T> turned;
  const int64_t size = in_channels * out_channels, *starts = lists.starts + tile * lists.volume;
  auto add = [&](int64_t list) {
    if (starts[list] == starts[list + 1]) return;
    T* kernel = turned.reserve(in_channels * wide);
    turn(kernels, weight + lists.offset(list) * size, 1, out_channels, in_channels, wide, kernel);
    kernels.tile_from_values(single(lists, tile, list), tile, nullptr, x, in_channels, kernel, in_channels, wide, rows);
  };
  if (lists.covering != kNoList) add(lists.covering);
  for (int64_t list = 0; list < lists.volume; ++list)
    if (list != lists.covering) add(list);
}

template <class T>
void unpad(const T* table, int64_t rows, int64_t columns, int64_t wide, T* result) {
  for (int64_t r = 0; r < rows; ++r) std::copy(table + r * wide, table + r * wide + columns, result + r * columns);
}

}  // namespace

template <class T>
void convolve(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
              int64_t in_channels, const T* weight, bool turned, int64_t out_channels, T* result, int threads,
              const Finish& finish) {
  const int64_t wide = padded(out_channels, kernels.width);
  AlignedVector<T> kept_weight, kept_result;
  const bool late = turned && lists.tiles <= kFewTiles;
  const T* padded_weight = weight;
  if (turned && !late) {
    // Kept for the next call: so large a piece of memory would be asked of the system each time.
    static thread_local Buffer<T> turned_weight;
    T* to = turned_weight.reserve(lists.volume * in_channels * wide);
    turn(kernels, weight, lists.volume, out_channels, in_channels, wide, to);
    padded_weight = to;
  } else if (!turned) {
    padded_weight = pad(weight, lists.volume * in_channels, out_channels, wide, kept_weight);
  }
  T* y = result;
  if (wide != out_channels) {
    kept_result.resize(lists.targets * wide);
    y = kept_result.data();
  }
  const bool sparse =
      events && events_pay(wide / kernels.width, lists.pairs(), events->count(), events->rows(), events->channels());
  parallel_for(lists.tiles, threads, [&](int64_t tile) {
    const int64_t first = tile * lists.tile_rows, last = std::min(lists.targets, first + lists.tile_rows);
    T* rows = y + first * wide;
    if (lists.covering == kNoList) std::fill(rows, y + last * wide, T(0));
    if (late)
      turned_tile(kernels, lists, tile, x, in_channels, weight, out_channels, wide, rows);
    else if (sparse)
      kernels.tile_from_events(lists, tile, nullptr, events->view(), padded_weight, in_channels, wide, wide, rows);
    else
      kernels.tile_from_values(lists, tile, nullptr, x, in_channels, padded_weight, in_channels, wide, rows);
    if (wide != out_channels) unpad(rows, last - first, out_channels, wide, result + first * out_channels);
    if (finish) finish(first, last - first);
  });
}

template <class T>
void weight_gradient(const Kernels<T>& kernels, const PairLists& lists, const EventTable<T>* events, const T* x,
                     int64_t in_channels, const T* grad, int64_t out_channels, T* result, int threads) {
  const int64_t wide = padded(out_channels, kernels.width);
  AlignedVector<T> kept_grad, kept_result;
  const T* padded_grad = pad(grad, lists.targets, out_channels, wide, kept_grad);
  T* y = result;
  if (wide != out_channels) {
    kept_result.resize(lists.volume * in_channels * wide);
    y = kept_result.data();
  }
  const int64_t size = in_channels * wide;
  const bool sparse = events && gradient_events_pay(in_channels, events->count(), events->rows() * in_channels);
  auto add = [&](int64_t tile, int64_t list, ChannelRoom<T>& room) {
    T* offset = y + lists.offset(list) * size;
    if (sparse)
      kernels.gradient_from_events(lists, tile, list, events->view(), in_channels, padded_grad, wide, tile == 0,
                                   room.lists(), offset);
    else
      kernels.gradient_from_values(lists, tile, list, x, in_channels, padded_grad, wide, tile == 0, offset);
  };
  parallel_for(std::min(lists.volume, kOffsetGroups), threads, [&](int64_t group) {
    ChannelRoom<T> room(sparse ? in_channels : 1);
    const bool few = lists.tiles <= kFewTiles;
    // Where there are few tiles the result of an offset is the larger part: it is finished while it is at hand. Else the rows
    // of a tile serve all its offsets.
    for (int64_t list = group; few && list < lists.volume; list += kOffsetGroups)
      for (int64_t tile = 0; tile < lists.tiles; ++tile) add(tile, list, room);
    for (int64_t tile = 0; !few && tile < lists.tiles; ++tile)
      for (int64_t list = group; list < lists.volume; list += kOffsetGroups) add(tile, list, room);
  });
  if (!lists.tiles) std::fill_n(y, lists.volume * size, T(0));
  if (wide != out_channels) unpad(kept_result.data(), lists.volume * in_channels, out_channels, wide, result);
}

template void convolve(const Kernels<float>&, const PairLists&, const EventTable<float>*, const float*, int64_t,
                       const float*, bool, int64_t, float*, int, const Finish&);
template void convolve(const Kernels<double>&, const PairLists&, const EventTable<double>*, const double*, int64_t,
                       const double*, bool, int64_t, double*, int, const Finish&);
template void weight_gradient(const Kernels<float>&, const PairLists&, const EventTable<float>*, const float*, int64_t,
                              const float*, int64_t, float*, int);
template void weight_gradient(const Kernels<double>&, const PairLists&, const EventTable<double>*, const double*, int64_t,
                              const double*, int64_t, double*, int);

}  // namespace spikevox
