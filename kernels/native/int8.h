// The int8 half of the scan: bounds on scores from quantised rows, several times as fast as float32.
//
// A row w is kept as s * q, q int8, with r = |w - s q|. For rows x ~ t p and w ~ s q
//   |x.w - (t p).(s q)| <= |x| r_w + r_x |s q|,
// because x.w - (t p).(s q) = x.(w - s q) + (x - t p).(s q).
#pragma once
#include <cstdint>

#include "isa.h"

namespace twinsae {

constexpr int kQuad = 4;        // products summed by one instruction
constexpr int kTokenTile = 12;  // tokens in a tile

// One quantised row. Where it cannot be bounded (NaN, infinite, too large or too small for the
// arithmetic) `residual` is infinite.
struct RowBound {
  float scale;     // s
  float norm;      // |w|, rounded up
  float length;    // |s q|, rounded up
  float residual;  // r, rounded up
  int32_t sum;     // of q
};

// The bounds of 32 latents, side by side.
struct PanelBounds {
  float scales[kPanel], lengths[kPanel];
  float slacks[kPanel];    // residual, and the rounding of float32 scores for a token of norm 1
  int32_t shifts[kPanel];  // 128 * sum: tokens are stored with 128 added
};

struct Int8Isa {
  // q[0 .. depth) and its bound.
  RowBound (*quantise)(const float* row, int64_t depth, int8_t* q);
  // out[r, c] = sum over quads i and their bytes b of tokens[i, r, b] * panel[i, c, b];
  // tokens (quads, 12, 4) unsigned, panel (quads, 32, 4) signed, out (12, 32).
  void (*tile)(const uint8_t* tokens, const int8_t* panel, int64_t quads, int32_t* out);
  // For each of `rows` tokens, a tile of sums against one panel:
  //   upper[r, c] = scale_r * scales[c] * (sums[r, c] - shifts[c]) + offsets[c]
  //               + norm_r * slacks[c] + residual_r * lengths[c]
  // and bit c of bits[r] is set unless that is below thresholds[r]; without a bit, upper[r] is
  // not written.
  void (*survivors)(const int32_t* sums, const PanelBounds& panel, const float* offsets,
                    const RowBound* tokens, const float* thresholds, int64_t rows, uint32_t* bits,
                    float* upper);
};

// Null where this machine has no such instructions or TWINSAE_CPU_ISA forces others.
const Int8Isa* current_int8_isa();

#ifdef TWINSAE_X86
extern const Int8Isa avx512_vnni_isa;
#endif

}  // namespace twinsae
