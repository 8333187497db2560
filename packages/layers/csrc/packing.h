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
inline void bounds(const int32_t* sites, int64_t count, std::array<int64_t, 4>& lower, std::array<int64_t, 4>& upper) {
  typedef int32_t Site __attribute__((vector_size(16), aligned(4), may_alias));
  Site least{}, most{};
  if (count) least = most = *reinterpret_cast<const Site*>(sites);
  for (int64_t i = 1; i < count; ++i) {
    const Site site = *reinterpret_cast<const Site*>(sites + 4 * i);
    least = site < least ? site : least;
    most = site > most ? site : most;
  }
  for (int a = 0; a < 4; ++a) {
    lower[a] = least[a];
    upper[a] = most[a];
  }
}

}  // namespace spikevox
