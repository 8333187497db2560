#include "parallel.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace spikevox {

void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& task) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        std::lock_guard<std::mutex> lock(guard);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  // Threads are made for the call: a pool would not survive a fork, and two callers would have to wait for each other.
  std::vector<std::thread> helpers;
  const int64_t wanted = threads < count ? threads : count;
  try {
    helpers.reserve(wanted);
    for (int64_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
  } catch (const std::exception&) {
    // No more threads to be had: those that are there do the work.
  }
  work();
  for (auto& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace spikevox
