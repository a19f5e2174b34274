// AVX2: int16 codes, because it multiplies them as fast as int8 codes and sums them in int32 at
// once. A tile is 6 tokens x 16 latents, 12 of the 16 registers, twice.
#include "codes/isa.h"

#ifdef TWINSAE_X86
#include <immintrin.h>
#pragma GCC target("avx2,fma,popcnt")

namespace twinsae {
namespace {

constexpr int kTokens = 6, kPlanes = 1, kAdded = 0;
#include "codes/isa/registers_avx2.inc"
// The registers come first; the loops are made of them.
#include "codes/collect.inc"
#include "codes/kth_largest.inc"
#include "codes/quantise_int16.inc"
#include "codes/transpose.inc"

// sums[r, c] = start[r * stride + c] + the products of some chunks of tokens and half a panel.
void multiply(const uint8_t* tokens, const int8_t* half, int64_t chunks, const int32_t* start,
              int stride, int32_t* sums) {
  Ints low[kTokens], high[kTokens];
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r) {
    low[r] = load(start + r * stride);
    high[r] = load(start + r * stride + kLanes);
  }
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int8_t* quads = half + chunk * kChunk * kPanel;
    for (int quad = 0; quad < kQuads; ++quad) {
      const auto* latents = reinterpret_cast<const __m256i*>(quads + quad * kHalf * kQuad);
      const Ints first = _mm256_loadu_si256(latents), second = _mm256_loadu_si256(latents + 1);
#pragma GCC unroll 6
      for (int r = 0; r < kTokens; ++r) {
        int32_t two;
        __builtin_memcpy(&two, tokens + r * kQuad, sizeof two);
        const Ints token = repeat(two);
        low[r] = add(low[r], _mm256_madd_epi16(token, first));
        high[r] = add(high[r], _mm256_madd_epi16(token, second));
      }
      tokens += kTokens * kQuad;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r) {
    store(sums + r * kPanel, low[r]);
    store(sums + r * kPanel + kLanes, high[r]);
  }
}

void tile(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds, int64_t /*chunks*/,
          int64_t begin, int64_t end, int32_t* sums) {
  tokens += begin * kChunk * kTokens;
  panel += begin * kChunk * kPanel;
  const int32_t* start = begin ? sums : bounds.starts[0];
  const int stride = begin ? kPanel : 0;  // at 0 all tokens have the same start
  for (int c = 0; c < kPanel; c += kHalf)
    multiply(tokens, panel + c * kChunk, end - begin, start + c, stride, sums + c);
}

int64_t spin(int64_t rounds) {
  constexpr int kSums = 12;
  Ints sums[kSums], factors[kSums / 4];
  // The compiler would keep equal registers as one.
#pragma GCC unroll 12
  for (int s = 0; s < kSums; ++s) sums[s] = repeat(s);
  for (int f = 0; f < kSums / 4; ++f) factors[f] = _mm256_set1_epi16(static_cast<int16_t>(f));
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s)
      sums[s] = add(sums[s], _mm256_madd_epi16(sums[s], factors[s / 4]));
#pragma GCC unroll 12
  for (int s = 1; s < kSums; ++s) sums[0] = add(sums[0], sums[s]);
  // Keeps the compiler from deleting the loop.
  volatile int32_t sink = _mm256_extract_epi32(sums[0], 0);
  static_cast<void>(sink);
  return rounds * kSums * 16;
}

void nothing() {}

#include "codes/describe.inc"

}  // namespace

constexpr CodesIsa avx2_int16_isa = describe("avx2_int16", kQuad, nothing, nothing);

}  // namespace twinsae
#endif
