// The int8 half of the scans: bounds on scores from quantised rows, several times as fast as
// float32.
//
// A row w is kept as w^ = s (h + l / 254), h and l int8 ("planes"; some do without l), with r =
// |w - w^|; where int8 products are slow, as w^ = s h with h int16 (the codes' bytes are kept as
// those of int8 are, hence the name of it all). Rows of int8 codes are rotated first, so that no
// long axis makes codes coarse; that changes no product but by its rounding, which r covers. For
// rows x ~ x^ and w ~ w^
//   x.w - x^.w^ = x.(w - w^) + (x - x^).w^,   so that   |x.w - x^.w^| <= |x| r_w + r_x |w^|,
// and of x^.w^ = s_x s_w (h_x.h_w + (h_x.l_w + l_x.h_w) / 254 + l_x.l_w / 254^2) the last product
// is not computed but bounded by the two rows' own |s l / 254|.
#pragma once
#include <cstdint>

#include "float32/isa.h"

namespace twinsae {

constexpr int kQuad = 4;    // bytes of a row whose products one instruction sums
constexpr int kChunk = 64;  // codes of a row come in chunks of so many bytes, zeros past its end
constexpr int kHalf = kPanel / 2;  // latents side by side in a chunk of a panel
constexpr int kMaxPlanes = 2;
constexpr int kMaxTileTokens = 16;
constexpr int kPlaneOfSums = kMaxTileTokens * kPanel;
constexpr float kLowUnit = 1.0f / 254.0f;

// One quantised row. Where it cannot be bounded (NaN, infinite, too large or too small for the
// arithmetic) `residual` is infinite.
struct RowBound {
  float scale;               // s
  float norm;                // |w|, rounded up
  float length;              // |w^|, rounded up
  float residual;            // r, rounded up
  float low;                 // |s l / 254|, rounded up; 0 without that plane
  int32_t sums[kMaxPlanes];  // of h and of l; 0 where tokens are stored as they are
};

// The bounds of 32 latents, side by side.
struct PanelBounds {
  float scales[kPanel], lengths[kPanel], lows[kPanel];
  float slacks[kPanel];  // residual, and the rounding of float32 scores for a token of norm 1
  // What the sums over codes start from: int8 tokens are stored with 128 added.
  int32_t starts[kMaxPlanes][kPanel];
};

// Lists of candidates, one for each row of a block: parallel arrays (rows, capacity).
struct Lists {
  float *upper, *lower;  // bounds on the score, never NaN
  int32_t* columns;
  int64_t capacity;
  int32_t* counts;        // (rows)
  const int32_t* limits;  // (rows): a list longer than this must be pruned; negative: takes nothing
  float* thresholds;      // (rows): who has an upper bound below is out
};

struct CodesIsa {
  const char* name;
  int tile_tokens;
  int tile_chunk;  // consecutive bytes of one token in a tile
  int code_bytes;  // of one code: 1, or 2 of a single plane
  int planes;      // of its rows; two where that costs little

  // Before and after a thread calls `tile`.
  void (*enter)();
  void (*leave)();

  // The codes of a row, `low` only where there are two planes, and its bound. The codes may be
  // those of the row in other coordinates, the same for all rows of a depth. room (depth) is
  // overwritten.
  RowBound (*quantise)(const float* row, int64_t depth, int planes, float* room, int8_t* high,
                       int8_t* low);

  // A chunk of 16 rows of codes, `stride` apart, as half a panel has it: to (16 quads, 16, 4).
  void (*transpose)(const int8_t* rows, int64_t stride, int8_t* to);

  // Adds the products of the chunks [begin, end) to sums (planes, 16, 32), of which the first
  // tile_tokens rows are meant: h.h and, with two planes, h.l + l.h. Where begin is 0 the sums
  // start from bounds.starts. tokens (planes, chunks, ...) unsigned, as TokenTiles has them;
  // panel (planes, chunks, 2 halves, 16 quads, 16, 4) signed.
  void (*tile)(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds,
               int64_t chunks, int64_t begin, int64_t end, int planes, int32_t* sums);

  // Appends to the lists of the first `rows` tokens of a tile the latents of `lanes` whose bound
  //   upper[c] = scale scales[c] (sums[0, c] + sums[1, c] / 254) + offsets[c]
  //            + norm slacks[c] + residual lengths[c] + low lows[c]
  // is not below the row's threshold; lower[c] = upper[c] - 2 (the second line + doubts[c]).
  // `column` is the number of lane 0. Bit r of the result: list r is beyond its limit.
  uint32_t (*collect)(const int32_t* sums, int planes, const PanelBounds& panel,
                      const float* offsets, const float* doubts, uint32_t lanes, int32_t column,
                      const RowBound* tokens, int64_t rows, const Lists& lists);
  // The same the other way round: appends to the lists of the lanes' columns the tokens whose bound
  // is not below the column's threshold; the first token has number `token`. Bit c: list c is
  // beyond its limit.
  uint32_t (*collect_columns)(const int32_t* sums, int planes, const PanelBounds& panel,
                              uint32_t lanes, const RowBound* tokens, int64_t rows, int32_t token,
                              const Lists& columns);

  // A number that at least k of the values reach, close to the k-th largest; `least` if there are
  // fewer than k above that.
  float (*kth_largest)(const float* values, int64_t count, int64_t k, float least);
  // Drops from list `row`, from its place `first` on, who has an upper bound below `threshold`.
  void (*drop_below)(const Lists& lists, int64_t row, int64_t first, float threshold);

  // Multiplies what stays in registers, `rounds` times, and says how many products that was: the
  // rate that no scan can pass.
  int64_t (*spin)(int64_t rounds);

  int64_t chunks(int64_t depth) const { return (depth * code_bytes + kChunk - 1) / kChunk; }
  // Bytes of one row's codes in one plane, or of one latent of a panel; and in all planes.
  int64_t plane_bytes(int64_t depth) const { return chunks(depth) * kChunk; }
  int64_t row_bytes(int64_t depth) const { return planes * plane_bytes(depth); }
  // Whether scores are bounded so closely that few but the k best survive.
  bool close() const { return planes * code_bytes == 2; }
};

// Billions of int8 operations (a product and a sum are two) in a second, of `threads` threads that
// do nothing else.
double codes_roofline(const CodesIsa& isa, int threads);

// Null where this machine has no such instructions or TWINSAE_CPU_ISA forces others.
const CodesIsa* current_codes_isa();

#ifdef TWINSAE_X86
extern const CodesIsa amx_int8_isa, avx512_vnni_isa, avx2_int16_isa;
bool amx_permitted();  // asks the system for the tile registers
#endif

}  // namespace twinsae
