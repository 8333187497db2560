// Neuron, convolution and batch normalisation of a training in one call: membrane to membrane, and back.
#pragma once
#include <cstdint>

#include "kernel_map.h"
#include "kernels.h"

namespace spikevox {

// What both directions know. `levels` is 0 where there is no neuron: then `membrane` is what the convolution reads.
template <class T>
struct Unit {
  const T* membrane;  // (inputs, in_channels)
  const T* weight;    // (volume, in_channels, out_channels)
  const T* scale;     // of the normalisation (out_channels)
  T* spikes;          // (inputs, in_channels); not touched without a neuron
  T* sums;            // the convolution's results (outputs, out_channels)
  double* mean;       // of the sums (out_channels)
  double* variance;
  int64_t inputs, outputs, in_channels, out_channels;
  double eps, levels;
  T* running_mean;    // moved towards the batch's in a forward pass; null for none
  T* running_variance;
  int64_t* batches;   // counts them
  double momentum;    // negative for the mean over all batches
  const T* shortcut;  // added to the results of a forward pass (outputs, out_channels); null for none
};

template <class T>
void unit_forward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* bias, T* result,
                  int threads);

// `of_sums` (outputs, out_channels) is working space. What of `of_membrane` and `of_weight` is null is not computed.
template <class T>
void unit_backward(const Kernels<T>& kernels, KernelMap& map, bool transposed, const Unit<T>& unit, const T* grad,
                   T* of_sums, T* of_membrane, T* of_weight, T* of_scale, T* of_bias, int threads);

}  // namespace spikevox
