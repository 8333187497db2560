#include "boxes.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel.h"

namespace spikevox {
namespace {

// Rows of a table, and pairs, that a thread takes at a time.
constexpr int64_t kRows = 16;
constexpr int64_t kPairs = 4096;
constexpr double kLargest = 1e8;
constexpr double kNoise = 1e-14;

struct Box {
  double x, y, z, length, width, height, yaw;
  double radius;  // of the circle around it, seen from above
};

std::vector<Box> read(const double* numbers, int64_t count) {
  std::vector<Box> boxes(count);
  for (int64_t i = 0; i < count; ++i) {
    const double* n = numbers + i * kBoxNumbers;
    boxes[i] = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], std::sqrt(n[3] * n[3] + n[4] * n[4]) / 2};
  }
  return boxes;
}

void sort2(double& a, double& b) {
  const double low = std::min(a, b);
  b = std::max(a, b);
  a = low;
}

// Where, from 0 to 1, an edge from `start` by `step` crosses a line; anywhere if it never does.
double crossing(double line, double start, double step) {
  return step == 0 ? 0 : std::min(1.0, std::max(0.0, (line - start) / step));
}

// Area that two boxes share, seen from above.
//
// The outline of `b`, seen from `a`, is drawn with every point moved to the nearest one of `a`. That keeps how often it runs
// around each point inside `a` and lies within `a`, so the area that it encloses is the shared one. The moved outline bends
// only where an edge crosses a line that a side of `a` lies on, four times an edge at most. Nothing here tells touching,
// nested or equal boxes from others, so there is no case that rounding can take for another.
double shared_area(const Box& a, const Box& b) {
  const double c = std::cos(a.yaw), s = std::sin(a.yaw), turn = b.yaw - a.yaw;
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double x = dx * c + dy * s, y = dy * c - dx * s;
  const double along_x = std::cos(turn) * b.length / 2, along_y = std::sin(turn) * b.length / 2;
  const double across_x = -std::sin(turn) * b.width / 2, across_y = std::cos(turn) * b.width / 2;
  const double corners[5][2] = {{x + along_x + across_x, y + along_y + across_y},
                                {x - along_x + across_x, y - along_y + across_y},
                                {x - along_x - across_x, y - along_y - across_y},
                                {x + along_x - across_x, y + along_y - across_y},
                                {x + along_x + across_x, y + along_y + across_y}};
  const double half_length = a.length / 2, half_width = a.width / 2;
  const auto clamp = [](double value, double half) { return std::min(half, std::max(-half, value)); };
  double last_x = clamp(corners[0][0], half_length), last_y = clamp(corners[0][1], half_width);
  double twice = 0;
  for (int edge = 0; edge < 4; ++edge) {
    const double x0 = corners[edge][0], y0 = corners[edge][1];
    const double step_x = corners[edge + 1][0] - x0, step_y = corners[edge + 1][1] - y0;
    double at[4] = {crossing(-half_length, x0, step_x), crossing(half_length, x0, step_x),
                    crossing(-half_width, y0, step_y), crossing(half_width, y0, step_y)};
    sort2(at[0], at[1]);
    sort2(at[2], at[3]);
    sort2(at[0], at[2]);
    sort2(at[1], at[3]);
    sort2(at[1], at[2]);
    for (int bend = 0; bend < 5; ++bend) {
      const double next_x = clamp(bend < 4 ? x0 + at[bend] * step_x : corners[edge + 1][0], half_length);
      const double next_y = clamp(bend < 4 ? y0 + at[bend] * step_y : corners[edge + 1][1], half_width);
      twice += last_x * next_y - last_y * next_x;
      last_x = next_x;
      last_y = next_y;
    }
  }
  // Rounding of the sum is less: boxes that do not meet share nothing.
  return twice / 2 > kNoise * a.length * a.width ? twice / 2 : 0;
}

double overlap(const Box& a, const Box& b, Overlap kind) {
  const double dx = a.x - b.x, dy = a.y - b.y, reach = a.radius + b.radius;
  if (dx * dx + dy * dy > reach * reach) return 0;
  double tall = 1, volume_a = a.length * a.width, volume_b = b.length * b.width;
  if (kind == Overlap::kInSpace) {
    // From the distance of the middles: tops and bottoms would lose a thin box's height to rounding.
    tall = std::min((a.height + b.height) / 2 - std::abs(a.z - b.z), std::min(a.height, b.height));
    if (tall <= 0) return 0;
    volume_a *= a.height;
    volume_b *= b.height;
  }
  const double shared = std::min(shared_area(a, b) * tall, std::min(volume_a, volume_b));
  return shared > 0 ? shared / (volume_a + volume_b - shared) : 0;
}

}  // namespace

int64_t first_bad_box(const double* boxes, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t n = 0; n < kBoxNumbers; ++n) {
      const double value = boxes[i * kBoxNumbers + n];
      // Written so that NaN is bad too.
      if (!(std::abs(value) < kLargest) || (n >= 3 && n < 6 && value < 0)) return i;
    }
  return -1;
}

void overlap_table(const double* a, int64_t rows, const double* b, int64_t columns, Overlap kind, double* result,
                   int threads) {
  const std::vector<Box> first = read(a, rows), second = read(b, columns);
  parallel_for((rows + kRows - 1) / kRows, threads, [&](int64_t run) {
    for (int64_t i = run * kRows; i < std::min(rows, (run + 1) * kRows); ++i)
      for (int64_t j = 0; j < columns; ++j) result[i * columns + j] = overlap(first[i], second[j], kind);
  });
}

void overlap_pairs(const double* a, const double* b, int64_t count, Overlap kind, double* result, int threads) {
  const std::vector<Box> first = read(a, count), second = read(b, count);
  parallel_for((count + kPairs - 1) / kPairs, threads, [&](int64_t run) {
    for (int64_t i = run * kPairs; i < std::min(count, (run + 1) * kPairs); ++i)
      result[i] = overlap(first[i], second[i], kind);
  });
}

int64_t suppress(const double* boxes, const int64_t* groups, int64_t count, Overlap kind, double threshold, int64_t most,
                 int64_t* taken) {
  const std::vector<Box> all = read(boxes, count);
  int64_t kept = 0;
  for (int64_t i = 0; i < count && kept < most; ++i) {
    const bool free = std::none_of(taken, taken + kept, [&](int64_t other) {
      return (!groups || groups[other] == groups[i]) && overlap(all[other], all[i], kind) > threshold;
    });
    if (free) taken[kept++] = i;
  }
  return kept;
}

}  // namespace spikevox
