// AMX: two planes of int8 codes. A tile is 16 tokens x 32 latents. Of the eight tile registers four
// hold sums, two hold the tokens' planes, and two hold the latents' planes in turn.
#include "codes/isa.h"

#ifdef TWINSAE_X86
// g++ 12 warns of the vectors that the intrinsics themselves leave undefined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC target("amx-tile,amx-int8,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")

namespace twinsae {
namespace {

constexpr int kTokens = 16, kPlanes = 2, kAdded = 128;
#include "codes/isa/registers_avx512.inc"
// The registers come first; the loops are made of them.
#include "codes/collect.inc"
#include "codes/kth_largest.inc"
#include "codes/quantise_int8.inc"
#include "codes/transpose.inc"

constexpr int64_t kHalfRow = kHalf * kQuad;
constexpr int64_t kHalfChunk = kChunk * kHalf;
constexpr int64_t kPanelChunk = kChunk * kPanel;
constexpr int64_t kTokenChunk = kChunk * kTokens;
constexpr int64_t kSumsRow = kPanel * sizeof(int32_t);

struct alignas(64) Palette {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// It is not on the stack, because g++ 12 does not see that _tile_loadconfig reads more than 8
// bytes.
const Palette kPalette;

void enter() { _tile_loadconfig(&kPalette); }

void leave() { _tile_release(); }

void tile(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds, int64_t chunks,
          int64_t begin, int64_t end, int32_t* sums) {
  const uint8_t* low_tokens = tokens + chunks * kTokenChunk;
  const int8_t* low_panel = panel + chunks * kPanelChunk;
  int32_t* cross = sums + kPlaneOfSums;
  const int32_t* start = begin ? sums : bounds.starts[0];
  const int32_t* cross_start = begin ? cross : bounds.starts[1];
  const int64_t stride = begin ? kSumsRow : 0;  // at 0 all tokens have the same start
  _tile_loadd(0, start, stride);
  _tile_loadd(1, start + 16, stride);
  _tile_loadd(2, cross_start, stride);
  _tile_loadd(3, cross_start + 16, stride);
  for (int64_t i = begin; i < end; ++i) {
    // Products that add to the same register are kept apart, to hide their latency.
    _tile_loadd(4, tokens + i * kTokenChunk, kChunk);
    _tile_loadd(6, panel + i * kPanelChunk, kHalfRow);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(5, low_tokens + i * kTokenChunk, kChunk);
    _tile_dpbusd(2, 5, 6);
    _tile_loadd(7, panel + i * kPanelChunk + kHalfChunk, kHalfRow);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(3, 5, 7);
    _tile_loadd(6, low_panel + i * kPanelChunk, kHalfRow);
    _tile_dpbusd(2, 4, 6);
    _tile_loadd(7, low_panel + i * kPanelChunk + kHalfChunk, kHalfRow);
    _tile_dpbusd(3, 4, 7);
  }
  _tile_stored(0, sums, kSumsRow);
  _tile_stored(1, sums + 16, kSumsRow);
  _tile_stored(2, cross, kSumsRow);
  _tile_stored(3, cross + 16, kSumsRow);
}

int64_t spin(int64_t rounds) {
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  return rounds * 4 * 16 * 16 * kChunk;
}

#include "codes/describe.inc"

}  // namespace

constexpr CodesIsa amx_int8_isa = describe("amx_int8", kChunk, enter, leave);

}  // namespace twinsae
#endif
