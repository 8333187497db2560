// Sets of sites, and those that a strided convolution leads to.
#pragma once
#include <cstdint>
#include <vector>

namespace spikevox {

// (rows, 4): sample, x, y, z; ascending, none twice.
using SiteRows = std::vector<int32_t>;

// Output o takes inputs o * stride - padding + j * dilation, in units of the inputs' tensor stride.
struct Striding {
  int32_t kernel[3], stride[3], padding[3], dilation[3];
  int64_t tensor_stride[3];  // of the inputs
  bool floor;                // floor(coordinate / stride) instead of every output that an input reaches
  bool bounded;
  int64_t extent[3];  // outputs that a dense convolution over [0, extent) would not have are left out, where bounded
};

// std::invalid_argument for sizes that are not positive.
void check_striding(const Striding& striding);

// std::range_error where outputs leave int32 or their box does not fit 62 bits.
SiteRows strided(const SiteRows& inputs, const Striding& striding);

// The first row that does not come after the one before it; -1 where all ascend.
int64_t first_disorder(const int32_t* coordinates, int64_t count);

// Rows of unordered coordinates in ascending order: order[i] is the row that comes i-th. Empty where they ascend already.
// std::invalid_argument names two equal ones.
std::vector<int32_t> ascending_order(const int32_t* coordinates, int64_t count);

}  // namespace spikevox
