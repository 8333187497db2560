#include "kernel_map.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>

#include "packing.h"
#include "parallel.h"
#include "sites.h"

namespace spikevox {
namespace {

// Around the box of the inputs there is room for every site that an output could ask for, so that steps are added to packed
// sites without a carry between the axes.
struct Packing {
  std::array<int64_t, 4> lower{}, upper{};  // of the sites that can have a match
  KeyPacking keys;

  Packing(const int32_t* sites, int64_t count, const Geometry& geometry) {
    bounds(sites, count, lower, upper);
    std::array<int64_t, 4> first = lower, last = upper;
    for (int a = 1; a < 4; ++a) {
      const int64_t near = geometry.first[a - 1];
      const int64_t far = near + geometry.step[a - 1] * (geometry.size[a - 1] - 1);
      const int64_t reach = std::max(std::abs(near), std::abs(far));
      lower[a] -= reach;
      upper[a] += reach;
      first[a] = lower[a] - reach;
      last[a] = upper[a] + reach;
    }
    keys = KeyPacking(first, last);
  }
  // Negative where no input can match.
  int64_t key(const int32_t* site) const {
    for (int a = 0; a < 4; ++a)
      if (site[a] < lower[a] || site[a] > upper[a]) return -1;
    return keys.key(site);
  }
  int64_t step(int64_t x, int64_t y, int64_t z) const {
    return x * (int64_t{1} << keys.shift[1]) + y * (int64_t{1} << keys.shift[2]) + z * (int64_t{1} << keys.shift[3]);
  }
};

void check_order(const int32_t* sites, int64_t count, const char* name) {
  const int64_t row = first_disorder(sites, count);
  if (row >= 0)
    throw std::invalid_argument(std::string(name) + " sites must ascend without repetition; row " + std::to_string(row) +
                                " does not");
}

// Matches of all offsets, in room for one a row and one that is written but not kept.
struct Found {
  Found(int64_t volume, int64_t most) : room(most + 1), counts(volume, 0) {
    sources.reserve(volume * room);
    rows.reserve(volume * room);
  }
  Matches of(int64_t k) const { return {sources.data() + k * room, rows.data() + k * room, counts[k]}; }

  int64_t room;
  Buffer<int32_t> sources, rows;
  std::vector<int64_t> counts;
};

// Finds matches for the kernel offsets (jx, jy, *): as rows ascend, so do the keys that are looked for, and one walk along
// the inputs finds them all. `inputs` ends with a key above all others.
struct Column {
  int64_t offset;  // kernel offset of jz = 0
  int64_t plane;   // distance of the offsets of jz and jz + 1
  int64_t move;    // from a packed output to the packed input of jz = 0
  int64_t step, reach;
  int shift;  // of a step that is a power of 2
};

// Steps that are powers of 2, as tensor strides mostly are, need no division.
template <bool PowerOfTwo>
void match_column(const int64_t* inputs, const int64_t* outputs, int64_t count, const Column& column, Found& found) {
  int64_t row = 0;
  while (row < count && outputs[row] < 0) ++row;
  if (row == count) return;
  int32_t* sources = found.sources.data();
  int32_t* rows = found.rows.data();
  int64_t* counts = found.counts.data();
  for (int64_t p = 0; row < count; ++row) {
    if (outputs[row] < 0) continue;
    const int64_t begin = outputs[row] + column.move, end = begin + column.reach;
    while (inputs[p] < begin) ++p;
    for (int64_t q = p; inputs[q] <= end; ++q) {
      int64_t jz = inputs[q] - begin;
      if (PowerOfTwo) {
        if (jz & (column.step - 1)) continue;
        jz >>= column.shift;
      } else {
        if (jz % column.step) continue;
        jz /= column.step;
      }
      const int64_t k = column.offset + jz * column.plane;
      const int64_t at = k * found.room + counts[k]++;
      sources[at] = static_cast<int32_t>(q);
      rows[at] = static_cast<int32_t>(row);
    }
  }
}

// The same for kernels of Size along z over inputs whose keys lie at least a step apart, as those of one tensor stride do.
// Which of the few places is taken is as good as random: everything is written, and kept where it counts, since a branch would
// be guessed wrong half of the time. The walk goes on by up to two inputs without a branch, for the same reason. `inputs` ends
// with two keys above all others.
template <int Size>
void match_short_column(const int64_t* inputs, const int64_t* outputs, int64_t count, const Column& column, Found& found) {
  int32_t *sources[Size], *rows[Size];
  int64_t counts[Size] = {};
  for (int j = 0; j < Size; ++j) {
    sources[j] = found.sources.data() + (column.offset + j * column.plane) * found.room;
    rows[j] = found.rows.data() + (column.offset + j * column.plane) * found.room;
  }
  for (int64_t row = 0, p = 0; row < count; ++row) {
    if (outputs[row] < 0) continue;
    int64_t wanted = outputs[row] + column.move;
    p += (inputs[p] < wanted) + (inputs[p + 1] < wanted);
    while (inputs[p] < wanted) ++p;
    int64_t q = p;
    for (int j = 0; j < Size; ++j, wanted += column.step) {
      q += inputs[q] < wanted;
      sources[j][counts[j]] = static_cast<int32_t>(q);
      rows[j][counts[j]] = static_cast<int32_t>(row);
      counts[j] += inputs[q] == wanted;
    }
  }
  for (int j = 0; j < Size; ++j) found.counts[column.offset + j * column.plane] = counts[j];
}

using Match = void (*)(const int64_t*, const int64_t*, int64_t, const Column&, Found&);

// The way for kernels that reach over `size` places along z; `apart`: the inputs' keys lie at least a step apart.
Match match_for(int64_t size, bool apart, bool power_of_two) {
  if (apart && size == 1) return match_short_column<1>;
  if (apart && size == 2) return match_short_column<2>;
  if (apart && size == 3) return match_short_column<3>;
  return power_of_two ? match_column<true> : match_column<false>;
}

bool lie_apart(const int64_t* keys, int64_t count, int64_t step) {
  for (int64_t i = 1; i < count; ++i)
    if (keys[i] - keys[i - 1] < step) return false;
  return true;
}

// Where the matches of each tile begin, and the end of the last.
std::vector<int64_t> cut(const Matches& matches, int64_t tiles) {
  std::vector<int64_t> result(tiles + 1, 0);
  for (int64_t tile = 1; tile <= tiles; ++tile)
    result[tile] = std::lower_bound(matches.rows + result[tile - 1], matches.rows + matches.count, tile * kTileRows) -
                   matches.rows;
  return result;
}

}  // namespace

KernelMap::KernelMap(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                     const Geometry& geometry, int threads, bool trusted)
    : inputs_(input_count),
      outputs_(output_count),
      volume_(int64_t{geometry.size[0]} * geometry.size[1] * geometry.size[2]) {
  if (!trusted) check_order(inputs, input_count, "input");
  symmetric_ = input_count == output_count &&
               (inputs == outputs || std::equal(inputs, inputs + 4 * input_count, outputs));
  for (int a = 0; a < 3; ++a) symmetric_ = symmetric_ && 2 * geometry.first[a] == -geometry.step[a] * (geometry.size[a] - 1);
  if (!trusted && inputs != outputs) check_order(outputs, output_count, "output");
  build(inputs, outputs, geometry, threads);
}

void KernelMap::build(const int32_t* inputs, const int32_t* outputs, const Geometry& geometry, int threads) {
  const Packing packing(inputs, inputs_, geometry);
  std::vector<int64_t> keys(inputs_ + 2, std::numeric_limits<int64_t>::max()), own(symmetric_ ? 0 : outputs_);
  for (int64_t i = 0; i < inputs_; ++i) keys[i] = packing.keys.key(inputs + 4 * i);
  for (int64_t i = 0; i < static_cast<int64_t>(own.size()); ++i) own[i] = packing.key(outputs + 4 * i);
  const int64_t* wanted = symmetric_ ? keys.data() : own.data();
  // Where outputs are the inputs and the kernel is centred, a match of offset k read backwards is one of the offset across
  // the centre: half of them are looked for.
  const int64_t all = int64_t{geometry.size[0]} * geometry.size[1];
  std::vector<Column> columns;
  for (int64_t c = 0; c < (symmetric_ ? (all + 1) / 2 : all); ++c) {
    const bool centre = symmetric_ && 2 * c + 1 == all;
    columns.push_back({c, all,
                       packing.step(geometry.first[0] + c % geometry.size[0] * geometry.step[0],
                                    geometry.first[1] + c / geometry.size[0] * geometry.step[1], geometry.first[2]),
                       geometry.step[2], geometry.step[2] * ((centre ? (geometry.size[2] + 1) / 2 : geometry.size[2]) - 1),
                       __builtin_ctzll(geometry.step[2])});
  }
  const bool apart = lie_apart(keys.data(), inputs_, geometry.step[2]);
  const bool power_of_two = !(geometry.step[2] & (geometry.step[2] - 1));
  Found found(volume_, outputs_);
  parallel_for(static_cast<int64_t>(columns.size()), threads, [&](int64_t c) {
    const int64_t size = columns[c].reach / columns[c].step + 1;
    match_for(size, apart, power_of_two)(keys.data(), wanted, outputs_, columns[c], found);
  });
  std::vector<Matches> matches(volume_);
  for (int64_t k = 0; k < volume_; ++k) {
    const int64_t across = volume_ - 1 - k;
    const bool looked_for = !symmetric_ || k % all < all / 2 || (k % all == across % all && k <= across);
    const Matches known = found.of(looked_for ? k : across);
    matches[k] = looked_for ? known : Matches{known.rows, known.sources, known.count};
  }
  arrange(matches, threads);
}

void KernelMap::arrange(const std::vector<Matches>& matches, int threads) {
  const int64_t tiles = (outputs_ + kTileRows - 1) / kTileRows;
  std::vector<std::vector<int64_t>> cuts;
  for (const Matches& of_offset : matches) cuts.push_back(cut(of_offset, tiles));
  auto& starts = forward_.starts;
  starts.assign(1, 0);
  starts.reserve(tiles * volume_ + 1);
  for (int64_t tile = 0; tile < tiles; ++tile)
    for (int64_t k = 0; k < volume_; ++k) starts.push_back(starts.back() + cuts[k][tile + 1] - cuts[k][tile]);
  forward_.sources.reserve(pairs());
  forward_.rows.reserve(pairs());
  parallel_for(volume_, threads, [&](int64_t k) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t from = cuts[k][tile], count = cuts[k][tile + 1] - from, to = starts[tile * volume_ + k];
      std::copy_n(matches[k].sources + from, count, forward_.sources.data() + to);
      std::copy_n(matches[k].rows + from, count, forward_.rows.data() + to);
    }
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
          visit(k, forward_.rows.data()[p], forward_.sources.data()[p]);
  };
  each_pair([&](int64_t k, int32_t, int32_t target) { ++starts[(target / kTileRows) * volume_ + k + 1]; });
  for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  backward_.sources.reserve(pairs());
  backward_.rows.reserve(pairs());
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  // For one offset, targets ascend with the rows: those of a tile come out in order.
  each_pair([&](int64_t k, int32_t source, int32_t target) {
    const int64_t at = next[(target / kTileRows) * volume_ + k]++;
    backward_.sources.data()[at] = source;
    backward_.rows.data()[at] = target;
  });
}

PairLists KernelMap::view(const Stored& stored, int64_t targets, bool mirrored) const {
  return {kTileRows, (targets + kTileRows - 1) / kTileRows, targets, volume_, stored.starts.data(),
          stored.sources.data(), stored.rows.data(), mirrored, symmetric_ ? volume_ / 2 : kNoList};
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
