// Cosines of stored rows, in float64.
#pragma once
#include <cstdint>

namespace twinsae {

enum class Stored { float64, float32, float16, bfloat16 };

// Rows (count, depth) as they are stored. Times `scale`, a power of two, they are of moderate size
// and have the length `norm`, 0 for zero rows.
struct StoredRows {
  Stored type;
  const void* data;
  int64_t count, depth;
  const double *scale, *norm;
};

// out[e] = <a_i, b_j> / (|a_i| |b_j|) for the pair (rows[e], cols[e]), 0 for zero rows; fastest
// where pairs of one row follow each other. The order of additions depends on the depth only.
template <class Index>
void edge_cosines(const StoredRows& a, const StoredRows& b, const Index* rows, const Index* cols,
                  int64_t edges, int threads, double* out);

}  // namespace twinsae
