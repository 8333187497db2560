#include "unit.h"

#include <cmath>

#include "convolution.h"
#include "events.h"
#include "norm.h"

namespace spikevox {
namespace {

// As torch.lerp: bit for bit what the layers do one by one.
template <class T>
T between(T from, T to, T share) {
  return share < T(0.5) ? std::fma(share, to - from, from) : std::fma(from - to, 1 - share, to);
}

// Moves the running statistics towards those of the batch; the running variance is the unbiased one.
template <class T>
void track(const Unit<T>& unit) {
  ++*unit.batches;
  const T share = static_cast<T>(unit.momentum < 0 ? 1 / static_cast<double>(*unit.batches) : unit.momentum);
  const double rows = static_cast<double>(unit.outputs), unbiased = rows / (rows - 1);
  for (int64_t c = 0; c < unit.out_channels; ++c) {
    unit.running_mean[c] = between(unit.running_mean[c], static_cast<T>(unit.mean[c]), share);
    unit.running_variance[c] = between(unit.running_variance[c], static_cast<T>(unit.variance[c] * unbiased), share);
  }
}

}  // namespace

template <class T>
void unit_forward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* bias, T* result,
                  int threads) {
  const T* x = unit.membrane;
  EventTable<T> events;
  bool sparse = false;
  if (unit.levels > 0) {
    x = unit.spikes;
    const int64_t fired =
        fire_integers(kernels, unit.membrane, unit.inputs * unit.in_channels, unit.levels, unit.spikes, threads);
    const int64_t vectors = padded(unit.out_channels, kernels.width) / kernels.width;
    sparse = events_pay(vectors, map.pairs(), fired, unit.inputs, unit.in_channels);
    if (sparse) {
      events.reset(unit.inputs, unit.in_channels);
      events.encode(kernels, unit.spikes, threads);
    }
  }
  convolve(kernels, map.lists(transposed), sparse ? &events : nullptr, x, unit.in_channels, unit.weight, false,
           unit.out_channels, unit.sums, threads);
  const Statistics of_sums{unit.mean, unit.variance};
  statistics(kernels, unit.sums, unit.outputs, unit.out_channels, of_sums, threads);
  if (unit.running_mean) track(unit);
  normalise(kernels, unit.sums, unit.outputs, unit.out_channels, of_sums, unit.eps, unit.scale, bias, unit.shortcut, result,
            threads);
}

template <class T>
void unit_backward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* grad,
                   T* of_sums, T* of_membrane, T* of_weight, T* of_scale, T* of_bias, int threads) {
  normalise_gradient(kernels, grad, unit.sums, unit.outputs, unit.out_channels, {unit.mean, unit.variance}, unit.eps,
                     unit.scale, of_sums, of_scale, of_bias, threads);
  if (of_membrane) {
    const int64_t channels = unit.in_channels;
    Finish mask;
    if (unit.levels > 0)
      mask = [&](int64_t first, int64_t rows) {
        kernels.mask_gradient(static_cast<T>(unit.levels), rows * channels, unit.membrane + first * channels,
                              of_membrane + first * channels);
      };
    convolve<T>(kernels, map.lists(!transposed), nullptr, of_sums, unit.out_channels, unit.weight, true, channels,
                of_membrane, threads, mask);
  }
  if (!of_weight) return;
  const T* x = unit.levels > 0 ? unit.spikes : unit.membrane;
  // Made again where they can pay: kept from the forward pass they would be half as large again as the spikes.
  EventTable<T> events;
  const bool encode = unit.levels > 0 && unit.in_channels > kNarrow;
  if (encode) {
    events.reset(unit.inputs, unit.in_channels);
    events.encode(kernels, unit.spikes, threads);
  }
  weight_gradient(kernels, map.lists(transposed), encode ? &events : nullptr, x, unit.in_channels, of_sums,
                  unit.out_channels, of_weight, threads);
}

#define SPIKEVOX_TYPED(T)                                                                                             \
  template void unit_forward(const Kernels<T>&, KernelMap&, bool, const Unit<T>&, const T*, T*, int);                 \
  template void unit_backward(const Kernels<T>&, KernelMap&, bool, const Unit<T>&, const T*, T*, T*, T*, T*, T*, int);
SPIKEVOX_TYPED(float)
SPIKEVOX_TYPED(double)

}  // namespace spikevox
