// The loop of all scans of codes: it multiplies tokens with packed columns and lists the survivors.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "codes/layout.h"
#include "codes/scans.h"

namespace twinsae {

// Packed columns of a product, numbered from `first`, with the start of each column's scores. Lane
// c of panel p is column first + 32 p + c - shift, if there is such a column.
struct CodeColumns {
  const int8_t* panels;
  const PanelBounds* bounds;
  int64_t panel_bytes;  // of all planes
  int64_t shift;        // lanes of panel 0 before the first column
  int64_t first, count;
  std::vector<float> offsets, doubts;  // by lane, see bound.h: the start rounded up, and its error

  CodeColumns(const int8_t* codes, const PanelBounds* panel_bounds, int64_t bytes_per_panel,
              int64_t lanes_before, int64_t first_column, int64_t columns)
      : panels(codes),
        bounds(panel_bounds),
        panel_bytes(bytes_per_panel),
        shift(lanes_before),
        first(first_column),
        count(columns),
        offsets(static_cast<size_t>((shift + count + kPanel - 1) / kPanel * kPanel)),
        doubts(offsets.size()) {}

  int64_t end() const { return first + count; }
  int64_t panel_of(int64_t column) const { return (shift + column - first) / kPanel; }
  int32_t column(int64_t p) const { return static_cast<int32_t>(first + p * kPanel - shift); }
  // Returns the lanes of panel p that hold columns in [begin, end).
  uint32_t lanes(int64_t p, int64_t begin, int64_t end) const {
    const int64_t low = std::max<int64_t>(0, begin - column(p));
    const int64_t high = std::min<int64_t>(kPanel, end - column(p));
    return low < high ? (~0u >> (kPanel - (high - low))) << low : 0;
  }
  void add(int64_t column, float value) { add(column, value, std::fabs(value)); }
  // The same for a start that is a difference; `size` is the sum of what it is taken from.
  void add(int64_t column, float value, float size) {
    const int64_t lane = shift + column - first;
    doubts[lane] = kStartRounding * size;
    offsets[lane] = value + doubts[lane];
  }
};

// All rows of a matrix (count, depth) as packed columns; packs them if they are not packed.
class MatrixCodes {
 public:
  MatrixCodes(const CodesIsa& isa, const float* rows, int64_t count, int64_t depth,
              CodePanels packed, int threads)
      : packed_(packed),
        count_(count),
        panel_bytes_(isa.row_bytes(depth) * kPanel),
        codes_(packed.panels ? 0 : panel_count(count) * panel_bytes_),
        bounds_(packed.panels ? 0 : panel_count(count)) {
    if (packed.panels) return;
    pack_codes(isa, rows, nullptr, count, depth, threads, codes_.data(), bounds_.data());
    packed_ = {codes_.data(), bounds_.data()};
  }
  CodeColumns columns() const {
    return {packed_.panels, packed_.bounds, panel_bytes_, 0, 0, count_};
  }

 private:
  CodePanels packed_;
  int64_t count_, panel_bytes_;
  Scratch<int8_t> codes_;
  Scratch<PanelBounds> bounds_;
};

// Returns how many tokens to scan together if each has `bytes` of other state: neither that state
// nor the tokens' codes may take more than `most`.
inline int64_t tokens_at_once(const CodesIsa& isa, int64_t tokens, int64_t depth, int64_t bytes,
                              int64_t most = 24 << 20) {
  const int64_t widest = std::max(bytes, isa.row_bytes(depth));
  return std::min(tokens, std::max<int64_t>(kMaxTileTokens, most / widest));
}

// Tokens that are scanned panel by panel while their codes stay in the cache.
struct TokenBlock {
  int64_t first_tile, end_tile;
};

// Returns how many tiles make a block: as many as fit the cache, but no more than a thread's share.
inline int64_t tiles_of_block(const TokenTiles& tokens, int threads) {
  constexpr int64_t kCacheBytes = 1280 << 10;
  const int64_t fit = std::max<int64_t>(1, kCacheBytes / tokens.tile_bytes());
  const int64_t share = (tokens.tiles() + threads - 1) / threads;
  return std::clamp<int64_t>(share, 1, fit);
}

// The scan of blocks of tokens against columns by one thread.
class BlockScan {
 public:
  BlockScan(const CodesIsa& isa, int64_t depth, const TokenTiles& tokens,
            const CodeColumns& columns)
      : isa_(isa), chunks_(isa.chunks(depth)), tokens_(tokens), columns_(columns) {
    isa.enter();
  }
  ~BlockScan() { isa_.leave(); }

  // Calls collect(panel, first token, rows, sums) for each tile of the block and each panel that
  // has a column in [begin, end).
  template <class Collect>
  void run(TokenBlock block, int64_t begin, int64_t end, const Collect& collect) {
    if (begin >= end) return;
    // Where rows are long, a part of the panel that fits the nearest cache meets several tiles.
    const int64_t part = chunks_ > kChunksAtOnce ? kChunksAtOnce : chunks_;
    const int64_t group = part < chunks_ ? kTilesAtOnce : 1;
    for (int64_t p = columns_.panel_of(begin); p <= columns_.panel_of(end - 1); ++p) {
      const int8_t* panel = columns_.panels + p * columns_.panel_bytes;
      for (int64_t t = block.first_tile; t < block.end_tile; t += group) {
        const int64_t tiles = std::min(group, block.end_tile - t);
        for (int64_t chunk = 0; chunk < chunks_; chunk += part)
          for (int64_t i = 0; i < tiles; ++i) {
            isa_.tile(tokens_.tile(t + i), panel, columns_.bounds[p], chunks_, chunk,
                      std::min(chunks_, chunk + part), sums_[i]);
            fetch(panel + columns_.panel_bytes, t + i - block.first_tile,
                  block.end_tile - block.first_tile, chunk, chunk + part);
          }
        for (int64_t i = 0; i < tiles; ++i) {
          const int64_t token = (t + i) * isa_.tile_tokens;
          collect(p, token, std::min<int64_t>(isa_.tile_tokens, tokens_.count() - token), sums_[i]);
        }
      }
    }
  }

 private:
  // Fetches a part of the next panel, so that all of it is in the cache after the last tile.
  void fetch(const int8_t* next, int64_t tile, int64_t tiles, int64_t chunk, int64_t end) const {
    const int64_t bytes = columns_.panel_bytes;
    const int64_t from = bytes * (tile * chunks_ + chunk) / (tiles * chunks_);
    const int64_t to = bytes * (tile * chunks_ + std::min(end, chunks_)) / (tiles * chunks_);
    for (int64_t at = from & ~int64_t{63}; at < to; at += 64) __builtin_prefetch(next + at, 0, 2);
  }

  static constexpr int64_t kChunksAtOnce = 8, kTilesAtOnce = 8;
  const CodesIsa& isa_;
  int64_t chunks_;
  const TokenTiles& tokens_;
  const CodeColumns& columns_;
  alignas(64) int32_t sums_[kTilesAtOnce][kMaxPlanes * kPlaneOfSums];
};

// Lists the survivors among the columns [begin, end) for each token of a block. `lists` begin with
// token `first`. Calls full(row) for each row whose list must be pruned.
template <class Full>
void list_survivors(const CodesIsa& isa, int64_t depth, const TokenTiles& tokens, TokenBlock block,
                    const CodeColumns& columns, int64_t begin, int64_t end, const Lists& lists,
                    int64_t first, const Full& full) {
  BlockScan scan(isa, depth, tokens, columns);
  scan.run(block, begin, end, [&](int64_t p, int64_t token, int64_t rows, const int32_t* sums) {
    uint32_t over =
        isa.collect(sums, columns.bounds[p], columns.offsets.data() + p * kPanel,
                    columns.doubts.data() + p * kPanel, columns.lanes(p, begin, end),
                    columns.column(p), &tokens.bound(token), rows, lists.from(token - first));
    for (; over; over &= over - 1) full(token + __builtin_ctz(over));
  });
}

}  // namespace twinsae
