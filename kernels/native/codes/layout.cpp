// Packing of latents and of tokens.
#include "codes/layout.h"

#include <algorithm>

#include "float32/scans.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

// Codes of a few rows in both planes, with zeros past the rows' ends, and room to compute them in.
struct Codes {
  int64_t rows, length;
  std::vector<int8_t> codes;
  std::vector<float> room;

  Codes(int64_t count, int64_t bytes, int64_t depth)
      : rows(count),
        length(bytes),
        codes(static_cast<size_t>(kMaxPlanes * rows * length)),
        room(static_cast<size_t>(depth)) {}
  int8_t* at(int plane, int64_t row) { return codes.data() + (plane * rows + row) * length; }
  void clear() { std::fill(codes.begin(), codes.end(), int8_t{0}); }
};

void set_lane(PanelBounds& panel, int64_t c, const RowBound& bound, const CodesIsa& isa,
              float rounding) {
  panel.scales[c] = bound.scale;
  panel.lengths[c] = bound.length;
  panel.lows[c] = bound.low;
  panel.slacks[c] = bound.residual + rounding * bound.norm;
  panel.starts[0][c] = -isa.added * bound.sums[0];
  panel.starts[1][c] = isa.planes == 2 ? -isa.added * (bound.sums[0] + bound.sums[1]) : 0;
}

}  // namespace

void pack_codes(const CodesIsa& isa, const float* weight, const int32_t* names, int64_t count,
                int64_t depth, int threads, int8_t* panels, PanelBounds* bounds) {
  const int planes = isa.planes;
  const int64_t length = isa.plane_bytes(depth);
  const float rounding = score_rounding(depth);
  parallel_for(panel_count(count), threads, [&](int64_t p) {
    Codes codes(kPanel, length, depth);
    for (int64_t c = 0; c < kPanel; ++c) {
      const int64_t at = p * kPanel + c;
      RowBound bound{1.0f, 0.0f, 0.0f, 0.0f, 0.0f, {0, 0}};
      if (at < count)
        bound = isa.quantise(weight + (names ? names[at] : at) * depth, depth, codes.room.data(),
                             codes.at(0, c), codes.at(1, c));
      set_lane(bounds[p], c, bound, isa, rounding);
    }
    int8_t* to = panels + p * planes * length * kPanel;
    for (int plane = 0; plane < planes; ++plane)
      for (int64_t i = 0; i < length; i += kChunk)
        for (int64_t c = 0; c < kPanel; c += kHalf, to += kChunk * kHalf)
          isa.transpose(codes.at(plane, c) + i, length, to);
  });
}

TokenTiles::TokenTiles(const CodesIsa& isa, int64_t most, int64_t depth)
    : isa_(isa),
      depth_(depth),
      tile_bytes_(isa.row_bytes(depth) * isa.tile_tokens),
      planes_(isa.planes),
      codes_((most + isa.tile_tokens - 1) / isa.tile_tokens * tile_bytes_),
      bounds_(
          static_cast<size_t>((most + isa.tile_tokens - 1) / isa.tile_tokens * isa.tile_tokens)) {}

void TokenTiles::load(const float* x, int64_t count, int threads) {
  count_ = count;
  const int64_t length = isa_.plane_bytes(depth_), chunk = isa_.tile_chunk;
  const int64_t height = isa_.tile_tokens;
  parallel_for(tiles(), threads, [&](int64_t t) {
    Codes row(1, length, depth_);
    for (int64_t r = 0; r < height; ++r) {
      const int64_t token = t * height + r;
      RowBound& bound = bounds_[token];
      bound = {};
      if (token < count)
        bound =
            isa_.quantise(x + token * depth_, depth_, row.room.data(), row.at(0, 0), row.at(1, 0));
      else
        row.clear();
      for (int plane = 0; plane < planes_; ++plane) {
        uint8_t* to = codes_.data() + t * tile_bytes_ + plane * length * height + r * chunk;
        const int8_t* from = row.at(plane, 0);
        for (int64_t i = 0; i < length; i += chunk, to += height * chunk)
          for (int64_t b = 0; b < chunk; ++b)
            to[b] = static_cast<uint8_t>(from[i + b] + isa_.added);
      }
    }
  });
}

}  // namespace twinsae
