// A network as a list of steps: sites, kernel maps, layers. Made once, then run on any input.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "buffer.h"
#include "convolution.h"
#include "sites.h"

namespace spikevox {

// Rows of a layer that has one for each sample, instead of one for each site.
constexpr int32_t kSamples = -1;
constexpr int32_t kNone = -1;

// What a layer adds up: rows of a slot times a weight. Plain numbers only: Python fills in the same structures.
struct SourceSpec {
  int32_t slot;
  int32_t is_events;
  int64_t channels;
  const void* weight;  // (volume, channels, columns of the layer)
};

// A form in which the result is stored: as it is, or as spikes.
struct ResultSpec {
  int32_t kind;        // SpikeRule::Kind
  int32_t event_slot;  // or kNone
  int32_t value_slot;  // or kNone
  int32_t column;      // of the value slot, where the first channel goes
  double parameter;    // of the SpikeRule
};

// y = (start + sum over sources + sum over residuals) * factor + shift, then stored in each of its forms; or a pooling.
struct LayerSpec {
  enum Kind : int32_t { kSum = 0, kLocalMax = 1, kLocalMean = 2, kSampleMax = 3, kSampleMean = 4, kSampleSum = 5 };
  int32_t kind;
  int32_t sites;       // of the result, or kSamples
  int32_t map;         // or kNone: every row from itself
  int32_t transposed;  // the map is gone through from its outputs to its inputs
  int64_t channels;
  int32_t source_count, residual_count, result_count;
  const SourceSpec* sources;  // a pooling reads the first one, which must be values
  const int32_t* residuals;   // value slots
  const ResultSpec* results;
  const void* start;   // (channels), or null
  const void* factor;  // (channels), or null; then there is a shift too
  const void* shift;
};

// What was met with one input: its sites, and kernel maps between them.
struct Session {
  const void* owner = nullptr;  // the network that made it
  int64_t batch = 0;
  std::vector<SiteRows> sites;
  std::vector<std::unique_ptr<KernelMap>> maps;
  std::vector<int32_t> order;                 // see ascending_order
  // Pairs of each row with itself, for layers without a map.
  std::vector<int32_t> own_rows;
  std::vector<std::vector<int64_t>> own_starts;  // for samples, then for each set of sites
  std::vector<std::vector<int32_t>> degrees;  // for each map and direction: pairs that read a row; filled when asked for
  int64_t rows(int32_t site) const { return site == kSamples ? batch : static_cast<int64_t>(sites[site].size()) / 4; }
};

template <class T>
class Network {
 public:
  // Each returns the index of what it adds; std::invalid_argument where it names something that is not there.
  int add_sites(int32_t from, const Striding& striding);
  int add_map(int32_t inputs, int32_t outputs, const Geometry& geometry);
  // A table that layers write and read; tables with the same storage must not be in use at the same time. The first one
  // holds the input.
  int add_slot(int32_t sites, int64_t channels, bool events, int32_t storage);
  int add_layer(const LayerSpec& spec);
  // A value slot whose rows are a result of the network.
  int add_output(int32_t slot);

  std::unique_ptr<Session> prepare(const int32_t* coordinates, int64_t count, int64_t batch, int threads) const;
  // `features` (rows of the input, channels of slot 0) and the outputs are in the order of the input's rows. `work` (layers)
  // takes the number of additions of a weight's row to a result, times its columns, that were made; a layer that reads
  // values counts all of them.
  void execute(const Kernels<T>& kernels, Session& session, const T* features, T* const* outputs, int64_t* work,
               int threads);

  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  int64_t outputs() const { return static_cast<int64_t>(outputs_.size()); }
  int64_t input_channels() const { return slots_.empty() ? 0 : slots_[0].channels; }

 private:
  struct Slot {
    int32_t sites;
    int64_t channels;
    bool events;
    int32_t storage;
  };
  struct Source {
    int32_t slot;
    bool events;
    int64_t channels;
    AlignedVector<T> weight;  // columns padded for the widest vector, for events in panels
    int64_t panel;            // columns of one
  };
  struct Layer {
    LayerSpec spec;
    std::vector<Source> sources;
    std::vector<int32_t> residuals;
    std::vector<ResultSpec> results;
    AlignedVector<T> start, factor, shift;
    // The slot of plain values in which the sums are made, so that they need not be copied there.
    int32_t direct;
  };
  struct Strided {
    int32_t from;
    Striding striding;
  };
  struct Map {
    int32_t inputs, outputs;
    Geometry geometry;
  };
  struct Workspace {
    std::vector<Buffer<T>> values;
    std::vector<EventTable<T>> events;
    std::vector<T*> tables;  // of each slot: its storage, or what the caller gave
    Buffer<T> sorted;
  };

  void check(const LayerSpec& spec) const;
  int32_t direct_slot(const LayerSpec& spec, int64_t wide) const;
  void check_slot(int32_t slot, bool events, int32_t sites, int64_t channels) const;
  std::unique_ptr<Workspace> take_workspace();
  void give_workspace(std::unique_ptr<Workspace> workspace);
  void bind(const Session& session, const T* features, T* const* outputs, Workspace& workspace) const;
  PairLists lists(const Layer& layer, Session& session) const;
  int64_t work(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, Session& session,
               const Workspace& workspace) const;
  void sum_tile(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, int64_t tile,
                Workspace& workspace) const;
  void pool_tile(const Kernels<T>& kernels, const Layer& layer, const PairLists& lists, int64_t tile,
                 Workspace& workspace) const;
  void pool_samples(const Layer& layer, const Session& session, int threads, Workspace& workspace) const;
  void finish_tile(const Kernels<T>& kernels, const Layer& layer, int64_t tile, int64_t first, int64_t last,
                   int64_t stride, T* sums, Workspace& workspace) const;

  std::vector<Strided> strided_;
  std::vector<Map> maps_;
  std::vector<Slot> slots_;
  std::vector<Layer> layers_;
  std::vector<int32_t> outputs_;
  std::mutex guard_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace spikevox
