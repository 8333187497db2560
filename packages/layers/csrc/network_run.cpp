// Running a network: layer after layer, each over threads by tiles of rows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "network.h"
#include "parallel.h"

namespace spikevox {
namespace {

// A row, `count` times: each copy doubles what is there, as many small copies would take longer than the rows.
template <class T>
void repeat(const T* row, int64_t width, int64_t count, T* result) {
  std::copy_n(row, width, result);
  for (int64_t done = 1; done < count; done *= 2)
    std::copy_n(result, std::min(done, count - done) * width, result + done * width);
}

}  // namespace

template <class T>
std::unique_ptr<typename Network<T>::Workspace> Network<T>::take_workspace() {
  std::lock_guard<std::mutex> lock(guard_);
  if (idle_.empty()) {
    auto made = std::make_unique<Workspace>();
    made->values.resize(slots_.size());
    made->events.resize(slots_.size());
    made->tables.resize(slots_.size());
    return made;
  }
  auto taken = std::move(idle_.back());
  idle_.pop_back();
  return taken;
}

template <class T>
void Network<T>::give_workspace(std::unique_ptr<Workspace> workspace) {
  std::lock_guard<std::mutex> lock(guard_);
  idle_.push_back(std::move(workspace));
}

template <class T>
void Network<T>::bind(const Session& session, const T* features, T* const* outputs, Workspace& workspace) const {
  const int64_t rows = session.rows(0), channels = input_channels();
  for (int64_t i = 0; i < rows * channels; ++i)
    if (!std::isfinite(features[i]))
      throw std::invalid_argument("the features of row " + std::to_string(i / channels) + " are not finite");
  // First all sizes, then the addresses: a storage that serves several slots moves when it grows.
  for (size_t i = 1; i < slots_.size(); ++i)
    if (!slots_[i].events)
      workspace.values[slots_[i].storage].reserve(session.rows(slots_[i].sites) * slots_[i].channels);
  for (size_t i = 1; i < slots_.size(); ++i)
    if (!slots_[i].events) workspace.tables[i] = workspace.values[slots_[i].storage].data();
  if (session.order.empty()) {
    workspace.tables[0] = const_cast<T*>(features);  // slot 0 is never written
  } else {
    T* sorted = workspace.sorted.reserve(rows * channels);
    for (int64_t i = 0; i < rows; ++i)
      std::copy_n(features + session.order[i] * channels, channels, sorted + i * channels);
    workspace.tables[0] = sorted;
  }
  for (size_t i = 0; i < outputs_.size(); ++i)
    if (slots_[outputs_[i]].sites != 0 || session.order.empty()) workspace.tables[outputs_[i]] = outputs[i];
}

template <class T>
PairLists Network<T>::lists(const Layer& layer, Session& session) const {
  if (layer.spec.map != kNone) return session.maps[layer.spec.map]->lists(layer.spec.transposed != 0);
  const int64_t rows = session.rows(layer.spec.sites);
  return {kTileRows, (rows + kTileRows - 1) / kTileRows, rows, 1,
          session.own_starts[layer.spec.sites - kSamples].data(), session.own_rows.data(), session.own_rows.data(), false, 0};
}

template <class T>
int64_t Network<T>::work(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, Session& session,
                         const Workspace& workspace) const {
  int64_t rows_of_weights = 0;
  const int64_t pairs = lists.tiles ? lists.starts[lists.tiles * lists.volume] : 0;
  for (const Source& source : layer.sources) {
    if (!source.events) {
      rows_of_weights += source.channels * (layer.spec.map == kNone ? lists.targets : pairs);
      continue;
    }
    const EventTable<T>& events = workspace.events[slots_[source.slot].storage];
    if (layer.spec.map == kNone) {
      rows_of_weights += events.count();
      continue;
    }
    auto& degree = session.degrees[2 * layer.spec.map + (layer.spec.transposed ? 1 : 0)];
    if (degree.empty()) {
      degree.assign(events.rows(), 0);
      for (int64_t p = 0; p < pairs; ++p) ++degree[lists.sources[p]];
    }
    rows_of_weights += kernels.weighted_count(events.view().rows, degree.data(), events.rows());
  }
  return rows_of_weights * layer.spec.channels;
}

template <class T>
void Network<T>::finish_tile(const Kernels<T>& kernels, const Layer& layer, int64_t tile, int64_t first, int64_t last,
                             int64_t stride, T* sums, Workspace& workspace) const {
  const int64_t channels = layer.spec.channels;
  for (int32_t slot : layer.residuals) {
    const int64_t width = slots_[slot].channels;
    const T* other = workspace.tables[slot] + first * width;
    if (width == stride)  // what lies behind the layer's channels in its padded rows is never read
      kernels.add(other, (last - first) * width, sums);
    else
      for (int64_t r = 0; r < last - first; ++r) kernels.add(other + r * width, channels, sums + r * stride);
  }
  if (!layer.factor.empty())
    for (int64_t r = 0; r < last - first; ++r)
      kernels.scale(layer.factor.data(), layer.shift.data(), channels, sums + r * stride);
  for (const ResultSpec& result : layer.results) {
    const SpikeRule rule{result.kind, result.parameter};
    if (result.event_slot != kNone)
      workspace.events[slots_[result.event_slot].storage].encode_tile(kernels, rule, tile, sums, stride);
    if (result.value_slot == kNone || (result.kind == SpikeRule::kPlain && result.value_slot == layer.direct)) continue;
    const int64_t width = slots_[result.value_slot].channels;
    T* to = workspace.tables[result.value_slot] + result.column + first * width;
    if (stride == width && channels == width)
      kernels.fire(rule, (last - first) * width, sums, to);
    else
      for (int64_t r = 0; r < last - first; ++r) kernels.fire(rule, channels, sums + r * stride, to + r * width);
  }
}

template <class T>
void Network<T>::sum_tile(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, int64_t tile,
                          Workspace& workspace) const {
  const int64_t wide = static_cast<int64_t>(layer.start.size());
  const int64_t first = tile * kTileRows, last = std::min(lists.targets, first + kTileRows);
  static thread_local Buffer<T> buffer;
  T* sums = layer.direct == kNone ? buffer.reserve(kTileRows * wide) : workspace.tables[layer.direct] + first * wide;
  if (layer.sources.empty() || lists.covering == kNoList) repeat(layer.start.data(), wide, last - first, sums);
  PairLists added = lists;
  for (const Source& source : layer.sources) {
    if (source.events)
      kernels.tile_from_events(added, tile, layer.start.data(), workspace.events[slots_[source.slot].storage].view(),
                               source.weight.data(), source.channels, wide, source.panel, sums);
    else
      kernels.tile_from_values(added, tile, layer.start.data(), workspace.tables[source.slot], source.channels,
                               source.weight.data(), source.channels, wide, sums);
    added.covering = kNoList;  // the next ones add to what the first one wrote
  }
  finish_tile(kernels, layer, tile, first, last, wide, sums, workspace);
}

template <class T>
void Network<T>::pool_tile(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, int64_t tile,
                           Workspace& workspace) const {
  const bool largest = layer.spec.kind == LayerSpec::kLocalMax;
  const int64_t channels = layer.spec.channels;
  const int64_t first = tile * kTileRows, last = std::min(lists.targets, first + kTileRows);
  std::vector<T> sums((last - first) * channels, largest ? -std::numeric_limits<T>::infinity() : T(0));
  std::vector<int64_t> counts(last - first, 0);
  const T* table = workspace.tables[layer.sources[0].slot];
  for (int64_t p = lists.starts[tile * lists.volume]; p < lists.starts[(tile + 1) * lists.volume]; ++p) {
    const T* from = table + lists.sources[p] * channels;
    T* to = sums.data() + (lists.rows[p] - first) * channels;
    ++counts[lists.rows[p] - first];
    for (int64_t c = 0; c < channels; ++c) to[c] = largest ? std::max(to[c], from[c]) : to[c] + from[c];
  }
  for (int64_t r = 0; r < last - first; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      T& value = sums[r * channels + c];
      if (!counts[r])
        value = 0;
      else if (!largest)
        value /= static_cast<T>(counts[r]);
    }
  finish_tile(kernels, layer, tile, first, last, channels, sums.data(), workspace);
}

template <class T>
void Network<T>::pool_samples(const Layer& layer, const Session& session, int threads, Workspace& workspace) const {
  const Source& source = layer.sources[0];
  const int64_t channels = layer.spec.channels;
  const T* table = workspace.tables[source.slot];
  const SiteRows& sites = session.sites[slots_[source.slot].sites];
  const int64_t rows = static_cast<int64_t>(sites.size()) / 4;
  std::vector<int64_t> starts(session.batch + 1, 0);
  for (int64_t r = 0; r < rows; ++r) ++starts[sites[4 * r] + 1];
  for (int64_t b = 0; b < session.batch; ++b) starts[b + 1] += starts[b];
  parallel_for(session.batch, threads, [&](int64_t b) {
    for (const ResultSpec& result : layer.results) {
      T* to = workspace.tables[result.value_slot] + b * slots_[result.value_slot].channels + result.column;
      std::fill(to, to + channels, T(0));
      for (int64_t r = starts[b]; r < starts[b + 1]; ++r)
        for (int64_t c = 0; c < channels; ++c) {
          const T value = table[r * channels + c];
          if (layer.spec.kind == LayerSpec::kSampleMax)
            to[c] = r == starts[b] ? value : std::max(to[c], value);
          else
            to[c] += value;
        }
      if (layer.spec.kind == LayerSpec::kSampleMean && starts[b + 1] > starts[b])
        for (int64_t c = 0; c < channels; ++c) to[c] /= static_cast<T>(starts[b + 1] - starts[b]);
    }
  });
}

template <class T>
void Network<T>::execute(const Kernels<T>& kernels, Session& session, const T* features, T* const* outputs, int64_t* work,
                         int threads) {
  if (session.owner != this) throw std::invalid_argument("the session belongs to another network");
  auto workspace = take_workspace();
  bind(session, features, outputs, *workspace);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    work[i] = 0;
    if (layer.spec.kind >= LayerSpec::kSampleMax) {
      pool_samples(layer, session, threads, *workspace);
      continue;
    }
    for (const ResultSpec& result : layer.results)
      if (result.event_slot != kNone)
        workspace->events[slots_[result.event_slot].storage].reset(session.rows(layer.spec.sites), layer.spec.channels);
    const PairLists pairs = lists(layer, session);
    parallel_for(pairs.tiles, threads, [&](int64_t tile) {
      if (layer.spec.kind == LayerSpec::kSum)
        sum_tile(kernels, layer, pairs, tile, *workspace);
      else
        pool_tile(kernels, layer, pairs, tile, *workspace);
    });
    if (layer.spec.kind == LayerSpec::kSum) work[i] = this->work(kernels, layer, pairs, session, *workspace);
  }
  if (!session.order.empty())
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const Slot& slot = slots_[outputs_[i]];
      if (slot.sites != 0) continue;
      for (int64_t r = 0; r < session.rows(0); ++r)
        std::copy_n(workspace->tables[outputs_[i]] + r * slot.channels, slot.channels,
                    outputs[i] + session.order[r] * slot.channels);
    }
  give_workspace(std::move(workspace));
}

template void Network<float>::execute(const Kernels<float>&, Session&, const float*, float* const*, int64_t*, int);
template void Network<double>::execute(const Kernels<double>&, Session&, const double*, double* const*, int64_t*, int);

}  // namespace spikevox
