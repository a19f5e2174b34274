// The two sides of a product, packed for the tile loop, and the scan of one against the other.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "float32/isa.h"
#include "util/parallel.h"

namespace twinsae {

constexpr int64_t kWorkBytes = 16 << 20;    // the most that one working buffer takes
constexpr int64_t kCacheBytes = 512 << 10;  // of panels that are scanned together

// Rows of x in tiles, each (depth, tile_rows), with zeros past the last row.
class RowTiles {
 public:
  RowTiles(const Float32Isa& isa, int64_t max_rows, int64_t depth);
  // Returns how many rows fit into the working memory if each has `bytes_per_row` of other state.
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

// Some columns of the product. Lane c of panel p is column 32 p + c - shift, if there is such a
// column.
struct Columns {
  int64_t count;         // number of columns
  int64_t shift;         // lanes of panel 0 before the first column
  const int32_t* names;  // latent of each column; null if column c is latent c
  const float* weight;   // (latents, depth), to pack from; null if packed
  const float* packed;   // panel 0, if the columns are packed
  const float* bias;     // by latent, or null

  int64_t panels() const { return (shift + count + kPanel - 1) / kPanel; }
};

// Consecutive packed panels, and the biases that their scores start from.
class Slab {
 public:
  explicit Slab(int64_t depth) : depth_(depth) {}
  // Returns how many panels to load at once if each takes `bytes_per_panel`.
  static int64_t most_panels(const Columns& columns, int64_t bytes_per_panel);

  void load(const Columns& columns, int64_t first, int64_t count, int threads);
  int64_t first() const { return first_; }
  int64_t count() const { return count_; }
  const float* panel(int64_t p) const { return panels_ + p * depth_ * kPanel; }
  const float* start(int64_t p) const { return starts_.data() + p * kPanel; }
  uint32_t lanes(int64_t p) const { return lanes_[p]; }  // bit c: lane c is a column
  int64_t column(int64_t p) const { return (first_ + p) * kPanel - shift_; }  // of lane 0

 private:
  int64_t depth_, first_ = 0, count_ = 0, shift_ = 0;
  const float* panels_ = nullptr;
  std::vector<float> packed_, starts_;
  std::vector<uint32_t> lanes_;
};

void pack_panel(const float* weight, const int32_t* names, int64_t first, int64_t count,
                int64_t depth, float* panel);

// Scores every row against the slab. Calls take(row, p, scores) for each row and each panel p of the
// slab; a row's panels come in their order, from one thread. Writes the scores to `all` (tiles, slab
// panels, tile_rows, 32) too, if that is not null.
template <class Take>
void scan(const Float32Isa& isa, const RowTiles& rows, const Slab& slab, int64_t depth, int threads,
          float* all, const Take& take) {
  constexpr int64_t kTilesOfTask = 8;  // each cached block of panels is read this many times
  const int64_t fair = (rows.tiles() + threads - 1) / threads;
  const int64_t height = std::clamp<int64_t>(fair, 1, kTilesOfTask);
  const int64_t panel_bytes = std::max<int64_t>(1, depth * kPanel * int64_t{sizeof(float)});
  const int64_t width = std::max<int64_t>(1, kCacheBytes / panel_bytes);
  const int64_t tile_size = int64_t{isa.tile_rows} * kPanel;

  parallel_for((rows.tiles() + height - 1) / height, threads, [&](int64_t task) {
    alignas(64) float own[kMaxRows * kPanel];
    const int64_t end_tile = std::min(rows.tiles(), (task + 1) * height);
    for (int64_t block = 0; block < slab.count(); block += width) {
      const int64_t end_panel = std::min(slab.count(), block + width);
      for (int64_t t = task * height; t < end_tile; ++t) {
        const int64_t here = std::min<int64_t>(isa.tile_rows, rows.rows() - t * isa.tile_rows);
        for (int64_t p = block; p < end_panel; ++p) {
          float* out = all ? all + (t * slab.count() + p) * tile_size : own;
          isa.tile(rows.tile(t), slab.panel(p), slab.start(p), depth, out);
          for (int64_t r = 0; r < here; ++r) take(t * isa.tile_rows + r, p, out + r * kPanel);
        }
      }
    }
  });
}

}  // namespace twinsae
