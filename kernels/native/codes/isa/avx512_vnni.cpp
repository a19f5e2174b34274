// AVX-512 VNNI: one plane of int8 codes. A tile is 12 tokens x 32 latents, 24 of the 32 registers.
#include "codes/isa.h"

#ifdef TWINSAE_X86
// g++ 12 warns of the vectors that the intrinsics themselves leave undefined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,popcnt")

namespace twinsae {
namespace {

constexpr int kTokens = 12, kPlanes = 1, kAdded = 128;
#include "codes/isa/registers_avx512.inc"
// The registers come first; the loops are made of them.
#include "codes/collect.inc"
#include "codes/kth_largest.inc"
#include "codes/quantise_int8.inc"
#include "codes/transpose.inc"

// out[r, c] = start[r * stride + c] + the products of some chunks of tokens and panel.
void multiply(const uint8_t* tokens, const int8_t* panel, int64_t chunks, const int32_t* start,
              int stride, int32_t* out) {
  Ints low[kTokens], high[kTokens];
#pragma GCC unroll 12
  for (int r = 0; r < kTokens; ++r) {
    low[r] = load(start + r * stride);
    high[r] = load(start + r * stride + kHalf);
  }
  for (int64_t i = 0; i < chunks * kQuads; ++i) {
    const Ints first = _mm512_loadu_si512(panel);
    const Ints second = _mm512_loadu_si512(panel + kChunk * kHalf);
#pragma GCC unroll 12
    for (int r = 0; r < kTokens; ++r) {
      int32_t four;
      __builtin_memcpy(&four, tokens + r * kQuad, sizeof four);
      const Ints token = repeat(four);
      low[r] = _mm512_dpbusd_epi32(low[r], token, first);
      high[r] = _mm512_dpbusd_epi32(high[r], token, second);
    }
    panel += kHalf * kQuad;
    if (i % kQuads == kQuads - 1) panel += kChunk * kHalf;
    tokens += kTokens * kQuad;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kTokens; ++r) {
    _mm512_storeu_si512(out + r * kPanel, low[r]);
    _mm512_storeu_si512(out + r * kPanel + kHalf, high[r]);
  }
}

void tile(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds, int64_t /*chunks*/,
          int64_t begin, int64_t end, int32_t* sums) {
  const int stride = begin ? kPanel : 0;  // at 0 all tokens have the same start
  multiply(tokens + begin * kChunk * kTokens, panel + begin * kChunk * kPanel, end - begin,
           begin ? sums : bounds.starts[0], stride, sums);
}

int64_t spin(int64_t rounds) {
  constexpr int kSums = 16;
  Ints sums[kSums];
  const Ints ones = _mm512_set1_epi8(1);
  // The compiler would keep equal registers as one.
#pragma GCC unroll 16
  for (int s = 0; s < kSums; ++s) sums[s] = repeat(s);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 16
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbusd_epi32(sums[s], ones, ones);
#pragma GCC unroll 16
  for (int s = 1; s < kSums; ++s) sums[0] = add(sums[0], sums[s]);
  // Keeps the compiler from deleting the loop.
  volatile int32_t sink = sum_of(sums[0]);
  static_cast<void>(sink);
  return rounds * kSums * 64;
}

void nothing() {}

#include "codes/describe.inc"

}  // namespace

constexpr CodesIsa avx512_vnni_isa = describe("avx512_vnni", kQuad, nothing, nothing);

}  // namespace twinsae
#endif
