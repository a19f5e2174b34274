// What both int8 instruction sets do with AVX-512: see CodesIsa.
#pragma once
#include "codes/isa.h"

namespace twinsae::avx512 {

// Rotates a row: out = R row, R orthogonal and the same for all rows of a depth. In float32, |out -
// R row| is at most kRotationError |row|: each of two transforms rounds every entry 15 times for
// its sums (rows are no longer than 2^16), once for its product with a rounded unit, each by 2^-24.
void rotate(const float* row, int64_t depth, float* out);
constexpr float kRotationError = 2.2e-6f;

RowBound quantise(const float* row, int64_t depth, int planes, float* room, int8_t* high,
                  int8_t* low);
void transpose(const int8_t* rows, int64_t stride, int8_t* to);
uint32_t collect(const int32_t* sums, int planes, const PanelBounds& panel, const float* offsets,
                 const float* doubts, uint32_t lanes, int32_t column, const RowBound* tokens,
                 int64_t rows, const Lists& lists);
uint32_t collect_columns(const int32_t* sums, int planes, const PanelBounds& panel, uint32_t lanes,
                         const RowBound* tokens, int64_t rows, int32_t token, const Lists& columns);
float kth_largest(const float* values, int64_t count, int64_t k, float least);
void drop_below(const Lists& lists, int64_t row, int64_t first, float threshold);

}  // namespace twinsae::avx512
