// What the C interface is made of: plain pointers and numbers in, a code out, 0 for done. Whoever calls checks types and
// memory layout; sizes that must agree are checked here. No exception leaves a function.
#pragma once
#include <new>
#include <stdexcept>
#include <string>

#include "kernels.h"

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace spikevox {

// Of the last call that failed on this thread.
inline thread_local std::string message;

enum Code { kDone = 0, kInvalid = 1, kRange = 2, kMemory = 3, kOther = 4 };

template <class Work>
int guarded(Work&& work) {
  try {
    work();
    return kDone;
  } catch (const std::range_error& error) {
    message = error.what();
    return kRange;
  } catch (const std::invalid_argument& error) {
    message = error.what();
    return kInvalid;
  } catch (const std::bad_alloc&) {
    message = "out of memory";
    return kMemory;
  } catch (const std::exception& error) {
    message = error.what();
    return kOther;
  }
}

inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

// Kernels of an instruction set (0 portable, 1 avx2, 2 avx512), null where this processor or build lacks it.
const KernelTable* table_of(int level);

template <class T>
const Kernels<T>& kernels_of(int level);

}  // namespace spikevox
