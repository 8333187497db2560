#include "network.h"

#include <algorithm>
#include <stdexcept>

#include "parallel.h"

namespace spikevox {
namespace {

// Columns are padded for the widest vector, so that one table of weights serves every instruction set.
template <class T>
constexpr int64_t kWidest = 64 / static_cast<int64_t>(sizeof(T));

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

// Columns of a panel of weights: few enough for a kernel offset's panel to stay in the first cache with up to 128 channels,
// enough to pay for finding an event.
template <class T>
constexpr int64_t kPanel = 4 * kWidest<T>;

// A weight (volume, channels, columns) with its columns filled up with zeros to `wide` and taken apart:
// (volume, panels, channels, panel).
template <class T>
AlignedVector<T> in_panels(const T* weight, int64_t volume, int64_t channels, int64_t columns, int64_t wide, int64_t panel) {
  AlignedVector<T> result(volume * channels * wide, 0);
  for (int64_t k = 0; k < volume; ++k)
    for (int64_t first = 0; first < columns; first += panel) {
      const int64_t width = std::min(panel, wide - first), filled = std::min(panel, columns - first);
      for (int64_t c = 0; c < channels; ++c)
        std::copy_n(weight + (k * channels + c) * columns + first, filled,
                    result.data() + (k * wide + first) * channels + c * width);
    }
  return result;
}

template <class T>
AlignedVector<T> row_of(const void* from, int64_t channels) {
  const T* first = static_cast<const T*>(from);
  return first ? AlignedVector<T>(first, first + channels) : AlignedVector<T>();
}

}  // namespace

template <class T>
int Network<T>::add_sites(int32_t from, const Striding& striding) {
  require(from >= 0 && from <= static_cast<int32_t>(strided_.size()), "sites derive from others that are there already");
  check_striding(striding);
  strided_.push_back({from, striding});
  return static_cast<int>(strided_.size());  // set 0 is the input's
}

template <class T>
int Network<T>::add_map(int32_t inputs, int32_t outputs, const Geometry& geometry) {
  const int32_t last = static_cast<int32_t>(strided_.size());
  require(inputs >= 0 && inputs <= last && outputs >= 0 && outputs <= last, "a map joins sites that are there");
  for (int a = 0; a < 3; ++a)
    require(geometry.size[a] > 0 && geometry.step[a] > 0, "kernel size and step must be positive");
  maps_.push_back({inputs, outputs, geometry});
  return static_cast<int>(maps_.size()) - 1;
}

template <class T>
int Network<T>::add_slot(int32_t sites, int64_t channels, bool events, int32_t storage) {
  require(sites >= kSamples && sites <= static_cast<int32_t>(strided_.size()), "a slot belongs to sites that are there");
  require(channels > 0 && channels <= 65535, "channels must lie between 1 and 65535");
  require(storage >= 0 && storage <= static_cast<int32_t>(slots_.size()), "a slot's storage is an earlier one or the next");
  require(!slots_.empty() || (!events && sites == 0), "the first slot holds the values of the input");
  slots_.push_back({sites, channels, events, storage});
  return static_cast<int>(slots_.size()) - 1;
}

template <class T>
int Network<T>::add_output(int32_t slot) {
  require(slot > 0 && slot < static_cast<int32_t>(slots_.size()) && !slots_[slot].events,
          "an output is a slot of values other than the input");
  require(std::find(outputs_.begin(), outputs_.end(), slot) == outputs_.end(), "a slot can be an output once");
  outputs_.push_back(slot);
  return static_cast<int>(outputs_.size()) - 1;
}

template <class T>
void Network<T>::check_slot(int32_t slot, bool events, int32_t sites, int64_t channels) const {
  require(slot >= 0 && slot < static_cast<int32_t>(slots_.size()), "a layer names a slot that is not there");
  require(slots_[slot].events == events, "a layer takes events for values, or values for events");
  require(slots_[slot].sites == sites, "a layer names a slot of other sites");
  require(slots_[slot].channels >= channels, "a layer names a slot of too few channels");
}

template <class T>
void Network<T>::check(const LayerSpec& spec) const {
  require(spec.channels > 0 && spec.channels <= 65535, "channels must lie between 1 and 65535");
  require(spec.kind >= LayerSpec::kSum && spec.kind <= LayerSpec::kSampleSum, "unknown kind of layer");
  require(spec.source_count >= 0 && spec.residual_count >= 0 && spec.result_count >= 0, "negative count");
  require(spec.map >= kNone && spec.map < static_cast<int32_t>(maps_.size()), "a layer names a map that is not there");
  require(!spec.factor == !spec.shift, "a factor comes with a shift");
  const bool pools = spec.kind != LayerSpec::kSum, samples = spec.kind >= LayerSpec::kSampleMax;
  require(!pools || (spec.source_count == 1 && !spec.sources[0].is_events && spec.residual_count == 0),
          "a pooling reads one slot of values");
  require(!samples || (spec.sites == kSamples && spec.map == kNone), "a pooling over samples has a row a sample");
  require(pools == samples || spec.map != kNone, "a local pooling needs a map");
  int32_t sources = spec.sites;
  if (spec.map != kNone) {
    const Map& map = maps_[spec.map];
    sources = spec.transposed ? map.outputs : map.inputs;
    require(spec.sites == (spec.transposed ? map.inputs : map.outputs), "a layer's map leads to other sites");
  }
  for (int32_t i = 0; i < spec.source_count; ++i) {
    const SourceSpec& source = spec.sources[i];
    require(samples || pools || source.weight, "a source without weights");
    require(source.slot >= 0 && source.slot < static_cast<int32_t>(slots_.size()), "a layer names a slot that is not there");
    check_slot(source.slot, source.is_events, samples ? slots_[source.slot].sites : sources, source.channels);
    require(source.channels == slots_[source.slot].channels && (!pools || source.channels == spec.channels),
            "a source has other channels than its slot");
  }
  for (int32_t i = 0; i < spec.residual_count; ++i) check_slot(spec.residuals[i], false, spec.sites, spec.channels);
  for (int32_t i = 0; i < spec.result_count; ++i) {
    const ResultSpec& result = spec.results[i];
    require(result.kind >= SpikeRule::kPlain && result.kind <= SpikeRule::kRectified, "unknown rule for spikes");
    if (result.event_slot != kNone) {
      check_slot(result.event_slot, true, spec.sites, spec.channels);
      require(slots_[result.event_slot].channels == spec.channels, "events have the channels of their layer");
    }
    require(!samples || (result.kind == SpikeRule::kPlain && result.value_slot != kNone && result.event_slot == kNone),
            "a pooling over samples gives plain values");
    require(result.column >= 0, "negative column");
    if (result.value_slot != kNone) check_slot(result.value_slot, false, spec.sites, spec.channels + result.column);
  }
}

// Its rows must be as wide as the sums, and nothing that the layer reads may lie in the same memory.
template <class T>
int32_t Network<T>::direct_slot(const LayerSpec& spec, int64_t wide) const {
  if (spec.kind != LayerSpec::kSum) return kNone;
  for (int32_t i = 0; i < spec.result_count; ++i) {
    const ResultSpec& result = spec.results[i];
    if (result.kind != SpikeRule::kPlain || result.value_slot == kNone) continue;
    const Slot& slot = slots_[result.value_slot];
    bool apart = result.value_slot != 0 && slot.channels == wide && spec.channels == wide;
    for (int32_t j = 0; j < spec.source_count; ++j)
      apart = apart && (spec.sources[j].is_events || slots_[spec.sources[j].slot].storage != slot.storage);
    for (int32_t j = 0; j < spec.residual_count; ++j)
      apart = apart && slots_[spec.residuals[j]].storage != slot.storage;
    if (apart) return result.value_slot;
  }
  return kNone;
}

template <class T>
int Network<T>::add_layer(const LayerSpec& spec) {
  check(spec);
  const int64_t wide = padded(spec.channels, kWidest<T>);
  Layer layer{spec, {}, {}, {}, {}, {}, {}, direct_slot(spec, wide)};
  int64_t volume = 1;
  if (spec.map != kNone)
    for (int32_t size : maps_[spec.map].geometry.size) volume *= size;
  for (int32_t i = 0; i < spec.source_count; ++i) {
    const SourceSpec& source = spec.sources[i];
    Source kept{source.slot, source.is_events != 0, source.channels, {}, wide};
    if (kept.events) kept.panel = std::min(wide, kPanel<T>);
    if (spec.kind == LayerSpec::kSum)
      kept.weight = in_panels(static_cast<const T*>(source.weight), volume, source.channels, spec.channels, wide, kept.panel);
    layer.sources.push_back(std::move(kept));
  }
  layer.residuals.assign(spec.residuals, spec.residuals + spec.residual_count);
  layer.results.assign(spec.results, spec.results + spec.result_count);
  layer.start = row_of<T>(spec.start, spec.channels);
  layer.start.resize(wide, 0);
  layer.factor = row_of<T>(spec.factor, spec.channels);
  layer.shift = row_of<T>(spec.shift, spec.channels);
  // The caller's arrays need not live on.
  layer.spec.sources = nullptr;
  layer.spec.residuals = nullptr;
  layer.spec.results = nullptr;
  layer.spec.start = layer.spec.factor = layer.spec.shift = nullptr;
  layers_.push_back(std::move(layer));
  return static_cast<int>(layers_.size()) - 1;
}

template <class T>
std::unique_ptr<Session> Network<T>::prepare(const int32_t* coordinates, int64_t count, int64_t batch,
                                             int threads) const {
  require(count >= 0 && count < (int64_t{1} << 31) && batch >= 0, "at most 2^31 - 1 sites");
  for (int64_t i = 0; i < count; ++i)
    require(coordinates[4 * i] >= 0 && coordinates[4 * i] < batch, "a sample index lies outside the batch");
  auto session = std::make_unique<Session>();
  session->owner = this;
  session->batch = batch;
  session->order = ascending_order(coordinates, count);
  SiteRows input(4 * count);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t* site = coordinates + 4 * (session->order.empty() ? i : session->order[i]);
    std::copy(site, site + 4, input.data() + 4 * i);
  }
  session->sites.push_back(std::move(input));
  for (const Strided& step : strided_) session->sites.push_back(strided(session->sites[step.from], step.striding));
  for (const Map& map : maps_) {
    const SiteRows &inputs = session->sites[map.inputs], &outputs = session->sites[map.outputs];
    session->maps.push_back(std::make_unique<KernelMap>(inputs.data(), session->rows(map.inputs), outputs.data(),
                                                        session->rows(map.outputs), map.geometry, threads,
                                                        true));
  }
  int64_t most = batch;
  for (const SiteRows& sites : session->sites) most = std::max(most, static_cast<int64_t>(sites.size()) / 4);
  session->own_rows.resize(most);
  for (int64_t i = 0; i < most; ++i) session->own_rows[i] = static_cast<int32_t>(i);
  for (int32_t set = kSamples; set < static_cast<int32_t>(session->sites.size()); ++set) {
    std::vector<int64_t> starts;
    for (int64_t row = 0; row < session->rows(set); row += kTileRows) starts.push_back(row);
    starts.push_back(session->rows(set));
    session->own_starts.push_back(std::move(starts));
  }
  session->degrees.resize(2 * maps_.size());
  return session;
}

template class Network<float>;
template class Network<double>;

}  // namespace spikevox
