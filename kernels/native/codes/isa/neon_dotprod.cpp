// NEON with dot products (Armv8.2): one plane of int8 codes, those of AVX-512 VNNI to the bit. AVX2's
// int16 codes would not pay here: NEON multiplies them no faster than float32 numbers, but four
// times as many int8 codes. `sdot` takes both sides signed, so that tokens are stored as they are
// (kAdded). A tile is 6 tokens x 16 latents, 24 of the 32 registers, twice.
#include "codes/isa.h"

#ifdef TWINSAE_NEON
#include <arm_neon.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

namespace twinsae {
namespace {

constexpr int kTokens = 6, kPlanes = 1, kAdded = 0;
#include "codes/isa/registers_neon.inc"
// The registers come first; the loops are made of them.
#include "codes/collect.inc"
#include "codes/kth_largest.inc"
#include "codes/quantise_int8.inc"
#include "codes/transpose.inc"

constexpr int kVectors = kHalf / kLanes;  // of half a panel's latents

// Adds to each lane of sums the products of its four latents' codes with the codes of a token: the
// four that begin at byte 4 kToken. In assembly, because clang before 16 has the intrinsic only
// where a whole file is compiled for it.
template <int kToken>
Ints sdot(Ints sums, int8x16_t latents, int8x16_t tokens) {
  asm("sdot %0.4s, %1.16b, %2.4b[%3]" : "+w"(sums) : "w"(latents), "w"(tokens), "i"(kToken));
  return sums;
}

// sums[r, c] = start[r * stride + c] + the products of some chunks of tokens and half a panel.
void multiply(const int8_t* tokens, const int8_t* half, int64_t chunks, const int32_t* start,
              int stride, int32_t* sums) {
  Ints all[kTokens][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) all[r][v] = load(start + r * stride + v * kLanes);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int8_t* quads = half + chunk * kChunk * kPanel;
    for (int quad = 0; quad < kQuads; ++quad) {
      const int8x16_t first = vld1q_s8(tokens);
      const int8x8_t rest = vld1_s8(tokens + 4 * kQuad);
      const int8x16_t last = vcombine_s8(rest, rest);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int8x16_t latents = vld1q_s8(quads + quad * kHalf * kQuad + v * kLanes * kQuad);
        all[0][v] = sdot<0>(all[0][v], latents, first);
        all[1][v] = sdot<1>(all[1][v], latents, first);
        all[2][v] = sdot<2>(all[2][v], latents, first);
        all[3][v] = sdot<3>(all[3][v], latents, first);
        all[4][v] = sdot<0>(all[4][v], latents, last);
        all[5][v] = sdot<1>(all[5][v], latents, last);
      }
      tokens += kTokens * kQuad;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(sums + r * kPanel + v * kLanes, all[r][v]);
}

void tile(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds, int64_t /*chunks*/,
          int64_t begin, int64_t end, int32_t* sums) {
  const int8_t* own = reinterpret_cast<const int8_t*>(tokens) + begin * kChunk * kTokens;
  panel += begin * kChunk * kPanel;
  const int32_t* start = begin ? sums : bounds.starts[0];
  const int stride = begin ? kPanel : 0;  // at 0 all tokens have the same start
  for (int c = 0; c < kPanel; c += kHalf)
    multiply(own, panel + c * kChunk, end - begin, start + c, stride, sums + c);
}

int64_t spin(int64_t rounds) {
  constexpr int kSums = 24;
  Ints sums[kSums];
  const int8x16_t ones = vdupq_n_s8(1);
  // The compiler would keep equal registers as one.
#pragma GCC unroll 24
  for (int s = 0; s < kSums; ++s) sums[s] = repeat(s);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (int s = 0; s < kSums; ++s) sums[s] = sdot<0>(sums[s], ones, ones);
#pragma GCC unroll 24
  for (int s = 1; s < kSums; ++s) sums[0] = add(sums[0], sums[s]);
  // Keeps the compiler from deleting the loop.
  volatile int32_t sink = sum_of(sums[0]);
  static_cast<void>(sink);
  return rounds * kSums * 16;
}

void nothing() {}

#include "codes/describe.inc"

}  // namespace

constexpr CodesIsa neon_dotprod_isa = describe("neon_dotprod", kQuad, nothing, nothing);

}  // namespace twinsae
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
