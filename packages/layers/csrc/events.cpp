#include "events.h"

#include <stdexcept>

#include "parallel.h"

namespace spikevox {
namespace {

// An encoder writes whole vectors; behind the last row there is room for one.
constexpr int64_t kSlack = 16;

}  // namespace

template <class T>
void EventTable<T>::reset(int64_t rows, int64_t channels) {
  rows_ = rows;
  channels_ = channels;
  stretch_ = kTileRows * ((channels + kGroup - 1) / kGroup * kGroup) + kSlack;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  if (tiles * stretch_ > int64_t{0xffffffff}) throw std::invalid_argument("a feature table has more than 2^32 values");
  spans_.reserve(rows);
  numbers_.reserve(tiles * stretch_);
  values_.reserve(tiles * stretch_);
}

template <class T>
void EventTable<T>::encode(const Kernels<T>& kernels, const T* table, int threads) {
  parallel_for((rows_ + kTileRows - 1) / kTileRows, threads, [&](int64_t tile) {
    encode_tile(kernels, {SpikeRule::kPlain, 0}, tile, table + tile * kTileRows * channels_, channels_);
  });
}

template <class T>
int64_t EventTable<T>::count() const {
  int64_t result = 0;
  for (int64_t r = 0; r < rows_; ++r) result += spans_.data()[r].end - spans_.data()[r].begin;
  return result;
}

template class EventTable<float>;
template class EventTable<double>;

}  // namespace spikevox
