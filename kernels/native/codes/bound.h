// What codes tell of a score, and the proof: every constant of the bound is here, and nowhere else.
//
// Norms are Euclidean, u = 2^-24 is the largest relative error of one float32 rounding, and D is
// the length of a row. Bounds hold to first order in u; second orders are below D u < 0.4 % of the
// first and covered by what each constant leaves.
//
// 1. The codes. A row w is kept as w^ = s (h + c l), with whole numbers h and l and c = kLowUnit.
// Two
//    planes of codes are h and l; where there is one, l = 0. int8 codes are those of R w, R an
//    orthogonal matrix that is the same for all rows, so that a single large entry does not make
//    the codes of all others coarse; as <R x, R w> = <x, w>, w stands for R w from here on. Let r
//    be |w - w^|. Then for a token x and a latent w
//
//      <x, w> - <x^, w^> = <x, w - w^> + <x - x^, w^>,
//
//    which is at most |x| r_w + r_x |w^| by Cauchy and Schwarz. The product <x^, w^> is
//
//      s_x s_w (<h_x, h_w> + c (<h_x, l_w> + <l_x, h_w>) + c^2 <l_x, l_w>).
//
//    The scans do not compute the last term, which is at most |s_x c l_x| |s_w c l_w|. With p for
//    the others and e = |x| r_w + r_x |w^| + |s_x c l_x| |s_w c l_w|,
//
//      p - e <= <x, w> <= p + e.
//
//    The sums of p are exact, because none leaves int32: an int8 code is at most 127, so that a sum
//    of both planes' products is at most 2 * 127^2 * kMaxDepth < 2^31, and what 128 adds to tokens
//    (PanelBounds) is taken off modulo 2^32; for int16 see kLongest.
//
// 2. What decides is the float32 score f = dot(x, w) + start (start: the bias, or minus a price).
// The
//    scans compute, with the names of RowBound and PanelBounds and each line one fused step,
//
//      upper = scale_x scale_w (float(<h_x, h_w>) + c float(...)) + offset
//            + norm_x slack_w + low_x low_w + residual_x length_w
//      lower = upper - 2 (doubt + norm_x slack_w + low_x low_w + residual_x length_w).
//
//    Claim: lower <= f <= upper. All norms are rounded up (3.), so it is enough that slack, offset
//    and doubt exceed r_w, start and 0 by what float32 may round: with M = |x| |w|, a) f rounds.
//    `dot` (float32/isa/loops.inc) keeps 32 sums, or 64 with AVX-512. A term passes D / 32
//       sums at most, 6 of the tree that joins them, and 64 of the rest of the row: (D / 32 + 70) u
//       M. Adding start rounds once more: u (M + |start|).
//    b) p rounds four times. Two sums become float32: u |s_x h_x| |s_w h_w|, and u (|s_x h_x| |s_w
//    c l_w|
//       + |s_x c l_x| |s_w h_w|). With two planes |s h| < 2 |w| and |s c l| < |w|, as both |w - s
//       h| and |s c l| are at most s sqrt(D) / 2 <= |w| sqrt(D) / 254: 8 u M. With one plane |s h|
//       <= |w| + r, and (|x| + r_x) (|w| + r_w) <= M + e. A fused step and the product of the
//       scales round p itself, which is at most M + e: 2 u (M + e).
//    c) The four fused steps of upper and the one of lower round numbers of at most M + |start| + 2
//    e:
//       5 u (M + |start|). What b) and c) round of e is below 20 u e; kUp leaves more than that.
//    d) Numbers below 2^-126 may count as zero. In `dot` that loses at most 2 D 2^-126, in the
//    steps
//       above much less. M is at least kSmallest^2, or both sides are exactly start: below 3 u M.
//    Together (D / 32 + 89) u M, which slack has by score_rounding(D) |w|, and 6 u |start|;
//    rounding offset itself costs one more, as does making a float32 start of a float64 price: 8 u
//    |start|, which offset and doubt have by kStartRounding |start|.
//
// 3. A row's numbers. `norm` and the others are roots of float32 sums, see kUp. `residual` sums the
//    squares of what is left of each entry, computed by fused steps from w (of R w: see
//    kRotationError): entries are off by u of themselves, which kUp covers, and with two planes by
//    u s for h and l, see kCodeRounding.
//
// Where a row has NaN, infinite, too large or too small entries, `residual` is infinite; then upper
// is infinite or NaN, which the lists keep as infinite, and lower is minus infinity: every pair is
// scored.
#pragma once
#include <cstdint>

#include "float32/isa.h"

namespace twinsae {

constexpr float kUnit = 0x1p-24f;  // u
constexpr int64_t kMaxDepth = 60000;
constexpr int kMaxPlanes = 2;
constexpr float kLowUnit = 1.0f / 254.0f;  // c: l is at most 127 for what h leaves, half a unit

// Entries of a row with a bound are at most kLargest, and the largest is at least kSmallest, or all
// are zero. Then no sum of squares or of products overflows, D kLargest^2 = 6e34; the transforms of
// a rotation sum up to 2^15 entries before they scale, 3e19; and the product of two scales, at
// least (kSmallest / (127 sqrt(D)))^2 = 1e-35, is a normal number.
constexpr float kLargest = 1e15f, kSmallest = 1e-13f;

// Norms are multiplied by this. A sum of squares is 8 sums or more of at most D / 8 positive terms
// each, and their sum: it is off by (D / 8 + 8) u of itself at most, its root by half of
// that, 2.3e-4; computing the norm, the scale and the sum of two norms rounds a few times more.
constexpr float kUp = 1.0f + 1e-3f;

// Of |w|: the error of what two planes leave of a row. The entry w - s h is rounded, and so is the
// unit s c of l: u s / 2 each, u s sqrt(D) in all, and s <= |w| / 127: 1.93 u |w|.
constexpr float kCodeRounding = 2e-7f;

// Of |w|: a rotation is two Hadamard transforms of up to 2^15 entries. Each rounds every entry 15
// times for sums and differences, once for the product with 1 / sqrt(size), and that factor itself
// has two roundings: (1 + u)^36 - 1 = 2.146e-6, as no step makes a vector longer but by its scale.
constexpr float kRotationError = 2.2e-6f;

// int8 codes: the largest entry gets the largest code.
constexpr float kMostInt8 = 127.0f;

// int16 codes: rows of codes are no longer than kLongest, so that by Cauchy and Schwarz no partial
// sum of products is more than kLongest^2 < 2^31. Rounding adds half a unit to each entry, sqrt(D)
// / 2 to the length; float32 rounds the norm, the scale and the quotients, below 0.02 units:
// kLengthRounding.
constexpr float kMostInt16 = 32767.0f, kLongest = 46340.0f, kLengthRounding = 8.0f;

// Of |x| |w|: see 2. The first is 100 u, where 89 u are needed; the other is 1.1 u, where u is.
constexpr float kFixedRounding = 6e-6f, kRoundingOf32 = 6.6e-8f;
inline float score_rounding(int64_t depth) {
  return kFixedRounding + static_cast<float>(depth / 32) * kRoundingOf32;
}

// Of |start|: see 2. 8 u = 4.8e-7 are needed.
constexpr float kStartRounding = 4e-6f;

// One quantised row. Where it has no bound `residual` is infinite.
struct RowBound {
  float scale;               // s
  float norm;                // |w|, rounded up
  float length;              // |w^|, rounded up
  float residual;            // r, rounded up
  float low;                 // |s c l|, rounded up
  int32_t sums[kMaxPlanes];  // of h and of l; 0 where codes of tokens are stored as they are
};

// The bounds of 32 latents, side by side.
struct PanelBounds {
  float scales[kPanel], lengths[kPanel], lows[kPanel];
  float slacks[kPanel];  // residual, and score_rounding of the norm
  // What the sums over codes start from, because int8 codes of tokens are stored with 128 added.
  int32_t starts[kMaxPlanes][kPanel];
};

}  // namespace twinsae
