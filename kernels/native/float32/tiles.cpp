// Packing rows and panels, and the loop over tiles.
#include "float32/tiles.h"

#include <algorithm>

#include "util/parallel.h"

namespace twinsae {

RowTiles::RowTiles(const Float32Isa& isa, int64_t max_rows, int64_t depth)
    : isa_(isa),
      depth_(depth),
      data_(static_cast<size_t>((max_rows + isa.tile_rows - 1) / isa.tile_rows * isa.tile_rows *
                                depth)) {}

int64_t RowTiles::most_rows(const Float32Isa& isa, int64_t rows, int64_t depth,
                            int64_t bytes_per_row) {
  const int64_t widest = std::max({depth * int64_t{sizeof(float)}, bytes_per_row, int64_t{1}});
  const int64_t tiles = std::max<int64_t>(1, kWorkBytes / widest / isa.tile_rows);
  return std::min(rows, tiles * isa.tile_rows);
}

void RowTiles::load(const float* x, int64_t rows, int threads) {
  rows_ = rows;
  const int height = isa_.tile_rows;
  parallel_for(tiles(), threads, [&](int64_t t) {
    float* tile = data_.data() + t * depth_ * height;
    const int64_t here = std::min<int64_t>(height, rows - t * height);
    for (int64_t r = 0; r < height; ++r) {
      const float* row = x + (t * height + r) * depth_;
      for (int64_t i = 0; i < depth_; ++i) tile[i * height + r] = r < here ? row[i] : 0.0f;
    }
  });
}

void pack_panel(const float* weight, const int32_t* names, int64_t first, int64_t count,
                int64_t depth, float* panel) {
  constexpr int64_t kStep = 16;  // entries of a latent copied at a time: one cache line
  const float* rows[kPanel];
  for (int64_t c = 0; c < kPanel; ++c)
    rows[c] = c < count ? weight + (names ? names[first + c] : first + c) * depth : nullptr;
  for (int64_t begin = 0; begin < depth; begin += kStep) {
    const int64_t end = std::min(depth, begin + kStep);
    for (int64_t c = 0; c < kPanel; ++c)
      for (int64_t i = begin; i < end; ++i) panel[i * kPanel + c] = rows[c] ? rows[c][i] : 0.0f;
  }
}

int64_t Slab::most_panels(const Columns& columns, int64_t bytes_per_panel) {
  const int64_t fit = kWorkBytes / std::max<int64_t>(1, bytes_per_panel);
  return std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, columns.panels()));
}

void Slab::load(const Columns& columns, int64_t first, int64_t count, int threads) {
  first_ = first;
  count_ = count;
  shift_ = columns.shift;
  starts_.assign(static_cast<size_t>(count * kPanel), 0.0f);
  lanes_.assign(static_cast<size_t>(count), 0);
  for (int64_t p = 0; p < count; ++p) {
    for (int64_t c = 0; c < kPanel; ++c) {
      const int64_t at = column(p) + c;
      if (at < 0 || at >= columns.count) continue;
      lanes_[p] |= 1u << c;
      if (columns.bias)
        starts_[p * kPanel + c] = columns.bias[columns.names ? columns.names[at] : at];
    }
  }
  if (!columns.weight) {
    panels_ = columns.packed + first * depth_ * kPanel;
    return;
  }
  packed_.resize(static_cast<size_t>(count * depth_ * kPanel));
  panels_ = packed_.data();
  parallel_for(count, threads, [&](int64_t p) {
    const int64_t here = std::min<int64_t>(kPanel, columns.count - column(p));
    pack_panel(columns.weight, columns.names, column(p), here, depth_,
               packed_.data() + p * depth_ * kPanel);
  });
}

}  // namespace twinsae
