// The C interface of maps, convolutions and gradients.
#include "interface.h"

#include <algorithm>
#include <array>
#include <memory>

#include "convolution.h"
#include "kernel_map.h"
#include "packing.h"
#include "sites.h"

namespace spikevox {

const KernelTable* table_of(int level) {
#ifdef SPIKEVOX_X86
  if (level == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return &kAvx512;
  if (level == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kAvx2;
#endif
  return level == 0 ? &kPortable : nullptr;
}

template <class T>
const Kernels<T>& kernels_of(int level) {
  const KernelTable* table = table_of(level);
  require(table, "this processor lacks the instruction set that was asked for");
  if constexpr (sizeof(T) == sizeof(float))
    return table->f32;
  else
    return table->f64;
}

template const Kernels<float>& kernels_of<float>(int);
template const Kernels<double>& kernels_of<double>(int);

}  // namespace spikevox

using namespace spikevox;

namespace {

void check_channels(int64_t in_channels, int64_t out_channels) {
  require(in_channels > 0 && in_channels <= 65535 && out_channels > 0 && out_channels <= 65535,
          "channels must lie between 1 and 65535");
}

template <class T>
void run_convolution(int level, KernelMap& map, int transposed, const EventTable<T>* events, const T* x, int64_t rows,
                     int64_t in_channels, const T* weight, int turned, int64_t out_channels, T* result, int threads) {
  check_channels(in_channels, out_channels);
  require(rows == (transposed ? map.outputs() : map.inputs()), "the features have other rows than the kernel map");
  require(!events || (events->rows() == rows && events->channels() == in_channels), "events belong to other features");
  convolve(kernels_of<T>(level), map.lists(transposed), events, x, in_channels, weight, turned != 0, out_channels, result,
           threads);
}

template <class T>
void run_weight_gradient(int level, KernelMap& map, int transposed, const EventTable<T>* events, const T* x,
                         int64_t x_rows, int64_t in_channels, const T* grad, int64_t rows, int64_t out_channels, T* result,
                         int threads) {
  check_channels(in_channels, out_channels);
  require(x_rows == (transposed ? map.outputs() : map.inputs()), "the features have other rows than the kernel map");
  require(rows == (transposed ? map.inputs() : map.outputs()), "the gradient has other rows than the kernel map");
  require(!events || (events->rows() == x_rows && events->channels() == in_channels), "events belong to other features");
  weight_gradient(kernels_of<T>(level), map.lists(transposed), events, x, in_channels, grad, out_channels, result, threads);
}

}  // namespace

EXPORT int spikevox_interface_version() { return 5; }

EXPORT const char* spikevox_last_error() { return message.c_str(); }

// Name of an instruction set (0 portable, 1 avx2, 2 avx512), null where this processor or build lacks it.
EXPORT const char* spikevox_simd_name(int level) {
  const KernelTable* table = table_of(level);
  return table ? table->name : nullptr;
}

EXPORT int spikevox_map_new(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                            const int32_t* size, const int64_t* first, const int64_t* step, int trusted, int threads,
                            void** result) {
  return guarded([&] {
    require(input_count >= 0 && output_count >= 0 && input_count < (int64_t{1} << 31) &&
                output_count < (int64_t{1} << 31),
            "at most 2^31 - 1 sites");
    Geometry geometry;
    for (int a = 0; a < 3; ++a) {
      require(size[a] > 0 && step[a] > 0, "kernel size and step must be positive");
      geometry.size[a] = size[a];
      geometry.first[a] = first[a];
      geometry.step[a] = step[a];
    }
    *result = new KernelMap(inputs, input_count, outputs, output_count, geometry, threads, trusted != 0);
  });
}

EXPORT void spikevox_map_free(void* map) { delete static_cast<KernelMap*>(map); }

EXPORT int64_t spikevox_map_pairs(void* map) { return static_cast<KernelMap*>(map)->pairs(); }

// Pairs in order of offset, then output row.
EXPORT int spikevox_map_export(void* map, int64_t* offsets, int64_t* inputs, int64_t* outputs) {
  return guarded([&] {
    const PairLists lists = static_cast<KernelMap*>(map)->lists(false);
    int64_t at = 0;
    for (int64_t k = 0; k < lists.volume; ++k)
      for (int64_t tile = 0; tile < lists.tiles; ++tile)
        for (int64_t p = lists.starts[tile * lists.volume + k]; p < lists.starts[tile * lists.volume + k + 1]; ++p) {
          offsets[at] = k;
          inputs[at] = lists.sources[p];
          outputs[at++] = lists.rows[p];
        }
  });
}

// Output sites of a strided convolution; inputs ascend.
EXPORT int spikevox_sites_new(const int32_t* coordinates, int64_t count, const Striding* striding, void** result) {
  return guarded([&] {
    require(count >= 0 && count < (int64_t{1} << 31), "at most 2^31 - 1 sites");
    check_striding(*striding);
    *result = new SiteRows(strided(SiteRows(coordinates, coordinates + 4 * count), *striding));
  });
}

// The first row that does not come after the one before it; -1 where all ascend.
EXPORT int64_t spikevox_sites_disorder(const int32_t* coordinates, int64_t count) {
  return first_disorder(coordinates, count);
}

// The smallest and the largest (sample, x, y, z) of sites, four numbers each; zeros without a site.
EXPORT void spikevox_sites_bounds(const int32_t* coordinates, int64_t count, int64_t* box) {
  std::array<int64_t, 4> lower, upper;
  bounds(coordinates, count, lower, upper);
  std::copy(lower.begin(), lower.end(), box);
  std::copy(upper.begin(), upper.end(), box + 4);
}

EXPORT void spikevox_sites_free(void* sites) { delete static_cast<SiteRows*>(sites); }

EXPORT int64_t spikevox_sites_rows(void* sites) { return static_cast<int64_t>(static_cast<SiteRows*>(sites)->size()) / 4; }

EXPORT void spikevox_sites_export(void* sites, int32_t* result) {
  const SiteRows& rows = *static_cast<SiteRows*>(sites);
  std::copy(rows.begin(), rows.end(), result);
}

#define SPIKEVOX_TYPED(T, SUFFIX)                                                                                       \
  EXPORT int spikevox_events_new_##SUFFIX(int level, const T* values, int64_t rows, int64_t channels, int threads,      \
                                          void** result) {                                                              \
    return guarded([&] {                                                                                                \
      require(channels > 0 && channels <= 65535, "channels must lie between 1 and 65535");                              \
      auto events = std::make_unique<EventTable<T>>();                                                                  \
      events->reset(rows, channels);                                                                                    \
      events->encode(kernels_of<T>(level), values, threads);                                                           \
      *result = events.release();                                                                                       \
    });                                                                                                                 \
  }                                                                                                                     \
  EXPORT void spikevox_events_free_##SUFFIX(void* events) { delete static_cast<EventTable<T>*>(events); }               \
  EXPORT int64_t spikevox_events_count_##SUFFIX(void* events) { return static_cast<EventTable<T>*>(events)->count(); }  \
  EXPORT int spikevox_convolve_##SUFFIX(int level, void* map, int transposed, void* events, const T* x, int64_t rows,   \
                                        int64_t in_channels, const T* weight, int turned, int64_t out_channels,         \
                                        T* result, int threads) {                                                       \
    return guarded([&] {                                                                                                \
      run_convolution<T>(level, *static_cast<KernelMap*>(map), transposed, static_cast<EventTable<T>*>(events), x,      \
                         rows, in_channels, weight, turned, out_channels, result, threads);                             \
    });                                                                                                                 \
  }                                                                                                                     \
  EXPORT int spikevox_weight_gradient_##SUFFIX(int level, void* map, int transposed, void* events, const T* x,          \
                                               int64_t x_rows, int64_t in_channels, const T* grad, int64_t rows,        \
                                               int64_t out_channels, T* result, int threads) {                          \
    return guarded([&] {                                                                                                \
      run_weight_gradient<T>(level, *static_cast<KernelMap*>(map), transposed, static_cast<EventTable<T>*>(events), x,  \
                             x_rows, in_channels, grad, rows, out_channels, result, threads);                           \
    });                                                                                                                 \
  }

SPIKEVOX_TYPED(float, f32)
SPIKEVOX_TYPED(double, f64)
