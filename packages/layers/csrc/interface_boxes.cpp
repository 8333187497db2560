// The C interface of boxes.
#include <string>

#include "boxes.h"
#include "interface.h"

using namespace spikevox;

namespace {

Overlap overlap_of(int kind) {
  require(kind == 0 || kind == 1, "overlap is 0, from above, or 1, in space");
  return kind == 0 ? Overlap::kFromAbove : Overlap::kInSpace;
}

void check_boxes(const double* boxes, int64_t count) {
  require(count >= 0, "the number of boxes must not be negative");
  const int64_t row = first_bad_box(boxes, count);
  if (row >= 0)
    throw std::invalid_argument("box " + std::to_string(row) +
                                " has a number that is not finite, 1e8 or more in magnitude, or a negative size");
}

}  // namespace

EXPORT int spikevox_box_overlaps(const double* a, int64_t rows, const double* b, int64_t columns, int kind, double* result,
                                 int threads) {
  return guarded([&] {
    check_boxes(a, rows);
    check_boxes(b, columns);
    overlap_table(a, rows, b, columns, overlap_of(kind), result, threads);
  });
}

EXPORT int spikevox_box_pairs(const double* a, const double* b, int64_t count, int kind, double* result, int threads) {
  return guarded([&] {
    check_boxes(a, count);
    check_boxes(b, count);
    overlap_pairs(a, b, count, overlap_of(kind), result, threads);
  });
}

EXPORT int spikevox_box_suppress(const double* boxes, const int64_t* groups, int64_t count, int kind, double threshold,
                                 int64_t most, int64_t* taken, int64_t* taken_count) {
  return guarded([&] {
    check_boxes(boxes, count);
    require(threshold >= 0 && threshold <= 1, "threshold must lie between 0 and 1");
    *taken_count = suppress(boxes, groups, count, overlap_of(kind), threshold, most, taken);
  });
}
