// Rows quantised and laid out for the int8 tiles: latents in panels, tokens in tiles.
#pragma once
#include <cstdint>
#include <vector>

#include "codes/isa.h"
#include "util/scratch.h"

namespace twinsae {

// Packs `count` latents, names[i] of weight (latents, depth) or simply i where names is null, in
// panels (panel_count(count), planes, plane_bytes(depth) / 4, 32, 4), with the bounds of each
// panel. Lanes past the end hold zeros.
void pack_codes(const CodesIsa& isa, const float* weight, const int32_t* names, int64_t count,
                int64_t depth, int threads, int8_t* panels, PanelBounds* bounds);

// Up to `most` tokens in tiles (tiles, planes, chunks, tile_tokens, tile_chunk), int8 codes with
// 128 added.
class TokenTiles {
 public:
  TokenTiles(const CodesIsa& isa, int64_t most, int64_t depth);
  void load(const float* x, int64_t count, int threads);

  int64_t count() const { return count_; }
  int64_t tiles() const { return (count_ + isa_.tile_tokens - 1) / isa_.tile_tokens; }
  int64_t tile_bytes() const { return tile_bytes_; }
  const uint8_t* tile(int64_t t) const { return codes_.data() + t * tile_bytes_; }
  const RowBound& bound(int64_t token) const { return bounds_[token]; }

 private:
  const CodesIsa& isa_;
  int64_t depth_, tile_bytes_, count_ = 0;
  int planes_;
  Scratch<uint8_t> codes_;
  std::vector<RowBound> bounds_;
};

}  // namespace twinsae
