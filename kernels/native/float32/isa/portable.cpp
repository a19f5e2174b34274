// Plain C++ for any machine, with the compiler's baseline vectors (SSE2 on x86-64, NEON on arm64).
#include "float32/isa.h"

namespace twinsae {
namespace {

constexpr int kLanes = 4, kVectors = 2, kRows = 6;
#include "float32/isa/adam.inc"
#include "float32/isa/loops.inc"

uint32_t not_below(const float* scores, float threshold) {
  uint32_t any = 0;
  for (int c = 0; c < kPanel; ++c) any |= !(scores[c] <= threshold);
  if (!any) return 0;
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; ++c) bits |= uint32_t(!(scores[c] <= threshold)) << c;
  return bits;
}

uint32_t not_below_each(const float* scores, const float* thresholds) {
  uint32_t any = 0;
  for (int c = 0; c < kPanel; ++c) any |= !(scores[c] <= thresholds[c]);
  if (!any) return 0;
  uint32_t bits = 0;
  for (int c = 0; c < kPanel; ++c) bits |= uint32_t(!(scores[c] <= thresholds[c])) << c;
  return bits;
}

#include "float32/isa/describe.inc"

}  // namespace

constexpr Float32Isa portable_isa = describe("portable");

}  // namespace twinsae
