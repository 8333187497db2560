#include "sites.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "packing.h"

namespace spikevox {
namespace {

constexpr int kDigit = 11;
constexpr int64_t kLargest = (int64_t{1} << 31) - 1;

// Least significant digit first; `rows` are moved along where they are given.
void sort_keys(std::vector<int64_t>& keys, int bits, std::vector<int32_t>* rows) {
  std::vector<int64_t> other(keys.size());
  std::vector<int32_t> other_rows(rows ? rows->size() : 0);
  for (int at = 0; at < bits; at += kDigit) {
    std::array<int64_t, 1 << kDigit> starts{};
    constexpr int64_t mask = (1 << kDigit) - 1;
    for (int64_t key : keys) ++starts[(key >> at) & mask];
    int64_t sum = 0;
    for (int64_t& start : starts) {
      const int64_t count = start;
      start = sum;
      sum += count;
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      const int64_t to = starts[(keys[i] >> at) & mask]++;
      other[to] = keys[i];
      if (rows) other_rows[to] = (*rows)[i];
    }
    keys.swap(other);
    if (rows) rows->swap(other_rows);
  }
}

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// The outputs along one axis that take an input at `step`, both in units of their tensor strides.
int axis_outputs(const Striding& s, int axis, int64_t step, int64_t* found) {
  if (s.floor) {
    found[0] = floor_divide(step, s.stride[axis]);
    return 1;
  }
  int count = 0;
  for (int j = 0; j < s.kernel[axis]; ++j) {
    const int64_t moved = step + s.padding[axis] - int64_t{j} * s.dilation[axis];
    const int64_t output = floor_divide(moved, s.stride[axis]);
    if (output * s.stride[axis] == moved) found[count++] = output;
  }
  return count;
}

int64_t axis_extent(const Striding& s, int axis) {
  const int64_t reach = int64_t{s.dilation[axis]} * (s.kernel[axis] - 1) + 1;
  return floor_divide(s.extent[axis] + int64_t{2} * s.padding[axis] - reach, s.stride[axis]) + 1;
}

// Keys of floor(coordinate / scale); neighbours in a row that are equal once.
void round_sites(const SiteRows& inputs, const int64_t* scale, const KeyPacking& packing, std::vector<int64_t>& keys) {
  int shift[3];
  bool powers_of_two = true;
  for (int a = 0; a < 3; ++a) {
    powers_of_two = powers_of_two && !(scale[a] & (scale[a] - 1));
    shift[a] = __builtin_ctzll(scale[a]);
  }
  for (size_t i = 0; i < inputs.size(); i += 4) {
    int64_t site[4] = {inputs[i]};
    for (int a = 0; a < 3; ++a)
      site[a + 1] = powers_of_two ? int64_t{inputs[i + a + 1]} >> shift[a] : floor_divide(inputs[i + a + 1], scale[a]);
    const int64_t key = packing.key(site);
    if (keys.empty() || keys.back() != key) keys.push_back(key);
  }
}

// Keys of every output that an input reaches.
void reach_sites(const SiteRows& inputs, const Striding& s, const int64_t* limit, const KeyPacking& packing,
                 std::vector<int64_t>& keys) {
  const int64_t count = static_cast<int64_t>(inputs.size()) / 4;
  std::array<std::vector<int64_t>, 3> axis;
  for (int a = 0; a < 3; ++a) axis[a].resize(s.kernel[a] + 1);
  for (int64_t i = 0; i < count; ++i) {
    int found[3];
    for (int a = 0; a < 3; ++a) {
      found[a] = axis_outputs(s, a, floor_divide(inputs[4 * i + a + 1], s.tensor_stride[a]), axis[a].data());
      if (!s.bounded) continue;
      int kept = 0;
      for (int j = 0; j < found[a]; ++j)
        if (axis[a][j] >= 0 && axis[a][j] < limit[a]) axis[a][kept++] = axis[a][j];
      found[a] = kept;
    }
    for (int x = 0; x < found[0]; ++x)
      for (int y = 0; y < found[1]; ++y)
        for (int z = 0; z < found[2]; ++z) {
          const int64_t site[4] = {inputs[4 * i], axis[0][x], axis[1][y], axis[2][z]};
          const int64_t key = packing.key(site);
          if (keys.empty() || keys.back() != key) keys.push_back(key);
        }
  }
}

}  // namespace

void check_striding(const Striding& s) {
  for (int a = 0; a < 3; ++a)
    if (s.kernel[a] <= 0 || s.stride[a] <= 0 || s.dilation[a] <= 0 || s.padding[a] < 0 || s.tensor_stride[a] <= 0)
      throw std::invalid_argument("kernel size, stride, dilation and tensor stride must be positive");
}

SiteRows strided(const SiteRows& inputs, const Striding& s) {
  const int64_t count = static_cast<int64_t>(inputs.size()) / 4;
  if (!count) return {};
  std::array<int64_t, 4> lower, upper;
  bounds(inputs.data(), count, lower, upper);
  int64_t limit[3], scale[3];
  for (int a = 0; a < 3; ++a) {
    // Rounded sites know nothing of the kernel.
    const int64_t padding = s.floor ? 0 : s.padding[a];
    const int64_t reach = s.floor ? 0 : int64_t{s.dilation[a]} * (s.kernel[a] - 1);
    lower[a + 1] = floor_divide(floor_divide(lower[a + 1], s.tensor_stride[a]) + padding - reach, s.stride[a]);
    upper[a + 1] = floor_divide(floor_divide(upper[a + 1], s.tensor_stride[a]) + padding + reach, s.stride[a]) + 1;
    limit[a] = s.bounded ? axis_extent(s, a) : 0;
    scale[a] = s.tensor_stride[a] * s.stride[a];
  }
  const KeyPacking packing(lower, upper);
  std::vector<int64_t> keys;
  keys.reserve(count * (s.floor ? 1 : 4));
  if (s.floor && !s.bounded)
    round_sites(inputs, scale, packing, keys);
  else
    reach_sites(inputs, s, limit, packing, keys);
  if (!std::is_sorted(keys.begin(), keys.end())) sort_keys(keys, packing.bits, nullptr);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  SiteRows result(4 * keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    result[4 * i] = static_cast<int32_t>(packing.part(keys[i], 0));
    for (int a = 0; a < 3; ++a) {
      const int64_t value = packing.part(keys[i], a + 1) * scale[a];
      if (value > kLargest || value < -kLargest) throw std::range_error("output sites leave the range of int32 coordinates");
      result[4 * i + a + 1] = static_cast<int32_t>(value);
    }
  }
  return result;
}

int64_t first_disorder(const int32_t* coordinates, int64_t count) {
  // Two numbers of 64 bits that order a site, of its sample and x and of its y and z; the flipped sign bits make the
  // order of signed numbers that of unsigned ones.
  auto half = [](const int32_t* two) {
    constexpr uint32_t sign = uint32_t{1} << 31;
    return uint64_t{static_cast<uint32_t>(two[0]) ^ sign} << 32 | (static_cast<uint32_t>(two[1]) ^ sign);
  };
  for (int64_t i = 1; i < count; ++i) {
    const int32_t *before = coordinates + 4 * (i - 1), *site = coordinates + 4 * i;
    const uint64_t far = half(before), near = half(site);
    if (far > near || (far == near && half(before + 2) >= half(site + 2))) return i;
  }
  return -1;
}

std::vector<int32_t> ascending_order(const int32_t* coordinates, int64_t count) {
  std::array<int64_t, 4> lower, upper;
  bounds(coordinates, count, lower, upper);
  const KeyPacking packing(lower, upper);
  std::vector<int64_t> keys(count);
  bool ascending = true;
  for (int64_t i = 0; i < count; ++i) {
    keys[i] = packing.key(coordinates + 4 * i);
    ascending = ascending && (!i || keys[i] > keys[i - 1]);
  }
  if (ascending) return {};
  std::vector<int32_t> rows(count);
  for (int64_t i = 0; i < count; ++i) rows[i] = static_cast<int32_t>(i);
  sort_keys(keys, packing.bits, &rows);
  for (int64_t i = 1; i < count; ++i)
    if (keys[i] == keys[i - 1])
      throw std::invalid_argument("rows " + std::to_string(rows[i - 1]) + " and " + std::to_string(rows[i]) +
                                  " have the same coordinates");
  return rows;
}

}  // namespace spikevox
