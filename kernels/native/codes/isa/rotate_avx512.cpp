// The rotation of rows before they are quantised: signs, then Hadamard transforms, twice.
//
// A row's largest entry sets the size of its int8 codes. After a rotation all entries are about as
// large, whatever the axes meant before: few long ones no longer make the codes of all others
// coarse.
#include "codes/isa/avx512.h"

#ifdef TWINSAE_X86
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("avx512f,avx512dq,avx2,fma")

namespace twinsae::avx512 {
namespace {

constexpr int kLanes = 16;

// Negates entries as if at random, the same ones in every row; `turn` says which.
void flip(float* row, int64_t depth, uint32_t turn) {
  for (int64_t i = 0; i < depth; i += kLanes) {
    uint32_t bits = (static_cast<uint32_t>(i / kLanes) + 1) * 0x9e3779b1u + turn * 0x85ebca6bu;
    bits = (bits ^ bits >> 15) * 0x2c1b3c6du;
    const __m512i signs = _mm512_maskz_set1_epi32(static_cast<__mmask16>(bits >> 16), INT32_MIN);
    const __mmask16 here = depth - i >= kLanes ? 0xffff : (1u << (depth - i)) - 1;
    const __m512i values = _mm512_maskz_loadu_epi32(here, row + i);
    _mm512_mask_storeu_epi32(row + i, here, _mm512_xor_si512(values, signs));
  }
}

// Sums and differences of the lanes whose numbers differ in one bit.
template <int kBit>
__m512 within(__m512 v) {
  const __m512 other =
      kBit == 8   ? _mm512_shuffle_f32x4(v, v, 0x4e)
      : kBit == 4 ? _mm512_shuffle_f32x4(v, v, 0xb1)
      : kBit == 2 ? _mm512_permute_ps(v, 0x4e)
                  : _mm512_permute_ps(v, 0xb1);
  constexpr __mmask16 kUpper =
      kBit == 8   ? 0xff00
      : kBit == 4 ? 0xf0f0
      : kBit == 2 ? 0xcccc
                  : 0xaaaa;
  return _mm512_mask_sub_ps(_mm512_add_ps(other, v), kUpper, other, v);
}

// The orthonormal Hadamard transform of `size` entries, a power of two, at least 16.
void hadamard(float* row, int64_t size) {
  for (int64_t step = size / 2; step >= kLanes; step /= 2)
    for (int64_t block = 0; block < size; block += 2 * step)
      for (int64_t i = block; i < block + step; i += kLanes) {
        const __m512 first = _mm512_loadu_ps(row + i), second = _mm512_loadu_ps(row + i + step);
        _mm512_storeu_ps(row + i, _mm512_add_ps(first, second));
        _mm512_storeu_ps(row + i + step, _mm512_sub_ps(first, second));
      }
  const __m512 unit = _mm512_set1_ps(1.0f / __builtin_sqrtf(static_cast<float>(size)));
  for (int64_t i = 0; i < size; i += kLanes) {
    const __m512 sums = within<1>(within<2>(within<4>(within<8>(_mm512_loadu_ps(row + i)))));
    _mm512_storeu_ps(row + i, _mm512_mul_ps(sums, unit));
  }
}

}  // namespace

void rotate(const float* row, int64_t depth, float* out) {
  __builtin_memcpy(out, row, depth * sizeof(float));
  if (depth < kLanes) return;
  int64_t size = kLanes;
  while (2 * size <= depth) size *= 2;
  // Two blocks of a power of two cover the row. The signs between keep the second from undoing the
  // first where they overlap.
  flip(out, depth, 0);
  hadamard(out, size);
  if (size == depth) return;
  flip(out, depth, 1);
  hadamard(out + depth - size, size);
}

}  // namespace twinsae::avx512
#endif
