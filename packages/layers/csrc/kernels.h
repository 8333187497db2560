// Convolution over a kernel map, compiled once for each instruction set.
#pragma once
#include <cstdint>

namespace spikevox {

constexpr int64_t kNoList = -1;

// A tile is a run of target rows; its pairs of one kernel offset lie together, target rows ascending, none twice.
struct PairLists {
  int64_t tile_rows;
  int64_t tiles;
  int64_t targets;
  int64_t volume;
  const int64_t* starts;   // (tiles * volume + 1): pairs of tile t and list k begin at [t * volume + k]
  const int32_t* sources;  // row that is read
  const int32_t* rows;     // row that is written
  // Lists belong to the kernel offsets in order, or from the last to the first: so a map of sites onto themselves serves
  // its own transpose.
  bool mirrored;
  // The list that has a pair for every row of every tile, as the centre of a submanifold convolution has it; or kNoList. It
  // hangs on the map alone, not on what a tile happens to hold: so the order of a row's sums does not hang on other rows.
  int64_t covering;
  int64_t pairs() const { return starts[tiles * volume]; }
  int64_t offset(int64_t list) const { return mirrored ? volume - 1 - list : list; }
};

// Events of one row.
struct Span {
  uint32_t begin, end;
};

// Events are read in groups of this many: behind the last event of a row there are zeros up to a whole group, and a row
// without events has a group of zeros: so that rows with about as many events take the same branches.
constexpr int kGroup = 4;

// Values that are not zero; those of a row lie together, channels ascending.
template <class T>
struct Events {
  const Span* rows;
  const uint16_t* channels;
  const T* values;
};

// Room to sort the events of some pairs by channel.
template <class T>
struct ChannelLists {
  struct Entry {
    uint32_t at;  // where the row of the gradient begins, from the tile's first
    T value;
  };
  int64_t pairs;     // so many at a time
  uint32_t* counts;  // of each channel
  Entry* entries;    // (channels, pairs)
};

// How a membrane becomes spikes: kPlain not at all, kInteger floor(clamp(u, 0, levels) + 0.5), kStep u >= threshold,
// kRectified max(u, 0).
struct SpikeRule {
  enum Kind : int32_t { kPlain = -1, kInteger = 0, kStep = 1, kRectified = 2 };
  int32_t kind;
  double parameter;  // levels, or threshold
};

template <class T>
struct Kernels {
  int width;  // values in a vector; columns of weights, results and gradients are padded to a multiple of it
  // y[rows] += x[sources] W[k] for one tile, whose first row is y. Where a list covers the tile, every row begins from `start`
  // (columns), from zeros where that is null, and what stood in y does not count. weight is (volume, panels, in_channels,
  // panel): the columns of a kernel offset in panels that stay in the first cache, the last one maybe narrower.
  void (*tile_from_events)(const PairLists&, int64_t tile, const T* start, const Events<T>&, const T* weight,
                           int64_t in_channels, int64_t columns, int64_t panel, T* y);
  // x has rows of x_stride values, of which in_channels are read; weight is (volume, in_channels, columns).
  void (*tile_from_values)(const PairLists&, int64_t tile, const T* start, const T* x, int64_t x_stride, const T* weight,
                           int64_t in_channels, int64_t columns, T* y);
  // The events of `count` rows of a table after a rule, from entry `at` on: those of a row are followed by zeros up to a
  // whole group. Behind the last row there is room for `channels` rounded up to a whole vector.
  void (*encode_rows)(const SpikeRule&, const T* rows, int64_t stride, int64_t count, int64_t channels, int64_t at,
                      Span* spans, uint16_t* numbers, T* values);
  // result = the rule on a membrane.
  void (*fire)(const SpikeRule&, int64_t count, const T* membrane, T* result);
  // Sum of degree * events over rows.
  int64_t (*weighted_count)(const Span* rows, const int32_t* degree, int64_t count);
  void (*add)(const T* other, int64_t count, T* row);                      // row += other
  void (*scale)(const T* factor, const T* shift, int64_t count, T* row);  // row = row * factor + shift
  // result (in_channels, columns) += gradient of the weight of one list's kernel offset from one tile; `fresh`: = .
  void (*gradient_from_events)(const PairLists&, int64_t tile, int64_t list, const Events<T>&, int64_t in_channels,
                               const T* grad, int64_t columns, bool fresh, const ChannelLists<T>&, T* result);
  void (*gradient_from_values)(const PairLists&, int64_t tile, int64_t list, const T* x, int64_t in_channels,
                               const T* grad, int64_t columns, bool fresh, T* result);
  // Of a run of rows (rows, channels): mean of each channel and its centred squares.
  void (*moments)(const T* x, int64_t rows, int64_t channels, T* mean, T* squares);
  // Of a run of rows: sums of grad and of grad (x - mean).
  void (*gradient_sums)(const T* grad, const T* x, const T* mean, int64_t rows, int64_t channels, T* plain, T* weighted);
  // result = x factor + shift, and + other where that is given.
  void (*affine)(const T* x, const T* factor, const T* shift, const T* other, int64_t rows, int64_t channels, T* result);
  // result = grad of_grad + x of_x + shift.
  void (*affine_pair)(const T* grad, const T* x, const T* of_grad, const T* of_x, const T* shift, int64_t rows,
                      int64_t channels, T* result);
  // Of at most 2^31 - 1 values; returns how many are not 0.
  int64_t (*integer_spikes)(T levels, int64_t count, const T* membrane, T* spikes);
  // Its gradient, in place: kept where 0 < membrane < levels, else 0.
  void (*mask_gradient)(T levels, int64_t count, const T* membrane, T* grad);
  // result (columns, stride) = the turned table (rows, columns), in its first `rows` columns.
  void (*turn)(const T* table, int64_t rows, int64_t columns, int64_t stride, T* result);
};

struct KernelTable {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;
};

extern const KernelTable kPortable;
#ifdef SPIKEVOX_X86
extern const KernelTable kAvx2;
extern const KernelTable kAvx512;
#endif

}  // namespace spikevox
