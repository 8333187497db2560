// Which input sites each output site takes.
#pragma once
#include <cstdint>
#include <mutex>
#include <vector>

#include "buffer.h"
#include "kernels.h"

namespace spikevox {

// Rows of a tile: its sums stay in a core's caches while all kernel offsets are gone through.
constexpr int64_t kTileRows = 256;

// Output at coordinate o takes the inputs at o + first + j * step, j = 0 .. size - 1 on each axis, x fastest.
struct Geometry {
  int32_t size[3];
  int64_t first[3];
  int64_t step[3];
};

// Matches of one kernel offset in ascending order of rows, which is that of sources too.
struct Matches {
  const int32_t* sources;
  const int32_t* rows;
  int64_t count;
};

// Pairs in both directions; each begins to exist when it is asked for.
class KernelMap {
 public:
  // Coordinates are (rows, 4): sample, x, y, z, in ascending order, none twice; std::invalid_argument otherwise, and
  // std::range_error where their box does not fit 62 bits. The order of `trusted` coordinates is not looked at.
  KernelMap(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
            const Geometry& geometry, int threads, bool trusted = false);

  // Written rows are outputs, or inputs where `transposed`.
  PairLists lists(bool transposed);
  int64_t pairs() const { return forward_.starts.back(); }
  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }
  int64_t volume() const { return volume_; }

 private:
  struct Stored {
    std::vector<int64_t> starts;
    Buffer<int32_t> sources;
    Buffer<int32_t> rows;
  };
  void build(const int32_t* inputs, const int32_t* outputs, const Geometry& geometry, int threads);
  void arrange(const std::vector<Matches>& matches, int threads);
  void transpose();
  PairLists view(const Stored& stored, int64_t targets, bool mirrored) const;

  int64_t inputs_, outputs_, volume_;
  Stored forward_, backward_;
  bool transposed_ = false;
  bool symmetric_;
  std::mutex guard_;
};

}  // namespace spikevox
