// AVX-512 VNNI: a tile is 12 tokens x 32 latents, 24 of the 32 registers.
#include "codes/isa/avx512.h"

#ifdef TWINSAE_X86
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")

namespace twinsae {
namespace {

constexpr int kTokens = 12;

// out[r, c] = start[r * stride + c] + the products of some chunks of tokens and panel.
void multiply(const uint8_t* tokens, const int8_t* panel, int64_t chunks, const int32_t* start,
              int stride, int32_t* out) {
  constexpr int kQuads = kChunk / kQuad;
  __m512i low[kTokens], high[kTokens];
#pragma GCC unroll 12
  for (int r = 0; r < kTokens; ++r) {
    low[r] = _mm512_loadu_si512(start + r * stride);
    high[r] = _mm512_loadu_si512(start + r * stride + kHalf);
  }
  for (int64_t i = 0; i < chunks * kQuads; ++i) {
    const __m512i first = _mm512_loadu_si512(panel);
    const __m512i second = _mm512_loadu_si512(panel + kChunk * kHalf);
#pragma GCC unroll 12
    for (int r = 0; r < kTokens; ++r) {
      int32_t four;
      __builtin_memcpy(&four, tokens + r * kQuad, sizeof four);
      const __m512i token = _mm512_set1_epi32(four);
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
          int64_t begin, int64_t end, int /*planes: always one*/, int32_t* sums) {
  const int stride = begin ? kPanel : 0;  // 0: the same start for all tokens
  multiply(tokens + begin * kChunk * kTokens, panel + begin * kChunk * kPanel, end - begin,
           begin ? sums : bounds.starts[0], stride, sums);
}

int64_t spin(int64_t rounds) {
  constexpr int kSums = 16;
  __m512i sums[kSums];
  const __m512i ones = _mm512_set1_epi8(1);
#pragma GCC unroll 16
  for (int s = 0; s < kSums; ++s) sums[s] = _mm512_set1_epi32(s);  // equal ones would be made once
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 16
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbusd_epi32(sums[s], ones, ones);
#pragma GCC unroll 16
  for (int s = 1; s < kSums; ++s) sums[0] = _mm512_add_epi32(sums[0], sums[s]);
  volatile int32_t sink = _mm512_reduce_add_epi32(sums[0]);  // or the loop is none
  static_cast<void>(sink);
  return rounds * kSums * 64;
}

void nothing() {}

}  // namespace

const CodesIsa avx512_vnni_isa = {
    "avx512_vnni",
    kTokens,
    kQuad,
    1,
    1,
    nothing,
    nothing,
    avx512::quantise,
    avx512::transpose,
    tile,
    avx512::collect,
    avx512::collect_columns,
    avx512::kth_largest,
    avx512::drop_below,
    spin};

}  // namespace twinsae
#endif
