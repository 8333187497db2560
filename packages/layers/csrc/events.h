// The values of a feature table that are not zero.
#pragma once
#include <cstdint>

#include "buffer.h"
#include "kernel_map.h"
#include "kernels.h"

namespace spikevox {

// Each tile of rows has a stretch of its own, so that tiles can be written in any order.
template <class T>
class EventTable {
 public:
  // std::invalid_argument for a table whose values cannot be counted in 32 bits.
  void reset(int64_t rows, int64_t channels);
  // Writes the rows of one tile after a rule; `rows` is the first, and the next one begins `stride` values later.
  void encode_tile(const Kernels<T>& kernels, const SpikeRule& rule, int64_t tile, const T* rows, int64_t stride) {
    const int64_t first = tile * kTileRows, last = first + kTileRows < rows_ ? first + kTileRows : rows_;
    kernels.encode_rows(rule, rows, stride, last - first, channels_, tile * stretch_, spans_.data() + first,
                        numbers_.data(), values_.data());
  }
  // All rows of a table (rows, channels).
  void encode(const Kernels<T>& kernels, const T* table, int threads);

  Events<T> view() const { return {spans_.data(), numbers_.data(), values_.data()}; }
  int64_t rows() const { return rows_; }
  int64_t channels() const { return channels_; }
  int64_t count() const;

 private:
  int64_t rows_ = 0, channels_ = 0, stretch_ = 0;
  Buffer<Span> spans_;
  Buffer<uint16_t> numbers_;
  Buffer<T> values_;
};

}  // namespace spikevox
