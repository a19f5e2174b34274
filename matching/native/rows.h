// Rows of a dictionary as they are stored: their cosines in float64, and the rows at length 1.
#pragma once
#include <cstdint>

namespace twinsae {

enum Stored { kFloat64, kFloat32, kFloat16, kBfloat16 };

// Rows (count, depth) as they are stored. Times `scale`, a power of two, they are of moderate size
// and have the length `norm`, 0 for zero rows.
struct StoredRows {
  Stored type;
  const void* data;
  int64_t count, depth;
  const double *scale, *norm;

  const void* row(int64_t i) const {
    constexpr int64_t kBytes[] = {8, 4, 2, 2};
    return static_cast<const char*>(data) + i * depth * kBytes[type];
  }
};

// The loops, compiled for several instruction sets; one function for each type of `Stored`.
struct RowLoops {
  // sum over d of a[d] * (scale * row[d]); the order of additions depends on the depth only.
  double (*dot[4])(const double* a, const void* row, double scale, int64_t depth);
  void (*widen[4])(const void* row, double scale, int64_t depth, double* out);
  // The largest magnitude, NaN if the row holds NaN or an infinity.
  double (*largest[4])(const void* row, int64_t depth);
  // out[d] = row[d] * scale / norm
  void (*unit[4])(const void* row, double scale, double norm, int64_t depth, float* out);
};

// The best of this machine.
const RowLoops& row_loops();

// Writes each row's `scale`, by which its largest magnitude is in [1/2, 1) if a power of two from
// 2^-kLargestExponent to 2^kLargestExponent can do it, and `norm` (both (count,)). Returns the first
// row that holds NaN or an infinity, or -1; of such rows the two mean nothing.
int64_t measure_rows(const StoredRows& rows, int threads, double* scale, double* norm);
constexpr int kLargestExponent = 1022;

// out[e] = <a_i, b_j> / (|a_i| |b_j|) for the pair (rows[e], cols[e]), 0 for zero rows; fastest
// where pairs of one row follow each other.
void edge_cosines(const StoredRows& a, const StoredRows& b, const int32_t* rows,
                  const int32_t* cols, int64_t edges, int threads, double* out);

// out (count, depth): the rows `names` at length 1, or 0 for zero rows.
void unit_rows(const StoredRows& rows, const int64_t* names, int64_t count, int threads,
               float* out);

}  // namespace twinsae
