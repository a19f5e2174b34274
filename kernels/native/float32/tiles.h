// The product's two sides, packed for the tile loop, and the scan of one against the other.
#pragma once
#include <cstdint>
#include <vector>

#include "float32/best.h"
#include "float32/isa.h"

namespace twinsae {

constexpr int64_t kWorkBytes = 16 << 20;    // bound on each working buffer
constexpr int64_t kCacheBytes = 512 << 10;  // panels scanned together, to stay in the cache

// Rows of x in tiles, each (depth, tile_rows); zeros past the end.
class RowTiles {
 public:
  RowTiles(const Float32Isa& isa, int64_t max_rows, int64_t depth);
  // Most rows that fit the working memory, with `bytes_per_row` of other state beside each.
  static int64_t most_rows(const Float32Isa& isa, int64_t rows, int64_t depth,
                           int64_t bytes_per_row);

  void load(const float* x, int64_t rows, int threads);
  int64_t rows() const { return rows_; }
  int64_t tiles() const { return (rows_ + isa_.tile_rows - 1) / isa_.tile_rows; }
  const float* tile(int64_t t) const { return data_.data() + t * depth_ * isa_.tile_rows; }

 private:
  const Float32Isa& isa_;
  int64_t rows_ = 0, depth_;
  std::vector<float> data_;
};

// Some columns of the product: lane c of panel p is the column 32 p + c - shift, if it is one.
struct Columns {
  int64_t count;         // columns there are
  int64_t shift;         // lanes of panel 0 that are not ours
  const int32_t* names;  // the latent of each column, or null: its own number
  const float* weight;   // (latents, depth): rows to pack from, or null: already packed
  const float* packed;   // panel 0
  const float* bias;     // by latent, or null

  int64_t panels() const { return (shift + count + kPanel - 1) / kPanel; }
};

// A run of packed panels with what their scores start from.
class Slab {
 public:
  explicit Slab(int64_t depth) : depth_(depth) {}
  // How many panels to load at once, at most `bytes` in all at `bytes_per_panel` each.
  static int64_t most_panels(const Columns& columns, int64_t bytes_per_panel);

  void load(const Columns& columns, int64_t first, int64_t count, int threads);
  int64_t first() const { return first_; }
  int64_t count() const { return count_; }
  const float* panel(int64_t p) const { return panels_ + p * depth_ * kPanel; }
  const float* start(int64_t p) const { return starts_.data() + p * kPanel; }
  uint32_t lanes(int64_t p) const { return lanes_[p]; }  // which lanes are columns
  int64_t column(int64_t p) const { return (first_ + p) * kPanel - shift_; }  // of lane 0

 private:
  int64_t depth_, first_ = 0, count_ = 0, shift_ = 0;
  const float* panels_ = nullptr;
  std::vector<float> packed_, starts_;
  std::vector<uint32_t> lanes_;
};

void pack_panel(const float* weight, const int32_t* names, int64_t first, int64_t count,
                int64_t depth, float* panel);

// Scores every row against the slab and offers the scores to the rows' `best`. With `scores`, a
// buffer (tiles, slab panels, tile_rows, 32), they are kept too.
void scan(const Float32Isa& isa, const RowTiles& rows, const Slab& slab, int64_t depth, int threads,
          Best& best, float* scores);

}  // namespace twinsae
