// Upright boxes that are turned about their vertical axis: how far they overlap, and which of them suppress which.
#pragma once
#include <cstdint>

namespace spikevox {

// A box is seven numbers: centre x, y, z; length, width, height; yaw. Those of a table lie one after the other.
constexpr int64_t kBoxNumbers = 7;

enum class Overlap { kFromAbove = 0, kInSpace = 1 };

// The first box with a number that is not finite or not below 1e8 in magnitude, or with a negative size; -1 where all are
// well.
int64_t first_bad_box(const double* boxes, int64_t count);

// Intersection over union of each box of `a` with each of `b`, (rows, columns); 0 where both are empty.
void overlap_table(const double* a, int64_t rows, const double* b, int64_t columns, Overlap kind, double* result, int threads);

// Intersection over union of each box of `a` with the one of `b` in the same place.
void overlap_pairs(const double* a, const double* b, int64_t count, Overlap kind, double* result, int threads);

// Takes boxes in their order and drops those that overlap one that was taken by more than `threshold`, until `most` are
// taken. Boxes of different groups do not meet; `groups` may be null. Writes the rows taken and returns how many.
int64_t suppress(const double* boxes, const int64_t* groups, int64_t count, Overlap kind, double threshold, int64_t most,
                 int64_t* taken);

}  // namespace spikevox
