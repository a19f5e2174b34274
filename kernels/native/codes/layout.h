// Quantises rows and lays out their codes for the tile loop: latents in panels, tokens in tiles.
#pragma once
#include <cstdint>
#include <vector>

#include "codes/isa.h"
#include "util/scratch.h"

namespace twinsae {

// Packs `count` rows of weight (latents, depth): row names[i] as column i, or row i where names is
// null. Writes panels (panel_count(count), planes, plane_bytes(depth) / 4, 32, 4) and the bounds of
// each panel. Lanes past the last column hold zeros.
void pack_codes(const CodesIsa& isa, const float* weight, const int32_t* names, int64_t count,
                int64_t depth, int threads, int8_t* panels, PanelBounds* bounds);

// Up to `most` tokens in tiles (tiles, planes, chunks, tile_tokens, tile_chunk), with
// CodesIsa::added in each code.
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
