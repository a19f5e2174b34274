// The hot loops on codes, compiled once for each instruction set that has them.
#pragma once
#include <cstdint>

#include "codes/bound.h"
#include "codes/lists.h"
#include "float32/isa.h"

namespace twinsae {

constexpr int kQuad = 4;  // bytes of a row whose products one instruction sums
constexpr int kChunk =
    64;  // a row's codes are padded with zeros to whole chunks of this many bytes
constexpr int kQuads = kChunk / kQuad;
constexpr int kHalf = kPanel / 2;  // latents side by side in a chunk of a panel
constexpr int kMaxTileTokens = 16;
constexpr int kPlaneOfSums = kMaxTileTokens * kPanel;

struct CodesIsa {
  const char* name;
  int tile_tokens;
  int tile_chunk;  // consecutive bytes of one token in a tile
  int code_bytes;  // of one code: 1, or 2 where there is one plane
  int planes;      // two where the second costs little
  int added;       // to a token's codes: 128 where the instruction takes them unsigned, else 0

  // A thread calls these before its first and after its last `tile`.
  void (*enter)();
  void (*leave)();

  // Writes a row's codes, plane_bytes each (`low` only where there are two planes), and returns its
  // bound. Overwrites room (depth).
  RowBound (*quantise)(const float* row, int64_t depth, float* room, int8_t* high, int8_t* low);

  // Copies a chunk of 16 rows of codes, `stride` apart, to where half a panel has it: (16 quads,
  // 16, 4).
  void (*transpose)(const int8_t* rows, int64_t stride, int8_t* to);

  // Adds the products of the chunks [begin, end) to sums (planes, 16, 32), tile_tokens rows of each
  // plane: <h, h> and, with two planes, <h, l> + <l, h>. Where begin is 0 the sums start from
  // bounds.starts. tokens (planes, chunks, ...) are laid out as TokenTiles has them, with `added` in
  // each code; panel is (planes, chunks, 2 halves, 16 quads, 16, 4), signed.
  void (*tile)(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds,
               int64_t chunks, int64_t begin, int64_t end, int32_t* sums);

  // Appends to the lists of the first `rows` tokens of a tile the latents of `lanes` whose upper
  // bound (see bound.h) is not below the row's threshold. `column` is the number of lane 0. Sets
  // bit r of the result where list r is beyond its limit.
  uint32_t (*collect)(const int32_t* sums, const PanelBounds& panel, const float* offsets,
                      const float* doubts, uint32_t lanes, int32_t column, const RowBound* tokens,
                      int64_t rows, const Lists& lists);
  // The same the other way round: appends to the lists of the lanes' latents the tokens whose upper
  // bound is not below the latent's threshold. The first token has number `token`. Sets bit c where
  // list c is beyond its limit.
  uint32_t (*collect_columns)(const int32_t* sums, const PanelBounds& panel, uint32_t lanes,
                              const RowBound* tokens, int64_t rows, int32_t token,
                              const Lists& columns);

  // Returns a number that at least k of the values reach, close to the k-th largest; `least` where
  // fewer than k reach that.
  float (*kth_largest)(const float* values, int64_t count, int64_t k, float least);
  // Drops from list `row`, from its place `first` on, the candidates with an upper bound below
  // `threshold`.
  void (*drop_below)(const Lists& lists, int64_t row, int64_t first, float threshold);

  // Multiplies registers `rounds` times and returns how many products that was: no scan can be
  // faster than this.
  int64_t (*spin)(int64_t rounds);

  int64_t chunks(int64_t depth) const { return (depth * code_bytes + kChunk - 1) / kChunk; }
  // Bytes of one row's codes in one plane, and in all planes.
  int64_t plane_bytes(int64_t depth) const { return chunks(depth) * kChunk; }
  int64_t row_bytes(int64_t depth) const { return planes * plane_bytes(depth); }
  // Whether bounds are so close that few candidates survive besides the k best.
  bool close() const { return planes * code_bytes == 2; }
};

// Returns how many billion operations on codes (a product and a sum are two) `threads` threads make
// in a second when they do nothing else.
double codes_roofline(const CodesIsa& isa, int threads);

// Returns null where this machine has no such instructions or TWINSAE_CPU_ISA names others.
const CodesIsa* current_codes_isa();

#ifdef TWINSAE_X86
extern const CodesIsa amx_int8_isa, avx512_vnni_isa, avx2_int16_isa;
#endif
#ifdef TWINSAE_NEON
extern const CodesIsa neon_dotprod_isa;
#endif

}  // namespace twinsae
