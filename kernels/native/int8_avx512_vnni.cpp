// AVX-512 VNNI: a tile is 12 tokens x 32 latents, 24 of the 32 registers.
#include "int8.h"

#ifdef TWINSAE_X86
// g++ 12 takes the intrinsics' own undefined vectors for ours.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")

namespace twinsae {
namespace {

constexpr float kInfinity = __builtin_inff();
// Beyond these a square may overflow, or a scale lose its precision.
constexpr float kLargest = 1e15f, kSmallest = 1e-15f;
// Covers the rounding of float32 sums below, in which every term is positive, and of what is summed.
constexpr float kUp = 1.0f + 1e-3f;
constexpr float kRounding = 2e-7f;

float largest_of(const float* row, int64_t depth) {
  __m512 most = _mm512_setzero_ps();
  __mmask16 bad = 0;
  for (int64_t i = 0; i < depth; i += 16) {
    const __mmask16 here = depth - i >= 16 ? 0xffff : (1u << (depth - i)) - 1;
    const __m512 part = _mm512_abs_ps(_mm512_maskz_loadu_ps(here, row + i));
    bad |= _mm512_cmp_ps_mask(part, _mm512_set1_ps(kLargest), _CMP_NLE_UQ);
    most = _mm512_max_ps(most, part);
  }
  return bad ? kInfinity : _mm512_reduce_max_ps(most);
}

RowBound quantise(const float* row, int64_t depth, int8_t* q) {
  const float most = largest_of(row, depth);
  const bool usable = most <= kLargest && most >= kSmallest;
  const float scale = usable ? most / 127.0f : 1.0f, inverse = usable ? 127.0f / most : 0.0f;
  __m512 norm = _mm512_setzero_ps(), length = norm, residual = norm;
  __m512i sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < depth; i += 16) {
    const __mmask16 here = depth - i >= 16 ? 0xffff : (1u << (depth - i)) - 1;
    const __m512 w = usable ? _mm512_maskz_loadu_ps(here, row + i) : _mm512_setzero_ps();
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(w, _mm512_set1_ps(inverse)));
    const __m512 back = _mm512_mul_ps(_mm512_cvtepi32_ps(rounded), _mm512_set1_ps(scale));
    const __m512 left = _mm512_sub_ps(w, back);
    norm = _mm512_fmadd_ps(w, w, norm);
    length = _mm512_fmadd_ps(back, back, length);
    residual = _mm512_fmadd_ps(left, left, residual);
    sum = _mm512_add_epi32(sum, rounded);
    _mm_mask_storeu_epi8(q + i, here, _mm512_cvtsepi32_epi8(rounded));
  }
  const float size = kUp * __builtin_sqrtf(_mm512_reduce_add_ps(norm));
  const bool zero = most == 0.0f;
  return {scale, size, kUp * __builtin_sqrtf(_mm512_reduce_add_ps(length)),
          usable || zero
              ? kUp * __builtin_sqrtf(_mm512_reduce_add_ps(residual)) + kRounding * size
              : kInfinity,
          _mm512_reduce_add_epi32(sum)};
}

void tile(const uint8_t* tokens, const int8_t* panel, int64_t quads, int32_t* out) {
  __m512i low[kTokenTile], high[kTokenTile];
#pragma GCC unroll 12
  for (int r = 0; r < kTokenTile; ++r) low[r] = high[r] = _mm512_setzero_si512();
  for (int64_t i = 0; i < quads; ++i) {
    const __m512i first = _mm512_loadu_si512(panel);
    const __m512i second = _mm512_loadu_si512(panel + 64);
#pragma GCC unroll 12
    for (int r = 0; r < kTokenTile; ++r) {
      int32_t four;
      __builtin_memcpy(&four, tokens + r * kQuad, sizeof four);
      const __m512i token = _mm512_set1_epi32(four);
      low[r] = _mm512_dpbusd_epi32(low[r], token, first);
      high[r] = _mm512_dpbusd_epi32(high[r], token, second);
    }
    panel += kPanel * kQuad;
    tokens += kTokenTile * kQuad;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kTokenTile; ++r) {
    _mm512_storeu_si512(out + r * kPanel, low[r]);
    _mm512_storeu_si512(out + r * kPanel + 16, high[r]);
  }
}

// A register's worth of a panel's bounds.
struct Lanes {
  __m512i shifts;
  __m512 scales, offsets, slacks, lengths;

  Lanes(const PanelBounds& panel, const float* offset, int c)
      : shifts(_mm512_loadu_si512(panel.shifts + c)),
        scales(_mm512_loadu_ps(panel.scales + c)),
        offsets(_mm512_loadu_ps(offset + c)),
        slacks(_mm512_loadu_ps(panel.slacks + c)),
        lengths(_mm512_loadu_ps(panel.lengths + c)) {}

  __m512 upper(const int32_t* sums, const RowBound& token) const {
    const __m512 product = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums), shifts));
    __m512 bound = _mm512_fmadd_ps(product, _mm512_mul_ps(_mm512_set1_ps(token.scale), scales),
                                   offsets);
    bound = _mm512_fmadd_ps(_mm512_set1_ps(token.norm), slacks, bound);
    return _mm512_fmadd_ps(_mm512_set1_ps(token.residual), lengths, bound);
  }
};

void survivors(const int32_t* sums, const PanelBounds& panel, const float* offsets,
               const RowBound* tokens, const float* thresholds, int64_t rows, uint32_t* bits,
               float* upper) {
  const Lanes low(panel, offsets, 0), high(panel, offsets, 16);
  for (int64_t r = 0; r < rows; ++r, sums += kPanel, upper += kPanel) {
    const __m512 bar = _mm512_set1_ps(thresholds[r]);
    const __m512 first = low.upper(sums, tokens[r]), second = high.upper(sums + 16, tokens[r]);
    bits[r] = uint32_t{_mm512_cmp_ps_mask(first, bar, _CMP_NLT_UQ)} |
              uint32_t{_mm512_cmp_ps_mask(second, bar, _CMP_NLT_UQ)} << 16;
    if (!bits[r]) continue;
    _mm512_storeu_ps(upper, first);
    _mm512_storeu_ps(upper + 16, second);
  }
}

}  // namespace

const Int8Isa avx512_vnni_isa = {quantise, tile, survivors};

}  // namespace twinsae
#endif
