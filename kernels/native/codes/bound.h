// The bound that codes give on a score: its proof, and every constant in it.
//
// Norms are Euclidean, u = 2^-24 is the largest relative error of one float32 rounding, and D is
// the length of a row. Bounds hold to first order in u: second orders are below D u < 0.4 % of the
// first, and each constant leaves more than that. Constants are not as small as they could be. That
// would rule out 0.3 % more candidates at best (measured at D = 768 and L = 8,192 on all three
// instruction sets of x86-64).
//
// 1. The codes. A row w is kept as w^ = s (h + c l), with whole numbers h and l and c = kLowUnit.
//    Two planes of codes hold h and l; where there is one plane, l = 0. int8 codes are those of R
//    w, where R is an orthogonal matrix, the same for all rows: a single large entry then does not
//    make the codes of all others coarse. As <R x, R w> = <x, w>, w stands for R w from here on.
//    Let r be |w - w^|. For a token x and a latent w
//
//      <x, w> - <x^, w^> = <x, w - w^> + <x - x^, w^>,
//
//    which is at most |x| r_w + r_x |w^| by Cauchy and Schwarz. The product <x^, w^> is
//
//      s_x s_w (<h_x, h_w> + c (<h_x, l_w> + <l_x, h_w>) + c^2 <l_x, l_w>).
//
//    The scans do not compute the last term, which is at most |s_x c l_x| |s_w c l_w|. Let p be the
//    other terms, and e = |x| r_w + r_x |w^| + |s_x c l_x| |s_w c l_w|. Then
//
//      p - e <= <x, w> <= p + e.
//
//    The sums of p are exact, because none leaves int32. An int8 code is at most 127, so that a sum
//    of two planes' products is at most 2 * 127^2 * kMaxDepth < 2^31; where tokens are stored with 128
//    added (see PanelBounds), that is taken off again modulo 2^32. For int16 codes see kLongest.
//
// 2. The score. The float32 number f = dot(x, w) + start decides, where start is the bias,
//    or minus a price. With the names of RowBound and PanelBounds, and in fused steps, the scans
//    compute
//
//      upper = scale_x scale_w (float(<h_x, h_w>) + c float(<h_x, l_w> + <l_x, h_w>)) + offset
//            + norm_x slack_w + low_x low_w + residual_x length_w
//      lower = upper - 2 (doubt + norm_x slack_w + low_x low_w + residual_x length_w).
//
//    Claim: lower <= f <= upper. All norms are rounded up (see 3), so it is enough that slack
//    exceeds r_w, offset exceeds start, and doubt exceeds 0 by what float32 may round. With M = |x|
//    |w|:
//
//    a) f is rounded. `dot` (float32/isa/loops.inc) keeps 32 sums, or 64 with AVX-512. A term
//       passes through at most D / 32 of their steps, 6 of the tree that joins them, and 64 of the
//       rest of the row: (D / 32 + 70) u M. Adding start rounds once more: u (M + |start|).
//    b) p is rounded four times. Two sums become float32: u |s_x h_x| |s_w h_w|, and u (|s_x h_x|
//       |s_w c l_w| + |s_x c l_x| |s_w h_w|). With two planes |s h| < 2 |w| and |s c l| < |w|,
//       because |w - s h| and |s c l| are at most s sqrt(D) / 2 <= |w| sqrt(D) / 254: 8 u M. With
//       one plane |s h| <= |w| + r, and (|x| + r_x) (|w| + r_w) <= M + e. One fused step and the
//       product of the scales round p itself, which is at most M + e: 2 u (M + e).
//    c) Four fused steps of upper and one of lower round numbers of at most M + |start| + 2 e: 5 u
//       (M + |start|). What b) and c) round of e is below 20 u e, and kUp leaves more than that.
//    d) Numbers below 2^-126 may count as zero. In `dot` that loses at most 2 D 2^-126, and much
//       less in the other steps. M is 0, and then nothing is lost, or at least kSmallest^2: 3 u M.
//
//    Together that is (D / 32 + 89) u M, which slack has as score_rounding(D) |w|, and 6 u |start|.
//    To round offset and to make a float32 start of a float64 price cost one more each: 8 u
//    |start|, which offset and doubt have as kStartRounding |start|.
//
// 3. A row's numbers. norm, length and low are roots of float32 sums: see kUp. residual sums the
//    squares of what the codes leave of each entry (of R w: see kRotationError), in fused steps
//    from w. What is left is off by u of itself, which kUp covers, and with two planes by more: see
//    kCodeRounding. Squares below 2^-126 may count as zero: see kLostSquare.
//
// 4. Prices. pairs_above lists a pair if f > fl(fl(row_price + col_price) - margin), where fl
//    rounds to float64, by at most v = 2^-53 of its argument. The scan gives each column start =
//    -col_price and each row the threshold fl(row_price - margin). Together the three sums round by
//    at most v (3 |row_price| + 2 |margin| + 2 |col_price|), and by so much may f - col_price be
//    below the threshold. The first two may cancel in the threshold, which is therefore lowered by
//    kPriceRounding of them; kStartRounding has room for the last. The threshold is lowered by
//    kStartRounding of itself too, because it becomes a float32 number.
//
// 5. Thresholds. linear_above lists f = dot(x, w) + bias unless f <= threshold. The scan takes start
//    = fl(bias - threshold), which is off by u (|bias| + |threshold|) at most, and lists what may
//    be 0 or more. By 2, with |start| <= |bias| + |threshold| in every step, offset needs 8 u
//    (|bias| + |threshold|); kStartRounding of that sum is more. Where the threshold is infinity,
//    only NaN is listed. Rows with a bound have no such scores, because no sum overflows, and
//    start is the lowest float32 number there: no upper bound of such a row reaches 0.
//
// A row with NaN, infinite, too large or too small entries has no bound: its residual is infinite.
// Then upper is infinite or NaN, which the lists keep as infinite, lower is minus infinity, and
// every pair of the row is scored.
#pragma once
#include <cstdint>

#include "float32/isa.h"

namespace twinsae {

constexpr int64_t kMaxDepth = 60000;
constexpr int kMaxPlanes = 2;
constexpr float kLowUnit = 1.0f / 254.0f;  // c: h leaves half a unit at most, so that |l| <= 127

// In a row with a bound no entry is larger than kLargest, and the largest is at least kSmallest, or
// all are zero. Then no sum of squares or of products overflows: D kLargest^2 = 6e34. The
// transforms of a rotation add up to 2^15 entries before they scale: 3e19. The product of two
// scales is a normal number: at least (kSmallest / (127 sqrt(D)))^2, some 1e-35.
constexpr float kLargest = 1e15f, kSmallest = 1e-13f;

// A factor that makes up for the rounding of norms. A sum of squares is at least 4 sums of at most
// D / 4 positive terms each, and their sum. It is off by at most (D / 4 + 4) u of itself, its root
// by half of that, 4.5e-4. The root, the products with scales and the sum of two norms round a few
// times more.
constexpr float kUp = 1.0f + 1e-3f;

// A share of |w|: the rounding of the rest that two planes leave of a row. For each entry, w - s h
// is rounded, and so is the unit s c of l: u s / 2 each, u s sqrt(D) together, and s <= |w| / 127:
// 1.93 u |w|.
constexpr float kCodeRounding = 2e-7f;

// A share of |w|: how far off a rotated row is. A rotation is two Hadamard transforms of at most 2^15
// entries. Each rounds every entry 15 times for sums and differences and once for the product with
// 1 / sqrt(size), a factor that has two roundings itself. These steps only scale the length of a
// row, so that together they are off by (1 + u)^36 - 1 = 2.146e-6.
constexpr float kRotationError = 2.2e-6f;

// Times sqrt(D), it is the norm that residual misses if each square that it sums is below 2^-126. A
// CPU that flushes such numbers to zero (torch.set_flush_denormal) loses all of them.
constexpr float kLostSquare = 0x1p-63f;

// int8 codes: the largest entry gets the largest code.
constexpr float kMostInt8 = 127.0f;

// int16 codes: a row of codes is no longer than kLongest, so that by Cauchy and Schwarz no partial
// sum of products is more than kLongest^2 < 2^31. Rounding each entry adds sqrt(D) / 2 to the
// length. The float32 rounding of the norm, the scale and the quotients adds less than 0.02, and
// kLengthRounding is taken off for it.
constexpr float kMostInt16 = 32767.0f, kLongest = 46340.0f, kLengthRounding = 8.0f;

// Shares of |x| |w|: see 2. The first is 100 u, and 89 u are needed; the other is 1.1 u, and u is
// needed.
constexpr float kFixedRounding = 6e-6f, kRoundingOf32 = 6.6e-8f;
inline float score_rounding(int64_t depth) {
  return kFixedRounding + static_cast<float>(depth / 32) * kRoundingOf32;
}

// A share of |start|: see 2. 8 u = 4.8e-7 are needed.
constexpr float kStartRounding = 4e-6f;

// A share of a row's price and of the margin: see 4. 3 v are needed.
constexpr double kPriceRounding = 0x1p-51;

// One quantised row. Where it has no bound `residual` is infinite.
struct RowBound {
  float scale;               // s
  float norm;                // |w|, rounded up
  float length;              // |w^|, rounded up
  float residual;            // r, rounded up
  float low;                 // |s c l|, rounded up
  int32_t sums[kMaxPlanes];  // of h and of l; 0 for int16 codes, which need none
};

// The bounds of 32 latents, side by side.
struct PanelBounds {
  float scales[kPanel], lengths[kPanel], lows[kPanel];
  float slacks[kPanel];  // residual, and score_rounding of the norm
  // What the sums over codes start from, because codes of tokens may be stored with 128 added.
  int32_t starts[kMaxPlanes][kPanel];
};

}  // namespace twinsae
