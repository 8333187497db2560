// The C interface of normalisation and of integer neurons in training.
#include <memory>

#include "convolution.h"
#include "events.h"
#include "interface.h"
#include "norm.h"

using namespace spikevox;

namespace {

void check_table(int64_t rows, int64_t channels) {
  require(rows > 0 && channels > 0 && channels <= 65535, "a table needs rows, and channels between 1 and 65535");
}

// The events of the spikes come with them where they serve a convolution to `out_channels`, or its gradient; else null.
template <class T>
void fire(const Kernels<T>& kernels, const T* membrane, int64_t rows, int64_t channels, double levels,
          int64_t out_channels, T* spikes, int threads, void** events) {
  const int64_t fired = fire_integers(kernels, membrane, rows, channels, levels, spikes, threads);
  *events = nullptr;
  const int64_t vectors = padded(out_channels, kernels.width) / kernels.width;
  if (!rows || !events_pay(channels, vectors, static_cast<double>(fired) / static_cast<double>(rows * channels))) return;
  auto made = std::make_unique<EventTable<T>>();
  made->reset(rows, channels);
  made->encode(kernels, spikes, threads);
  *events = made.release();
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
      normalise(kernels_of<T>(level), x, rows, channels, {mean, variance}, eps, weight, bias, result, threads);        \
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
  EXPORT int spikevox_fire_##SUFFIX(int level, const T* membrane, int64_t rows, int64_t channels, double levels,       \
                                    int64_t out_channels, T* spikes, int threads, void** events) {                     \
    return guarded([&] {                                                                                               \
      require(channels > 0 && channels <= 65535 && out_channels > 0, "channels must lie between 1 and 65535");         \
      fire<T>(kernels_of<T>(level), membrane, rows, channels, levels, out_channels, spikes, threads, events);          \
    });                                                                                                                \
  }                                                                                                                    \
  EXPORT int spikevox_mask_gradient_##SUFFIX(int level, const T* membrane, int64_t count, double levels, T* grad,      \
                                             int threads) {                                                            \
    return guarded([&] { mask_gradient(kernels_of<T>(level), membrane, count, levels, grad, threads); });              \
  }

SPIKEVOX_TRAINING(float, f32)
SPIKEVOX_TRAINING(double, f64)
