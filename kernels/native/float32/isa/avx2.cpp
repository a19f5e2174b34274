// AVX2 with FMA: a tile is 6 rows x 16 latents, 12 of the 16 registers.
#include "float32/isa.h"

#ifdef TWINSAE_X86
#include <immintrin.h>
#pragma GCC target("avx2,fma")

namespace twinsae {
namespace {

constexpr int kLanes = 8, kVectors = 2, kRows = 6;
#include "float32/isa/adam.inc"
#include "float32/isa/loops.inc"

uint32_t not_below(const float* scores, float threshold) {
  const __m256 bound = _mm256_set1_ps(threshold);
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; c += 8) {
    const __m256 keep = _mm256_cmp_ps(_mm256_loadu_ps(scores + c), bound, _CMP_NLE_UQ);
    bits |= uint32_t(_mm256_movemask_ps(keep)) << c;
  }
  return bits;
}

uint32_t not_below_each(const float* scores, const float* thresholds) {
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; c += 8) {
    const __m256 bound = _mm256_loadu_ps(thresholds + c);
    const __m256 keep = _mm256_cmp_ps(_mm256_loadu_ps(scores + c), bound, _CMP_NLE_UQ);
    bits |= uint32_t(_mm256_movemask_ps(keep)) << c;
  }
  return bits;
}

#include "float32/isa/describe.inc"

}  // namespace

constexpr Float32Isa avx2_isa = describe("avx2");

}  // namespace twinsae
#endif
