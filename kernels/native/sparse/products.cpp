// Decoding, and the errors and gradients that need the decoded rows.
#include "sparse/products.h"

#include <algorithm>
#include <vector>

#include "float32/isa.h"
#include "sparse/row_sum.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kRowsOfTask = 16;

template <class Body>
void for_rows(const Sparse& s, int threads, const Body& body) {
  parallel_for((s.rows + kRowsOfTask - 1) / kRowsOfTask, threads, [&](int64_t task) {
    const int64_t end = std::min(s.rows, (task + 1) * kRowsOfTask);
    for (int64_t n = task * kRowsOfTask; n < end; ++n) body(n);
  });
}

void decode_row(const Float32Isa& isa, const Sparse& s, int64_t n, const float* values,
                const float* weight, const float* bias, float* out) {
  if (bias)
    std::copy(bias, bias + s.depth, out);
  else
    std::fill(out, out + s.depth, 0.0f);
  RowSum sum(isa, out, s.depth);
  for (int64_t i = s.begin(n); i < s.end(n); ++i)
    if (s.indices[i] >= 0) sum.add(weight + s.indices[i] * s.depth, values[i]);
}

void gather_dot_row(const Float32Isa& isa, const Sparse& s, int64_t n, const float* left,
                    const float* weight, float* out) {
  for (int64_t i = s.begin(n); i < s.end(n); ++i)
    out[i] = s.indices[i] < 0 ? 0.0f : isa.dot(left, weight + s.indices[i] * s.depth, s.depth);
}

}  // namespace

void sparse_decode(const Sparse& s, const float* values, const float* weight, const float* bias,
                   int threads, float* out) {
  const Float32Isa& isa = current_float32_isa();
  for_rows(s, threads,
           [&](int64_t n) { decode_row(isa, s, n, values, weight, bias, out + n * s.depth); });
}

void gather_dot(const Sparse& s, const float* left, const float* weight, int threads, float* out) {
  const Float32Isa& isa = current_float32_isa();
  for_rows(s, threads,
           [&](int64_t n) { gather_dot_row(isa, s, n, left + n * s.depth, weight, out); });
}

void decode_error(const Sparse& s, const float* values, const float* weight, const float* bias,
                  const float* target, float scale, int threads, const DecodedError& out) {
  const Float32Isa& isa = current_float32_isa();
  for_rows(s, threads, [&](int64_t n) {
    float* row = out.g + n * s.depth;
    decode_row(isa, s, n, values, weight, bias, row);
    for (int64_t d = 0; d < s.depth; ++d) row[d] -= target[n * s.depth + d];
    out.squares[n] = isa.dot(row, row, s.depth);
    for (int64_t d = 0; d < s.depth; ++d) row[d] *= scale;
    gather_dot_row(isa, s, n, row, weight, out.d_values);
  });
}

void decode_squares(const Sparse& s, const float* values, const float* weight, const float* bias,
                    const float* target, const float* centre, int threads,
                    const DecodedSquares& out) {
  const Float32Isa& isa = current_float32_isa();
  for_rows(s, threads, [&](int64_t n) {
    const float *own = target + n * s.depth, *row = out.out + n * s.depth;
    std::vector<float> difference(static_cast<size_t>(s.depth));
    const auto square = [&](const float* from, const float* to) {
      for (int64_t d = 0; d < s.depth; ++d) difference[d] = to[d] - from[d];
      return isa.dot(difference.data(), difference.data(), s.depth);
    };
    decode_row(isa, s, n, values, weight, bias, out.out + n * s.depth);
    out.squares[n] = square(own, row);
    out.deviations[n] = square(centre, own);
  });
}

}  // namespace twinsae
