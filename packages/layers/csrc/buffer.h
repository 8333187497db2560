// Memory whose rows of vectors do not straddle cache lines.
#pragma once
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace spikevox {

// A cache line, and the widest vector: a load across two lines takes twice as long.
constexpr std::align_val_t kAlignment{64};

template <class T>
T* allocate_aligned(uint64_t count) {
  if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_alloc();
  return static_cast<T*>(operator new(count * sizeof(T), kAlignment));
}

// Memory that is not cleared, and that keeps its size when less is asked for.
template <class T>
class Buffer {
 public:
  T* reserve(int64_t count) {
    if (count > size_) {
      data_.reset();
      size_ = 0;  // where there is no memory for more, there is none at all
      data_.reset(allocate_aligned<T>(count));
      size_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { operator delete(data, kAlignment); }
  };
  std::unique_ptr<T[], Free> data_;
  int64_t size_ = 0;
};

template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t count) { return allocate_aligned<T>(count); }
  void deallocate(T* data, size_t) { operator delete(data, kAlignment); }
  template <class U>
  bool operator==(const AlignedAllocator<U>&) const { return true; }
  template <class U>
  bool operator!=(const AlignedAllocator<U>&) const { return false; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace spikevox
