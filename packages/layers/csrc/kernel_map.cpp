#include "kernel_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace spikevox {
namespace {

constexpr int64_t kTileRows = 256;
// Tiles that one task searches, so that the start of its search is found once for many rows.
constexpr int64_t kTilesOfTask = 16;

// Packs (sample, x, y, z) inside the box of a set of sites into one integer that sorts alike.
struct Box {
  std::array<int64_t, 4> lower{}, upper{};
  std::array<int, 4> shift{};

  Box(const int32_t* sites, int64_t count) {
    for (int a = 0; a < 4; ++a) lower[a] = upper[a] = count ? sites[a] : 0;
    for (int64_t i = 0; i < count; ++i)
      for (int a = 0; a < 4; ++a) {
        lower[a] = std::min<int64_t>(lower[a], sites[4 * i + a]);
        upper[a] = std::max<int64_t>(upper[a], sites[4 * i + a]);
      }
    int total = 0;
    for (int a = 3; a >= 0; --a) {
      shift[a] = total;
      for (int64_t extent = upper[a] - lower[a]; extent; extent >>= 1) ++total;
    }
    if (total > 62) throw std::range_error("the sites span a box of " + std::to_string(total) + " bits, at most 62 fit");
  }
  bool holds(int axis, int64_t value) const { return value >= lower[axis] && value <= upper[axis]; }
  int64_t part(int axis, int64_t value) const { return (value - lower[axis]) << shift[axis]; }
};

void check_order(const int32_t* sites, int64_t count, const char* name) {
  for (int64_t i = 1; i < count; ++i)
    if (!std::lexicographical_compare(sites + 4 * (i - 1), sites + 4 * i, sites + 4 * i, sites + 4 * i + 4))
      throw std::invalid_argument(std::string(name) + " sites must ascend without repetition; row " + std::to_string(i) +
                                  " does not");
}

struct Search {
  const Box& box;
  const std::vector<int64_t>& keys;
  const int32_t* outputs;
  const Geometry& geometry;
};

// Matches of one tile: up to kTileRows for each kernel offset.
struct Found {
  explicit Found(int64_t volume) : sources(volume * kTileRows), rows(volume * kTileRows), counts(volume) {}
  std::vector<int32_t> sources, rows;
  std::vector<int64_t> counts;
};

// Matches of the rows [first, last) for the kernel offsets (jx, jy, *): as rows ascend, so do the keys that are looked
// for, and one walk along the inputs finds them all.
void match_column(const Search& search, int64_t first, int64_t last, int jx, int jy, size_t& position, Found& found) {
  const Geometry& g = search.geometry;
  const Box& box = search.box;
  const int64_t* keys = search.keys.data();
  const size_t count = search.keys.size();
  const int64_t reach = g.step[2] * (g.size[2] - 1);
  size_t p = position;
  for (int64_t row = first; row < last; ++row) {
    const int32_t* o = search.outputs + 4 * row;
    const int64_t x = o[1] + g.first[0] + jx * g.step[0], y = o[2] + g.first[1] + jy * g.step[1];
    if (!box.holds(0, o[0]) || !box.holds(1, x) || !box.holds(2, y)) continue;
    const int64_t lowest = o[3] + g.first[2];
    const int64_t from = std::max(lowest, box.lower[3]), to = std::min(lowest + reach, box.upper[3]);
    if (from > to) continue;
    const int64_t column = box.part(0, o[0]) | box.part(1, x) | box.part(2, y);
    const int64_t begin = column | box.part(3, from), end = column | box.part(3, to);
    while (p < count && keys[p] < begin) ++p;
    for (size_t q = p; q < count && keys[q] <= end; ++q) {
      const int64_t distance = (keys[q] - column) + box.lower[3] - lowest;
      if (distance % g.step[2]) continue;
      const int64_t k = jx + g.size[0] * (jy + g.size[1] * (distance / g.step[2]));
      const int64_t at = k * kTileRows + found.counts[k]++;
      found.sources[at] = static_cast<int32_t>(q);
      found.rows[at] = static_cast<int32_t>(row);
    }
  }
  position = p;
}

// First input that a row's search could need.
size_t start_of(const Search& search, int64_t row, int jx, int jy) {
  const Geometry& g = search.geometry;
  const Box& box = search.box;
  const int32_t* o = search.outputs + 4 * row;
  const int64_t wanted[4] = {o[0], o[1] + g.first[0] + jx * g.step[0], o[2] + g.first[1] + jy * g.step[1],
                             o[3] + g.first[2]};
  int64_t key = 0;
  for (int a = 0; a < 4; ++a) {
    if (wanted[a] > box.upper[a]) {
      // Everything below this prefix is smaller: go on behind it.
      const int64_t next = key + (int64_t{1} << (a ? box.shift[a - 1] : 62));
      return std::lower_bound(search.keys.begin(), search.keys.end(), next) - search.keys.begin();
    }
    if (wanted[a] < box.lower[a]) break;
    key |= box.part(a, wanted[a]);
  }
  return std::lower_bound(search.keys.begin(), search.keys.end(), key) - search.keys.begin();
}

}  // namespace

KernelMap::KernelMap(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                     const Geometry& geometry, int threads)
    : inputs_(input_count),
      outputs_(output_count),
      volume_(int64_t{geometry.size[0]} * geometry.size[1] * geometry.size[2]) {
  check_order(inputs, input_count, "input");
  symmetric_ = input_count == output_count &&
               (inputs == outputs || std::equal(inputs, inputs + 4 * input_count, outputs));
  for (int a = 0; a < 3; ++a) symmetric_ = symmetric_ && 2 * geometry.first[a] == -geometry.step[a] * (geometry.size[a] - 1);
  if (inputs != outputs) check_order(outputs, output_count, "output");
  build(inputs, outputs, geometry, threads);
}

void KernelMap::build(const int32_t* inputs, const int32_t* outputs, const Geometry& geometry, int threads) {
  const Box box(inputs, inputs_);
  std::vector<int64_t> keys(inputs_);
  for (int64_t i = 0; i < inputs_; ++i) {
    keys[i] = 0;
    for (int a = 0; a < 4; ++a) keys[i] |= box.part(a, inputs[4 * i + a]);
  }
  const Search search{box, keys, outputs, geometry};
  const int64_t tiles = (outputs_ + kTileRows - 1) / kTileRows;
  const int64_t tasks = (tiles + kTilesOfTask - 1) / kTilesOfTask;
  std::vector<Stored> parts(tasks);
  forward_.starts.assign(tiles * volume_ + 1, 0);
  parallel_for(tasks, threads, [&](int64_t task) {
    Found found(volume_);
    const int64_t columns = int64_t{geometry.size[0]} * geometry.size[1];
    std::vector<size_t> positions(columns);
    const int64_t first_tile = task * kTilesOfTask, last_tile = std::min(tiles, first_tile + kTilesOfTask);
    for (int64_t c = 0; c < columns; ++c)
      positions[c] = start_of(search, first_tile * kTileRows, c % geometry.size[0], c / geometry.size[0]);
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const int64_t first = tile * kTileRows, last = std::min(outputs_, first + kTileRows);
      for (int64_t c = 0; c < columns; ++c)
        match_column(search, first, last, c % geometry.size[0], c / geometry.size[0], positions[c], found);
      for (int64_t k = 0; k < volume_; ++k) {
        const int64_t begin = k * kTileRows, end = begin + found.counts[k];
        forward_.starts[tile * volume_ + k + 1] = found.counts[k];
        parts[task].sources.insert(parts[task].sources.end(), found.sources.begin() + begin, found.sources.begin() + end);
        parts[task].rows.insert(parts[task].rows.end(), found.rows.begin() + begin, found.rows.begin() + end);
        found.counts[k] = 0;
      }
    }
  });
  for (size_t i = 1; i < forward_.starts.size(); ++i) forward_.starts[i] += forward_.starts[i - 1];
  forward_.sources.resize(forward_.starts.back());
  forward_.rows.resize(forward_.starts.back());
  parallel_for(tasks, threads, [&](int64_t task) {
    const int64_t at = forward_.starts[task * kTilesOfTask * volume_];
    std::copy(parts[task].sources.begin(), parts[task].sources.end(), forward_.sources.begin() + at);
    std::copy(parts[task].rows.begin(), parts[task].rows.end(), forward_.rows.begin() + at);
  });
}

void KernelMap::transpose() {
  const int64_t tiles = (inputs_ + kTileRows - 1) / kTileRows;
  const int64_t forward_tiles = (outputs_ + kTileRows - 1) / kTileRows;
  auto& starts = backward_.starts;
  starts.assign(tiles * volume_ + 1, 0);
  auto each_pair = [&](auto&& visit) {
    for (int64_t k = 0; k < volume_; ++k)
      for (int64_t tile = 0; tile < forward_tiles; ++tile)
        for (int64_t p = forward_.starts[tile * volume_ + k]; p < forward_.starts[tile * volume_ + k + 1]; ++p)
          visit(k, forward_.rows[p], forward_.sources[p]);
  };
  each_pair([&](int64_t k, int32_t, int32_t target) { ++starts[(target / kTileRows) * volume_ + k + 1]; });
  for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  backward_.sources.resize(pairs());
  backward_.rows.resize(pairs());
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  // For one offset, targets ascend with the rows: those of a tile come out in order.
  each_pair([&](int64_t k, int32_t source, int32_t target) {
    const int64_t at = next[(target / kTileRows) * volume_ + k]++;
    backward_.sources[at] = source;
    backward_.rows[at] = target;
  });
}

PairLists KernelMap::view(const Stored& stored, int64_t targets, bool mirrored) const {
  return {kTileRows, (targets + kTileRows - 1) / kTileRows, targets, volume_, stored.starts.data(),
          stored.sources.data(), stored.rows.data(), mirrored};
}

PairLists KernelMap::lists(bool transposed) {
  if (!transposed) return view(forward_, outputs_, false);
  if (symmetric_) return view(forward_, outputs_, true);
  std::lock_guard<std::mutex> lock(guard_);
  if (!transposed_) {
    transpose();
    transposed_ = true;
  }
  return view(backward_, inputs_, false);
}

}  // namespace spikevox
