// Convolution over a kernel map, compiled once for each instruction set.
#pragma once
#include <cstdint>

namespace spikevox {

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
  int64_t offset(int64_t list) const { return mirrored ? volume - 1 - list : list; }
};

// Values that are not zero, row after row, channels ascending.
template <class T>
struct Events {
  const int64_t* starts;  // (rows + 1)
  const uint16_t* channels;
  const T* values;
};

template <class T>
struct Kernels {
  int width;  // values in a vector; columns of weights, results and gradients are padded to a multiple of it
  // y[rows] += x[sources] W[k] for one tile, which starts at 0; weight is (volume, in_channels, columns).
  void (*tile_from_events)(const PairLists&, int64_t tile, const Events<T>&, const T* weight, int64_t in_channels,
                           int64_t columns, T* y);
  void (*tile_from_values)(const PairLists&, int64_t tile, const T* x, const T* weight, int64_t in_channels,
                           int64_t columns, T* y);
  // gradient (in_channels, columns) of one kernel offset, which starts at 0.
  void (*weight_gradient)(const PairLists&, int64_t offset, const Events<T>&, const T* grad, int64_t in_channels,
                          int64_t columns, T* result);
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
