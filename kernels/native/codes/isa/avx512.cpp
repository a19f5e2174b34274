#include "codes/isa/avx512.h"

#ifdef TWINSAE_X86
// g++ 12 takes the intrinsics' own undefined vectors for ours.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")

namespace twinsae::avx512 {
namespace {

constexpr float kInfinity = __builtin_inff();
// Beyond these a square may overflow, or a scale lose its precision.
constexpr float kLargest = 1e15f, kSmallest = 1e-13f;
// Covers the rounding of float32 sums below, in which every term is positive, and of what is
// summed.
constexpr float kUp = 1.0f + 1e-3f;
constexpr float kRounding = 2e-7f;

__mmask16 lanes_from(int64_t i, int64_t count) {
  return count - i >= 16 ? 0xffff : (1u << (count - i)) - 1;
}

float largest_of(const float* row, int64_t depth) {
  __m512 most = _mm512_setzero_ps();
  __mmask16 bad = 0;
  for (int64_t i = 0; i < depth; i += 16) {
    const __m512 part = _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes_from(i, depth), row + i));
    bad |= _mm512_cmp_ps_mask(part, _mm512_set1_ps(kLargest), _CMP_NLE_UQ);
    most = _mm512_max_ps(most, part);
  }
  return bad ? kInfinity : _mm512_reduce_max_ps(most);
}

// Sums over a row's entries as they are quantised.
struct Sums {
  __m512 norm, residual, low;
  __m512i high_sum, low_sum;
};

template <int kPlanes>
Sums quantise_row(const float* row, int64_t depth, float scale, float inverse, int8_t* high,
                  int8_t* low) {
  const __m512 unit = _mm512_set1_ps(scale), per_unit = _mm512_set1_ps(inverse);
  const __m512 low_unit = _mm512_set1_ps(scale * kLowUnit);
  const __m512 per_low_unit = _mm512_set1_ps(inverse / kLowUnit);
  Sums sums{};
  for (int64_t i = 0; i < depth; i += 16) {
    const __mmask16 here = lanes_from(i, depth);
    const __m512 w = _mm512_maskz_loadu_ps(here, row + i);
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(w, per_unit));
    __m512 left = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(rounded), unit, w);
    sums.norm = _mm512_fmadd_ps(w, w, sums.norm);
    sums.high_sum = _mm512_add_epi32(sums.high_sum, rounded);
    _mm_mask_storeu_epi8(high + i, here, _mm512_cvtsepi32_epi8(rounded));
    if (kPlanes == 2) {
      // At most 127, as |left| is at most half a unit.
      const __m512i rest = _mm512_cvtps_epi32(_mm512_mul_ps(left, per_low_unit));
      const __m512 part = _mm512_cvtepi32_ps(rest);
      left = _mm512_fnmadd_ps(part, low_unit, left);
      sums.low = _mm512_fmadd_ps(part, part, sums.low);
      sums.low_sum = _mm512_add_epi32(sums.low_sum, rest);
      _mm_mask_storeu_epi8(low + i, here, _mm512_cvtsepi32_epi8(rest));
    }
    sums.residual = _mm512_fmadd_ps(left, left, sums.residual);
  }
  return sums;
}

void fill_zero(int8_t* codes, int64_t depth) {
  for (int64_t i = 0; i < depth; ++i) codes[i] = 0;
}

float root_of(__m512 squares) { return kUp * __builtin_sqrtf(_mm512_reduce_add_ps(squares)); }

// A register's worth of a panel's bounds.
struct Half {
  __m512 scales, offsets, slacks, lengths, lows, doubts;

  Half(const PanelBounds& panel, const float* offset, const float* doubt, int c)
      : scales(_mm512_loadu_ps(panel.scales + c)),
        offsets(_mm512_loadu_ps(offset + c)),
        slacks(_mm512_loadu_ps(panel.slacks + c)),
        lengths(_mm512_loadu_ps(panel.lengths + c)),
        lows(_mm512_loadu_ps(panel.lows + c)),
        doubts(_mm512_loadu_ps(doubt + c)) {}

  __m512 add_error(const RowBound& token, __m512 to) const {
    to = _mm512_fmadd_ps(_mm512_set1_ps(token.norm), slacks, to);
    to = _mm512_fmadd_ps(_mm512_set1_ps(token.low), lows, to);
    return _mm512_fmadd_ps(_mm512_set1_ps(token.residual), lengths, to);
  }
  template <int kPlanes>
  __m512 upper(const int32_t* sums, const RowBound& token) const {
    __m512 product = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums));
    if (kPlanes == 2)
      product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sums + kPlaneOfSums)),
                                _mm512_set1_ps(kLowUnit), product);
    const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(token.scale), scales);
    return add_error(token, _mm512_fmadd_ps(product, scale, offsets));
  }
};

// Writes the lanes of `kept` side by side at `to`, which has room for 16.
void store_kept(float* to, __mmask16 kept, __m512 values) {
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps(kept, values));
}
void store_kept(int32_t* to, __mmask16 kept, __m512i values) {
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(kept, values));
}

void append(const Half& half, const RowBound& token, __m512 upper, __mmask16 kept, int32_t column,
            const Lists& lists, int64_t row) {
  const int64_t at = row * lists.capacity + lists.counts[row];
  const __m512 infinity = _mm512_set1_ps(kInfinity);
  upper = _mm512_mask_mov_ps(upper, _mm512_cmp_ps_mask(upper, upper, _CMP_UNORD_Q), infinity);
  const __m512 error = half.add_error(token, half.doubts);
  __m512 lower = _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), error, upper);
  const __mmask16 finite = _mm512_cmp_ps_mask(_mm512_abs_ps(lower), infinity, _CMP_LT_OQ);
  lower = _mm512_mask_mov_ps(_mm512_set1_ps(-kInfinity), finite, lower);
  const __m512i names =
      _mm512_add_epi32(_mm512_set1_epi32(column),
                       _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  store_kept(lists.upper + at, kept, upper);
  store_kept(lists.lower + at, kept, lower);
  store_kept(lists.columns + at, kept, names);
  lists.counts[row] += __builtin_popcount(kept);
}

template <int kPlanes>
uint32_t collect_panel(const int32_t* sums, const PanelBounds& panel, const float* offsets,
                       const float* doubts, uint32_t lanes, int32_t column, const RowBound* tokens,
                       int64_t rows, const Lists& lists) {
  const Half first(panel, offsets, doubts, 0), second(panel, offsets, doubts, 16);
  uint32_t full = 0;
  for (int64_t r = 0; r < rows; ++r, sums += kPanel) {
    const __m512 bar = _mm512_set1_ps(lists.thresholds[r]);
    const __m512 low = first.upper<kPlanes>(sums, tokens[r]);
    const __m512 high = second.upper<kPlanes>(sums + 16, tokens[r]);
    const __mmask16 low_kept = _mm512_cmp_ps_mask(low, bar, _CMP_NLT_UQ) & lanes;
    const __mmask16 high_kept = _mm512_cmp_ps_mask(high, bar, _CMP_NLT_UQ) & (lanes >> 16);
    if (!(low_kept | high_kept) || lists.limits[r] < 0) continue;
    append(first, tokens[r], low, low_kept, column, lists, r);
    append(second, tokens[r], high, high_kept, column + 16, lists, r);
    full |= uint32_t{lists.counts[r] > lists.limits[r]} << r;
  }
  return full;
}

constexpr float kNothing[kPanel] = {};

// Appends one token to the lists of the columns `kept`, of a panel's half that begins at lane c.
void append_token(const Half& half, const RowBound& token, __m512 upper, uint32_t kept, int c,
                  int32_t number, const Lists& lists) {
  alignas(64) float uppers[16], errors[16];
  _mm512_store_ps(uppers, upper);
  _mm512_store_ps(errors, half.add_error(token, half.doubts));
  for (; kept; kept &= kept - 1) {
    const int lane = __builtin_ctz(kept), column = c + lane;
    if (lists.limits[column] < 0) continue;
    const int64_t at = column * lists.capacity + lists.counts[column]++;
    const float above = uppers[lane], below = above - 2.0f * errors[lane];
    lists.upper[at] = above == above ? above : kInfinity;
    lists.lower[at] = __builtin_fabsf(below) < kInfinity ? below : -kInfinity;
    lists.columns[at] = number;
  }
}

template <int kPlanes>
uint32_t collect_lanes(const int32_t* sums, const PanelBounds& panel, uint32_t lanes,
                       const RowBound* tokens, int64_t rows, int32_t token, const Lists& lists) {
  const Half first(panel, kNothing, kNothing, 0), second(panel, kNothing, kNothing, 16);
  const __m512 low_bars = _mm512_maskz_loadu_ps(lanes, lists.thresholds);
  const __m512 high_bars = _mm512_maskz_loadu_ps(lanes >> 16, lists.thresholds + 16);
  uint32_t touched = 0, full = 0;
  for (int64_t r = 0; r < rows; ++r, sums += kPanel) {
    const __m512 low = first.upper<kPlanes>(sums, tokens[r]);
    const __m512 high = second.upper<kPlanes>(sums + 16, tokens[r]);
    const __mmask16 low_kept = _mm512_cmp_ps_mask(low, low_bars, _CMP_NLT_UQ) & lanes;
    const __mmask16 high_kept = _mm512_cmp_ps_mask(high, high_bars, _CMP_NLT_UQ) & (lanes >> 16);
    if (!(low_kept | high_kept)) continue;
    touched |= low_kept | uint32_t{high_kept} << 16;
    append_token(first, tokens[r], low, low_kept, 0, token + static_cast<int32_t>(r), lists);
    append_token(second, tokens[r], high, high_kept, 16, token + static_cast<int32_t>(r), lists);
  }
  for (; touched; touched &= touched - 1) {
    const int c = __builtin_ctz(touched);
    if (lists.limits[c] >= 0) full |= uint32_t{lists.counts[c] > lists.limits[c]} << c;
  }
  return full;
}

// Integers that compare as the floats do.
__m512i ordered(__m512i bits) {
  return _mm512_xor_si512(bits, _mm512_srli_epi32(_mm512_srai_epi32(bits, 31), 1));
}
#include "codes/bisect.inc"

int64_t count_at_least(const float* values, int64_t count, int32_t bar) {
  const __m512i bars = _mm512_set1_epi32(bar);
  int64_t found = 0;
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 here = lanes_from(i, count);
    const __m512i keys = ordered(_mm512_maskz_loadu_epi32(here, values + i));
    found += __builtin_popcount(_mm512_mask_cmpge_epi32_mask(here, keys, bars));
  }
  return found;
}

int32_t largest_key(const float* values, int64_t count, int32_t least) {
  __m512i most = _mm512_set1_epi32(least);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 here = lanes_from(i, count);
    const __m512i keys = ordered(_mm512_maskz_loadu_epi32(here, values + i));
    most = _mm512_mask_max_epi32(most, here, most, keys);
  }
  return _mm512_reduce_max_epi32(most);
}

}  // namespace

RowBound quantise(const float* row, int64_t depth, int planes, float* room, int8_t* high,
                  int8_t* low) {
  float most = largest_of(row, depth);
  if (!(most <= kLargest && most >= kSmallest)) {
    fill_zero(high, depth);
    if (planes == 2) fill_zero(low, depth);
    return {1.0f, 0.0f, 0.0f, most == 0.0f ? 0.0f : kInfinity, 0.0f, {0, 0}};
  }
  rotate(row, depth, room);
  most = largest_of(room, depth);
  const float scale = most / 127.0f, inverse = 127.0f / most;
  const Sums sums = planes == 2 ? quantise_row<2>(room, depth, scale, inverse, high, low)
                                : quantise_row<1>(room, depth, scale, inverse, high, low);
  const float norm = root_of(sums.norm),
              residual = root_of(sums.residual) + (kRounding + kRotationError) * norm;
  return {scale,
          norm,
          norm + residual,
          residual,
          scale * kLowUnit * root_of(sums.low),
          {_mm512_reduce_add_epi32(sums.high_sum), _mm512_reduce_add_epi32(sums.low_sum)}};
}

// 16 x 16 numbers of 32 bits: first within blocks of 4 x 4, then the blocks.
void transpose(const int8_t* rows, int64_t stride, int8_t* to) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows + i * stride);
  for (int i = 0; i < 16; i += 4) {
    const __m512i low01 = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    const __m512i high01 = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    const __m512i low23 = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
    const __m512i high23 = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
    t[i] = _mm512_unpacklo_epi64(low01, low23);
    t[i + 1] = _mm512_unpackhi_epi64(low01, low23);
    t[i + 2] = _mm512_unpacklo_epi64(high01, high23);
    t[i + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
  for (int i = 0; i < 4; ++i) {
    // Block b of t[i], t[i + 4], ... is row 4 b + i of the result.
    const __m512i even = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
    const __m512i even2 = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
    const __m512i odd2 = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
    _mm512_storeu_si512(to + i * 64, _mm512_shuffle_i32x4(even, even2, 0x88));
    _mm512_storeu_si512(to + (4 + i) * 64, _mm512_shuffle_i32x4(odd, odd2, 0x88));
    _mm512_storeu_si512(to + (8 + i) * 64, _mm512_shuffle_i32x4(even, even2, 0xdd));
    _mm512_storeu_si512(to + (12 + i) * 64, _mm512_shuffle_i32x4(odd, odd2, 0xdd));
  }
}

uint32_t collect(const int32_t* sums, int planes, const PanelBounds& panel, const float* offsets,
                 const float* doubts, uint32_t lanes, int32_t column, const RowBound* tokens,
                 int64_t rows, const Lists& lists) {
  const auto run = planes == 2 ? collect_panel<2> : collect_panel<1>;
  return run(sums, panel, offsets, doubts, lanes, column, tokens, rows, lists);
}

uint32_t collect_columns(const int32_t* sums, int planes, const PanelBounds& panel, uint32_t lanes,
                         const RowBound* tokens, int64_t rows, int32_t token,
                         const Lists& columns) {
  const auto run = planes == 2 ? collect_lanes<2> : collect_lanes<1>;
  return run(sums, panel, lanes, tokens, rows, token, columns);
}

float kth_largest(const float* values, int64_t count, int64_t k, float least) {
  return bisect(values, count, k, least, count_at_least, largest_key);
}

void drop_below(const Lists& lists, int64_t row, int64_t first, float threshold) {
  const int64_t begin = row * lists.capacity, count = lists.counts[row];
  const __m512 bar = _mm512_set1_ps(threshold);
  int64_t kept = first;
  for (int64_t i = first; i < count; i += 16) {
    const int64_t from = begin + i, to = begin + kept;
    const __m512 upper = _mm512_loadu_ps(lists.upper + from);
    const __m512 lower = _mm512_loadu_ps(lists.lower + from);
    const __m512i columns = _mm512_loadu_si512(lists.columns + from);
    const __mmask16 stay = _mm512_cmp_ps_mask(upper, bar, _CMP_NLT_UQ) & lanes_from(i, count);
    store_kept(lists.upper + to, stay, upper);
    store_kept(lists.lower + to, stay, lower);
    store_kept(lists.columns + to, stay, columns);
    kept += __builtin_popcount(stay);
  }
  lists.counts[row] = static_cast<int32_t>(kept);
}

}  // namespace twinsae::avx512
#endif
