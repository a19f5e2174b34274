// NEON with FMA, which every aarch64 has: a tile is 6 rows x 16 latents, 24 of the 32 registers. A
// vector of 8 floats is two registers, so that `dot` keeps 32 sums: codes/bound.h counts on it.
#include "float32/isa.h"

#ifdef TWINSAE_NEON
#include <arm_neon.h>

namespace twinsae {
namespace {

constexpr int kLanes = 8, kVectors = 2, kRows = 6;
#include "float32/isa/adam.inc"
#include "float32/isa/loops.inc"

// Bit c of the result: not a[c] <= b[c].
uint32_t not_at_most(float32x4_t a, float32x4_t b) {
  constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(vld1q_u32(kBits), vcleq_f32(a, b)));
}

uint32_t not_below(const float* scores, float threshold) {
  const float32x4_t bound = vdupq_n_f32(threshold);
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; c += 4) bits |= not_at_most(vld1q_f32(scores + c), bound) << c;
  return bits;
}

uint32_t not_below_each(const float* scores, const float* thresholds) {
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; c += 4)
    bits |= not_at_most(vld1q_f32(scores + c), vld1q_f32(thresholds + c)) << c;
  return bits;
}

#include "float32/isa/describe.inc"

}  // namespace

constexpr Float32Isa neon_isa = describe("neon");

}  // namespace twinsae
#endif
