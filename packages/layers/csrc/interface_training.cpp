// The C interface of training: normalisation, and neuron, convolution and normalisation in one step.
#include "interface.h"
#include "kernel_map.h"
#include "norm.h"
#include "unit.h"

using namespace spikevox;

namespace {

void check_table(int64_t rows, int64_t channels) {
  require(rows > 0 && channels > 0 && channels <= 65535, "a table needs rows, and channels between 1 and 65535");
}

template <class T>
void check_unit(const Unit<T>& unit, const KernelMap& map, bool transposed) {
  check_table(unit.inputs, unit.in_channels);
  check_table(unit.outputs, unit.out_channels);
  require(unit.inputs == (transposed ? map.outputs() : map.inputs()), "the membrane has other rows than the kernel map");
  require(unit.outputs == (transposed ? map.inputs() : map.outputs()), "the results have other rows than the kernel map");
  require(unit.eps >= 0 && unit.levels >= 0, "eps and levels must not be negative");
  require(!unit.running_mean || unit.outputs > 1, "one row has no variance");
}

}  // namespace

#define SPIKEVOX_TRAINING(T, SUFFIX)                                                                                   \
  EXPORT int spikevox_statistics_##SUFFIX(int level, const T* x, int64_t rows, int64_t channels, double* mean,         \
                                          double* variance, int threads) {                                             \
    return guarded([&] {                                                                                               \
      check_table(rows, channels);                                                                                     \
      statistics(kernels_of<T>(level), x, rows, channels, {mean, variance}, threads);                                  \
    });                                                                                                                \
  }                                                                                                                    \
  EXPORT int spikevox_normalise_##SUFFIX(int level, const T* x, int64_t rows, int64_t channels, double* mean,          \
                                         double* variance, double eps, const T* weight, const T* bias, T* result,      \
                                         int threads) {                                                                \
    return guarded([&] {                                                                                               \
      check_table(rows, channels);                                                                                     \
      normalise<T>(kernels_of<T>(level), x, rows, channels, {mean, variance}, eps, weight, bias, nullptr, result,      \
                   threads);                                                                                           \
    });                                                                                                                \
  }                                                                                                                    \
  EXPORT int spikevox_normalise_gradient_##SUFFIX(int level, const T* grad, const T* x, int64_t rows,                  \
                                                  int64_t channels, double* mean, double* variance, double eps,        \
                                                  const T* weight, T* of_input, T* of_weight, T* of_bias,              \
                                                  int threads) {                                                       \
    return guarded([&] {                                                                                               \
      check_table(rows, channels);                                                                                     \
      normalise_gradient(kernels_of<T>(level), grad, x, rows, channels, {mean, variance}, eps, weight, of_input,       \
                         of_weight, of_bias, threads);                                                                 \
    });                                                                                                                \
  }                                                                                                                    \
  EXPORT int spikevox_unit_forward_##SUFFIX(int level, void* map, int transposed, const Unit<T>* unit, const T* bias,  \
                                            T* result, int threads) {                                                  \
    return guarded([&] {                                                                                               \
      KernelMap& pairs = *static_cast<KernelMap*>(map);                                                                \
      check_unit(*unit, pairs, transposed != 0);                                                                       \
      unit_forward(kernels_of<T>(level), pairs, transposed != 0, *unit, bias, result, threads);                        \
    });                                                                                                                \
  }                                                                                                                    \
  EXPORT int spikevox_unit_backward_##SUFFIX(int level, void* map, int transposed, const Unit<T>* unit, const T* grad, \
                                             T* of_sums, T* of_membrane, T* of_weight, T* of_scale, T* of_bias,        \
                                             int threads) {                                                            \
    return guarded([&] {                                                                                               \
      KernelMap& pairs = *static_cast<KernelMap*>(map);                                                                \
      check_unit(*unit, pairs, transposed != 0);                                                                       \
      unit_backward(kernels_of<T>(level), pairs, transposed != 0, *unit, grad, of_sums, of_membrane, of_weight,        \
                    of_scale, of_bias, threads);                                                                       \
    });                                                                                                                \
  }

SPIKEVOX_TRAINING(float, f32)
SPIKEVOX_TRAINING(double, f64)
