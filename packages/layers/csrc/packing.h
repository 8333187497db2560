// Packs (sample, x, y, z) into one integer that sorts alike.
#pragma once
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace spikevox {

struct KeyPacking {
  std::array<int64_t, 4> origin{};
  std::array<int, 4> shift{};
  int bits = 0;

  KeyPacking() = default;
  // For sites within [lower, upper]; std::range_error where the box does not fit.
  KeyPacking(const std::array<int64_t, 4>& lower, const std::array<int64_t, 4>& upper) : origin(lower) {
    for (int a = 3; a >= 0; --a) {
      shift[a] = bits;
      for (int64_t extent = upper[a] - lower[a]; extent; extent >>= 1) ++bits;
    }
    if (bits > 62) throw std::range_error("the sites span a box of " + std::to_string(bits) + " bits, at most 62 fit");
  }

  template <class Site>
  int64_t key(const Site* site) const {
    int64_t result = 0;
    for (int a = 0; a < 4; ++a) result |= (site[a] - origin[a]) << shift[a];
    return result;
  }

  int64_t part(int64_t key, int axis) const {
    const int above = axis ? shift[axis - 1] : bits;
    return ((key >> shift[axis]) & ((int64_t{1} << (above - shift[axis])) - 1)) + origin[axis];
  }
};

// The box of (rows, 4) sites; of no sites it is the origin.
template <class Site>
void bounds(const Site* sites, int64_t count, std::array<int64_t, 4>& lower, std::array<int64_t, 4>& upper) {
  for (int a = 0; a < 4; ++a) lower[a] = upper[a] = count ? sites[a] : 0;
  for (int64_t i = 0; i < count; ++i)
    for (int a = 0; a < 4; ++a) {
      if (sites[4 * i + a] < lower[a]) lower[a] = sites[4 * i + a];
      if (sites[4 * i + a] > upper[a]) upper[a] = sites[4 * i + a];
    }
}

}  // namespace spikevox
