// Tasks over threads that wait without spinning, so that they cost nothing on a busy machine.
#pragma once
#include <cstdint>
#include <functional>

namespace spikevox {

// Runs task(0) .. task(count - 1), each once, on at most `threads` threads, this one among them. Which thread runs a task
// is not fixed: results must not depend on it. Rethrows the first exception of a task.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& task);

}  // namespace spikevox
