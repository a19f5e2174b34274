// mutual_topk by a scan of codes that proposes and, for exact results, a float32 re-score that
// decides.
//
// Blocks of rows and stripes of columns make a grid of cells, which threads share so that each list,
// of a row or of a column, sees its candidates in their order, as if one thread did all. So the
// result does not depend on the threads, and no list is kept twice.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <utility>

#include "codes/finish.h"
#include "codes/rescore.h"
#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/survivors.h"
#include "util/parallel.h"
#include "util/wavefront.h"

namespace twinsae {
namespace {

// Blocks of rows that may be open at a time: each thread works in one, and has one to go on with.
int64_t open_blocks(int threads) { return threads > 1 ? threads + 1 : 1; }

// How many rows make a block. All columns are read once for each block, so that many rows are good;
// but each of several threads gets some blocks, and the open ones share the memory. Blocks are whole
// tiles: lists of columns are pruned after a tile, and so after the same rows whatever the threads.
int64_t rows_of_block(const CodesIsa& isa, const MutualTopK& q, int64_t room, int threads) {
  const bool alone = threads == 1;
  const int64_t rows = tokens_at_once(isa, alone ? q.a_rows : q.a_rows / (4 * threads), q.depth,
                                      room * Survivors::kBytesEach, (alone ? 24 : 4) << 20);
  return std::max<int64_t>(1, rows / isa.tile_tokens) * isa.tile_tokens;
}

// A block of rows that has begun.
struct RowBlock {
  int64_t begin = 0;  // its first row
  TokenTiles tokens;
  Survivors rows;

  RowBlock(const CodesIsa& isa, int64_t height, int64_t depth, int64_t m, int64_t room)
      : tokens(isa, height, depth), rows(isa, height, m, room) {}
};

class Scan {
 public:
  Scan(const MutualTopK& q, const CodesIsa& isa, CodeColumns columns, int64_t room)
      : q_(q),
        isa_(isa),
        float32_(current_float32_isa()),
        columns_(std::move(columns)),
        cols_(isa, panel_count(q.b_rows) * kPanel, q.m, room) {
    for (int64_t c = 0; c < q_.b_rows; ++c) {
      cols_.restart(c, q_.col_floor[c]);
      if (!std::isfinite(columns_.bounds[c / kPanel].slacks[c % kPanel])) cols_.fail(c);
    }
  }

  void open(RowBlock& block, int64_t begin, int64_t height) const {
    block.begin = begin;
    block.tokens.load(q_.a + begin * q_.depth, std::min(height, q_.a_rows - begin), 1);
    for (int64_t r = 0; r < block.tokens.count(); ++r) {
      block.rows.restart(r, q_.row_floor[begin + r]);
      if (!std::isfinite(block.tokens.bound(r).residual)) block.rows.fail(r);
    }
  }

  // Scans a block of rows against the columns [first, end).
  void scan(RowBlock& block, int64_t first, int64_t end) {
    const TokenTiles& tokens = block.tokens;
    const Lists of_rows = block.rows.lists(0);
    const int64_t height = tiles_of_block(tokens, 1);
    BlockScan scan(isa_, q_.depth, tokens, columns_);
    for (int64_t t = 0; t < tokens.tiles(); t += height) {
      const TokenBlock part{t, std::min(tokens.tiles(), t + height)};
      scan.run(part, first, end, [&](int64_t p, int64_t token, int64_t here, const int32_t* sums) {
        const PanelBounds& bounds = columns_.bounds[p];
        const uint32_t lanes = columns_.lanes(p, first, end);
        const float* nothing = columns_.offsets.data() + p * kPanel;
        uint32_t full = isa_.collect(sums, bounds, nothing, nothing, lanes, columns_.column(p),
                                     &tokens.bound(token), here, of_rows.from(token));
        for (; full; full &= full - 1) prune_row(block, token + __builtin_ctz(full));
        full = isa_.collect_columns(sums, bounds, lanes, &tokens.bound(token), here,
                                    static_cast<int32_t>(block.begin + token),
                                    cols_.lists(columns_.column(p)));
        for (; full; full &= full - 1) prune_column(columns_.column(p) + __builtin_ctz(full));
      });
    }
  }

  void close(RowBlock& block) {
    const int64_t begin = block.begin, count = block.tokens.count();
    Survivors& rows = block.rows;
    for (int64_t r = 0; r < count; ++r)
      if (!rows.failed(r)) prune_row(block, r);
    if (q_.exact)
      survivors_ += rescore_survivors(
          rows, count, q_.b_rows, q_.m, 1,
          [&](int64_t row) { return q_.a + (begin + row) * q_.depth; },
          [&](int64_t column) { return q_.b + column * q_.depth; }, [](int64_t) { return 0.0f; },
          float32_, q_.depth);
    redone_ += finish_rows(
        rows, count, q_.b_rows, 1, [&](int64_t row) { return q_.row_floor[begin + row]; },
        [&](int64_t row, int64_t column) { return score(begin + row, column); },
        [](int64_t column) { return column; },
        {q_.m, q_.m, q_.row_values + begin * q_.m, q_.row_indices + begin * q_.m});
  }

  ScanCounts close_columns(int threads) {
    parallel_for(q_.b_rows, threads, [&](int64_t c) {
      if (!cols_.failed(c)) prune_column(c);
    });
    if (q_.exact)
      survivors_ += rescore_survivors(
          cols_, q_.b_rows, q_.a_rows, q_.m, threads,
          [&](int64_t column) { return q_.b + column * q_.depth; },
          [&](int64_t row) { return q_.a + row * q_.depth; }, [](int64_t) { return 0.0f; },
          float32_, q_.depth);
    redone_ += finish_rows(
        cols_, q_.b_rows, q_.a_rows, threads, [&](int64_t column) { return q_.col_floor[column]; },
        [&](int64_t column, int64_t row) { return score(row, column); },
        [](int64_t row) { return row; }, {q_.m, q_.m, q_.col_values, q_.col_indices});
    return {survivors_, redone_};
  }

 private:
  float score(int64_t row, int64_t column) const {
    return float32_.dot(q_.a + row * q_.depth, q_.b + column * q_.depth, q_.depth);
  }
  void prune_row(RowBlock& block, int64_t r) const {
    if (q_.exact)
      block.rows.prune(r, [&](int64_t c) { return score(block.begin + r, c); });
    else
      block.rows.keep_largest(r);
  }
  void prune_column(int64_t c) {
    if (q_.exact)
      cols_.prune(c, [&](int64_t row) { return score(row, c); });
    else
      cols_.keep_largest(c);
  }

  const MutualTopK& q_;
  const CodesIsa& isa_;
  const Float32Isa& float32_;
  const CodeColumns columns_;
  Survivors cols_;  // (b_rows)
  std::atomic<int64_t> survivors_{0}, redone_{0};
};

}  // namespace

ScanCounts mutual_topk_codes(const MutualTopK& q, const CodesIsa& isa, CodePanels packed,
                             int threads) {
  const MatrixCodes whole(isa, q.b, q.b_rows, q.depth, packed, threads);
  // Without scores only the m largest bounds stay; with them, all that are close to these stay at
  // first.
  const int64_t room = q.exact ? 4 * q.m + 256 : 2 * q.m + 128;
  const int64_t height = rows_of_block(isa, q, room, threads);
  const int64_t open = open_blocks(threads);
  std::deque<RowBlock> blocks;
  for (int64_t i = 0; i < open; ++i) blocks.emplace_back(isa, height, q.depth, q.m, room);
  Scan scan(q, isa, whole.columns(), room);
  // Two stripes a thread, so that one that is slow keeps no other waiting.
  const int64_t panels = panel_count(q.b_rows);
  const int64_t stripes = std::clamp<int64_t>(panels, 1, threads > 1 ? 2 * threads : 1);
  const auto start = [&](int64_t stripe) {
    return std::min(q.b_rows, panels * stripe / stripes * kPanel);
  };
  parallel_wavefront((q.a_rows + height - 1) / height, stripes, open, threads,
                     [&](int64_t number, int64_t stripe) {
                       RowBlock& block = blocks[number % open];
                       if (stripe == 0) scan.open(block, number * height, height);
                       scan.scan(block, start(stripe), start(stripe + 1));
                       if (stripe == stripes - 1) scan.close(block);
                     });
  return scan.close_columns(threads);
}

}  // namespace twinsae
