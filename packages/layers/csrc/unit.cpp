#include "unit.h"

#include "convolution.h"
#include "events.h"
#include "norm.h"

namespace spikevox {

template <class T>
void unit_forward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* bias, T* result,
                  int threads) {
  const T* x = unit.membrane;
  EventTable<T> events;
  bool sparse = false;
  if (unit.levels > 0) {
    x = unit.spikes;
    const int64_t values = unit.inputs * unit.in_channels;
    const int64_t fired = fire_integers(kernels, unit.membrane, values, unit.levels, unit.spikes, threads);
    sparse = events_pay(padded(unit.out_channels, kernels.width) / kernels.width, fired, values);
    if (sparse) {
      events.reset(unit.inputs, unit.in_channels);
      events.encode(kernels, unit.spikes, threads);
    }
  }
  convolve(kernels, map.lists(transposed), sparse ? &events : nullptr, x, unit.in_channels, unit.weight, false,
           unit.out_channels, unit.sums, threads);
  const Statistics of_sums{unit.mean, unit.variance};
  statistics(kernels, unit.sums, unit.outputs, unit.out_channels, of_sums, threads);
  normalise(kernels, unit.sums, unit.outputs, unit.out_channels, of_sums, unit.eps, unit.scale, bias, result, threads);
}

template <class T>
void unit_backward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* grad,
                   T* of_sums, T* of_membrane, T* of_weight, T* of_scale, T* of_bias, int threads) {
  normalise_gradient(kernels, grad, unit.sums, unit.outputs, unit.out_channels, {unit.mean, unit.variance}, unit.eps,
                     unit.scale, of_sums, of_scale, of_bias, threads);
  if (of_membrane) {
    convolve<T>(kernels, map.lists(!transposed), nullptr, of_sums, unit.out_channels, unit.weight, true, unit.in_channels,
                of_membrane, threads);
    if (unit.levels > 0)
      mask_gradient(kernels, unit.membrane, unit.inputs * unit.in_channels, unit.levels, of_membrane, threads);
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
