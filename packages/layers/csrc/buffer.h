#pragma once
#include <cstdint>
#include <memory>

namespace spikevox {

// Memory that is not cleared, and that keeps its size when less is asked for.
template <class T>
class Buffer {
 public:
  T* reserve(int64_t count) {
    if (count > size_) {
      data_.reset(new T[count]);
      size_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  std::unique_ptr<T[]> data_;
  int64_t size_ = 0;
};

}  // namespace spikevox
