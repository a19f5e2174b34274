// AVX-512F: a tile is 12 rows x 32 latents, 24 of the 32 registers.
#include "float32/isa.h"

#ifdef TWINSAE_X86
#include <immintrin.h>
#pragma GCC target("avx512f,avx2,fma")

namespace twinsae {
namespace {

constexpr int kLanes = 16, kVectors = 2, kRows = 12;
#include "float32/isa/adam.inc"
#include "float32/isa/loops.inc"

uint32_t not_below(const float* scores, float threshold) {
  const __m512 bound = _mm512_set1_ps(threshold);
  const uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores), bound, _CMP_NLE_UQ);
  const uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + 16), bound, _CMP_NLE_UQ);
  return low | high << 16;
}

uint32_t not_below_each(const float* scores, const float* thresholds) {
  const uint32_t low =
      _mm512_cmp_ps_mask(_mm512_loadu_ps(scores), _mm512_loadu_ps(thresholds), _CMP_NLE_UQ);
  const uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + 16),
                                           _mm512_loadu_ps(thresholds + 16), _CMP_NLE_UQ);
  return low | high << 16;
}

#include "float32/isa/describe.inc"

}  // namespace

constexpr Float32Isa avx512_isa = describe("avx512");

}  // namespace twinsae
#endif
