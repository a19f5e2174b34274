// linear_topk, mutual_topk, pairs_above and linear_above in float32.
#include "float32/scans.h"

#include <algorithm>
#include <vector>

#include "float32/best.h"
#include "float32/pair_list.h"
#include "float32/row_lists.h"
#include "float32/tiles.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kFloat = sizeof(float);

Columns group_columns(const LinearTopK& q, int64_t group, const std::vector<int32_t>& names) {
  const int64_t first = group * q.latents;
  Columns columns{};
  columns.count = q.mask ? static_cast<int64_t>(names.size()) : q.latents;
  columns.names = q.mask ? names.data() : nullptr;
  columns.bias = q.bias ? q.bias + first : nullptr;
  if (q.weight) {
    columns.weight = q.weight + first * q.depth;
  } else {
    columns.shift = first % kPanel;
    columns.packed = q.panels + first / kPanel * q.depth * kPanel;
  }
  return columns;
}

// Returns what offers the scores of `scan` to the streams of their rows.
auto offer_to(const Float32Isa& isa, const Slab& slab, Best& best) {
  return [&](int64_t row, int64_t p, const float* scores) {
    const uint32_t bits = isa.not_below(scores, best.thresholds()[row]);
    best.push(row, bits & slab.lanes(p), scores, slab.column(p));
  };
}

// Offers the scores of the rows [begin, begin + count) with a slab, as `scan` wrote them, to the
// streams of the columns.
void offer_columns(const Float32Isa& isa, const Slab& slab, int64_t begin, int64_t count,
                   int threads, const float* scores, Best& best) {
  const int64_t tile_size = int64_t{isa.tile_rows} * kPanel;
  parallel_for(slab.count(), threads, [&](int64_t p) {
    const int64_t column = slab.column(p);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t tile = r / isa.tile_rows * slab.count() + p;
      const float* row = scores + tile * tile_size + r % isa.tile_rows * kPanel;
      uint32_t bits = isa.not_below_each(row, best.thresholds() + column) & slab.lanes(p);
      for (; bits; bits &= bits - 1) {
        const int c = __builtin_ctz(bits);
        best.push_one(column + c, row[c], begin + r);
      }
    }
  });
}

// Lists the pairs of one tile of scores that lie in the piece and are above their prices.
void list_above(const PairsAbove& q, const Block& piece, int64_t row, int64_t height,
                int64_t column, const float* scores, std::vector<uint64_t>& found) {
  const int64_t begin = std::max(column, piece.col_start);
  const int64_t end = std::min(column + kPanel, piece.col_stop);
  for (int64_t r = std::max(row, piece.row_start); r < std::min(row + height, piece.row_stop); ++r)
    for (int64_t c = begin; c < end; ++c)
      if (q.above(r, c, scores[(r - row) * kPanel + c - column]))
        found.push_back(PairList::key(r, c));
}

}  // namespace

std::vector<int32_t> eligible(const bool* mask, int64_t latents) {
  std::vector<int32_t> names;
  for (int64_t l = 0; l < latents; ++l)
    if (mask[l]) names.push_back(static_cast<int32_t>(l));
  return names;
}

int64_t panel_count(int64_t latents) { return (latents + kPanel - 1) / kPanel; }

void pack_panels(const float* weight, int64_t latents, int64_t depth, int threads, float* panels) {
  if (depth == 0) return;
  parallel_for(panel_count(latents), threads, [&](int64_t p) {
    const int64_t here = std::min<int64_t>(kPanel, latents - p * kPanel);
    pack_panel(weight, nullptr, p * kPanel, here, depth, panels + p * depth * kPanel);
  });
}

void linear_topk(const LinearTopK& q, int threads) {
  const Float32Isa& isa = current_float32_isa();
  const int64_t state = Best::capacity(q.k) * int64_t{sizeof(Key)};
  const int64_t most = RowTiles::most_rows(isa, q.rows, q.depth, state);
  RowTiles rows(isa, most, q.depth);
  Best best(most, q.k);
  Slab slab(q.depth);

  for (int64_t begin = 0; begin < q.rows; begin += most) {
    const int64_t count = std::min(most, q.rows - begin);
    rows.load(q.x + begin * q.depth, count, threads);
    for (int64_t group = 0; group < q.groups; ++group) {
      std::vector<int32_t> names;
      if (q.mask) names = eligible(q.mask + group * q.latents, q.latents);
      const Columns columns = group_columns(q, group, names);
      for (int64_t r = 0; r < count; ++r) best.restart(r, q.floor[begin + r]);
      const int64_t width = Slab::most_panels(columns, q.depth * kPanel * kFloat);
      for (int64_t p = 0; p < columns.panels(); p += width) {
        slab.load(columns, p, std::min(width, columns.panels() - p), threads);
        scan(isa, rows, slab, q.depth, threads, nullptr, offer_to(isa, slab, best));
      }
      parallel_for(count, threads, [&](int64_t r) {
        const int64_t at = ((begin + r) * q.groups + group) * q.k;
        best.finish(r, columns.names, q.values + at, q.indices + at);
      });
    }
  }
}

void mutual_topk(const MutualTopK& q, int threads) {
  constexpr int64_t kRows = 1536;
  const Float32Isa& isa = current_float32_isa();
  const int64_t state = Best::capacity(q.m) * int64_t{sizeof(Key)};
  const int64_t most = RowTiles::most_rows(isa, std::min(q.a_rows, kRows), q.depth, state);
  RowTiles rows(isa, most, q.depth);
  Best row_best(most, q.m);
  Best col_best(panel_count(q.b_rows) * kPanel, q.m);
  for (int64_t c = 0; c < q.b_rows; ++c) col_best.restart(c, q.col_floor[c]);

  Columns columns{};
  columns.count = q.b_rows;
  columns.weight = q.b;
  columns.packed = q.panels;
  Slab slab(q.depth);
  const int64_t height = (most + isa.tile_rows - 1) / isa.tile_rows * isa.tile_rows;
  const int64_t width = Slab::most_panels(columns, std::max(q.depth, height) * kPanel * kFloat);
  std::vector<float> scores(static_cast<size_t>(height * width * kPanel));

  for (int64_t begin = 0; begin < q.a_rows; begin += most) {
    const int64_t count = std::min(most, q.a_rows - begin);
    rows.load(q.a + begin * q.depth, count, threads);
    for (int64_t r = 0; r < count; ++r) row_best.restart(r, q.row_floor[begin + r]);
    for (int64_t first = 0; first < columns.panels(); first += width) {
      slab.load(columns, first, std::min(width, columns.panels() - first), threads);
      scan(isa, rows, slab, q.depth, threads, scores.data(), offer_to(isa, slab, row_best));
      offer_columns(isa, slab, begin, count, threads, scores.data(), col_best);
    }
    parallel_for(count, threads, [&](int64_t r) {
      const int64_t at = (begin + r) * q.m;
      row_best.finish(r, nullptr, q.row_values + at, q.row_indices + at);
    });
  }
  parallel_for(q.b_rows, threads, [&](int64_t c) {
    col_best.finish(c, nullptr, q.col_values + c * q.m, q.col_indices + c * q.m);
  });
}

Pairs pairs_above(const PairsAbove& q, const float* panels, int threads) {
  constexpr int64_t kRows = 1536;
  const Float32Isa& isa = current_float32_isa();
  const int64_t most = RowTiles::most_rows(isa, std::min(q.a_rows, kRows), q.depth, 0);
  RowTiles rows(isa, most, q.depth);
  Slab slab(q.depth);
  PairList list(q.capacity);
  for_stripes(q, most, [&](const Stripe& stripe) {
    rows.load(q.a + stripe.begin * q.depth, stripe.end - stripe.begin, threads);
    for (const Block& piece : stripe.pieces) {
      Columns columns{};
      columns.count = piece.col_stop;
      columns.weight = panels ? nullptr : q.b;
      columns.packed = panels;
      const int64_t width = Slab::most_panels(columns, q.depth * kPanel * kFloat);
      for (int64_t p = piece.col_start / kPanel; p < columns.panels(); p += width) {
        slab.load(columns, p, std::min(width, columns.panels() - p), threads);
        parallel_for(rows.tiles(), threads, [&](int64_t t) {
          alignas(64) float scores[kMaxRows * kPanel];
          std::vector<uint64_t> found;
          for (int64_t i = 0; i < slab.count(); ++i) {
            isa.tile(rows.tile(t), slab.panel(i), slab.start(i), q.depth, scores);
            list_above(q, piece, stripe.begin + t * isa.tile_rows, isa.tile_rows, slab.column(i),
                       scores, found);
          }
          list.take(found);
        });
      }
    }
  });
  return list.sorted();
}

SparseScores linear_above(const LinearAbove& q, int threads) {
  const Float32Isa& isa = current_float32_isa();
  const int64_t most = RowTiles::most_rows(isa, q.rows, q.depth, 0);
  RowTiles rows(isa, most, q.depth);
  Columns columns{};
  columns.count = q.latents;
  columns.weight = q.weight;
  columns.packed = q.panels;
  columns.bias = q.bias;
  std::vector<float> thresholds(q.threshold, q.threshold + q.latents);
  thresholds.resize(static_cast<size_t>(columns.panels() * kPanel));
  Slab slab(q.depth);
  const int64_t width = Slab::most_panels(columns, q.depth * kPanel * kFloat);
  RowLists lists(q.rows);
  for (int64_t begin = 0; begin < q.rows; begin += most) {
    rows.load(q.x + begin * q.depth, std::min(most, q.rows - begin), threads);
    lists.start(begin, rows.rows(), isa.tile_rows);
    for (int64_t p = 0; p < columns.panels(); p += width) {
      slab.load(columns, p, std::min(width, columns.panels() - p), threads);
      scan(isa, rows, slab, q.depth, threads, nullptr,
           [&](int64_t row, int64_t panel, const float* scores) {
             const int64_t column = slab.column(panel);
             uint32_t bits = isa.not_below_each(scores, thresholds.data() + column);
             for (bits &= slab.lanes(panel); bits; bits &= bits - 1) {
               const int c = __builtin_ctz(bits);
               lists.add(row / isa.tile_rows, row, column + c, scores[c]);
             }
           });
    }
    lists.finish(threads);
  }
  return lists.take();
}

}  // namespace twinsae
