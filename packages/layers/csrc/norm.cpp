#include "norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernel_map.h"
#include "parallel.h"

namespace spikevox {
namespace {

// Values of a table that a thread takes at a time where rows do not matter.
constexpr int64_t kValues = 1 << 14;

// Calls `task(run, first row, number of rows)` for runs of a fixed size.
template <class Task>
void for_runs(int64_t rows, int threads, Task&& task) {
  parallel_for((rows + kTileRows - 1) / kTileRows, threads, [&](int64_t run) {
    const int64_t first = run * kTileRows;
    task(run, first, std::min(kTileRows, rows - first));
  });
}

int64_t runs_of(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

}  // namespace

template <class T>
void statistics(const Kernels<T>& kernels, const T* x, int64_t rows, int64_t channels, Statistics result, int threads) {
  const int64_t runs = runs_of(rows);
  std::vector<T> means(runs * channels), squares(runs * channels);
  for_runs(rows, threads, [&](int64_t run, int64_t first, int64_t count) {
    kernels.moments(x + first * channels, count, channels, means.data() + run * channels, squares.data() + run * channels);
  });
  // Chan, Golub and LeVeque (1983): means and centred squares of two parts give those of both.
  std::copy_n(means.data(), channels, result.mean);
  std::copy_n(squares.data(), channels, result.variance);
  for (int64_t run = 1; run < runs; ++run) {
    const double before = static_cast<double>(run * kTileRows);
    const double more = static_cast<double>(std::min(kTileRows, rows - run * kTileRows)), all = before + more;
    for (int64_t c = 0; c < channels; ++c) {
      const double distance = means[run * channels + c] - result.mean[c];
      result.mean[c] += distance * (more / all);
      result.variance[c] += squares[run * channels + c] + distance * distance * (before * more / all);
    }
  }
  for (int64_t c = 0; c < channels; ++c) result.variance[c] /= static_cast<double>(rows);
}

template <class T>
void normalise(const Kernels<T>& kernels, const T* x, int64_t rows, int64_t channels, Statistics of_x, double eps,
               const T* weight, const T* bias, const T* shortcut, T* result, int threads) {
  std::vector<T> factor(channels), shift(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = weight[c] / std::sqrt(of_x.variance[c] + eps);
    factor[c] = static_cast<T>(scale);
    shift[c] = static_cast<T>(bias[c] - of_x.mean[c] * scale);
  }
  for_runs(rows, threads, [&](int64_t, int64_t first, int64_t count) {
    const int64_t at = first * channels;
    kernels.affine(x + at, factor.data(), shift.data(), shortcut ? shortcut + at : nullptr, count, channels, result + at);
  });
}

template <class T>
void normalise_gradient(const Kernels<T>& kernels, const T* grad, const T* x, int64_t rows, int64_t channels,
                        Statistics of_x, double eps, const T* weight, T* of_input, T* of_weight, T* of_bias,
                        int threads) {
  const int64_t runs = runs_of(rows);
  std::vector<T> mean(of_x.mean, of_x.mean + channels), plain(runs * channels), weighted(runs * channels);
  for_runs(rows, threads, [&](int64_t run, int64_t first, int64_t count) {
    const int64_t at = first * channels;
    kernels.gradient_sums(grad + at, x + at, mean.data(), count, channels, plain.data() + run * channels,
                          weighted.data() + run * channels);
  });
  std::vector<T> of_grad(channels), of_value(channels), shift(channels);
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, product = 0;
    for (int64_t run = 0; run < runs; ++run) {
      sum += plain[run * channels + c];
      product += weighted[run * channels + c];
    }
    const double inverse = 1 / std::sqrt(of_x.variance[c] + eps);
    of_weight[c] = static_cast<T>(product * inverse);
    of_bias[c] = static_cast<T>(sum);
    const double a = weight[c] * inverse, b = -a * inverse * inverse * product / static_cast<double>(rows);
    of_grad[c] = static_cast<T>(a);
    of_value[c] = static_cast<T>(b);
    shift[c] = static_cast<T>(-a * sum / static_cast<double>(rows) - b * of_x.mean[c]);
  }
  for_runs(rows, threads, [&](int64_t, int64_t first, int64_t count) {
    const int64_t at = first * channels;
    kernels.affine_pair(grad + at, x + at, of_grad.data(), of_value.data(), shift.data(), count, channels, of_input + at);
  });
}

template <class T>
int64_t fire_integers(const Kernels<T>& kernels, const T* membrane, int64_t count, double levels, T* spikes, int threads) {
  std::vector<int64_t> fired((count + kValues - 1) / kValues);
  parallel_for(static_cast<int64_t>(fired.size()), threads, [&](int64_t run) {
    const int64_t at = run * kValues;
    fired[run] =
        kernels.integer_spikes(static_cast<T>(levels), std::min(kValues, count - at), membrane + at, spikes + at);
  });
  return std::accumulate(fired.begin(), fired.end(), int64_t{0});
}

#define SPIKEVOX_TYPED(T)                                                                                              \
  template void statistics(const Kernels<T>&, const T*, int64_t, int64_t, Statistics, int);                            \
  template void normalise(const Kernels<T>&, const T*, int64_t, int64_t, Statistics, double, const T*, const T*,       \
                          const T*, T*, int);                                                                          \
  template void normalise_gradient(const Kernels<T>&, const T*, const T*, int64_t, int64_t, Statistics, double,        \
                                   const T*, T*, T*, T*, int);                                                         \
  template int64_t fire_integers(const Kernels<T>&, const T*, int64_t, double, T*, int);
SPIKEVOX_TYPED(float)
SPIKEVOX_TYPED(double)

}  // namespace spikevox
