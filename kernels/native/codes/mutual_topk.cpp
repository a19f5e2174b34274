// mutual_topk by a scan of codes that proposes and, for exact results, a float32 re-score that
// decides.
//
// All threads scan the same block of rows. Each has a stripe of columns, whose lists no other
// thread touches, and its own lists for the rows, which are merged when the block is done.
#include <algorithm>
#include <cmath>
#include <vector>

#include "codes/finish.h"
#include "codes/rescore.h"
#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/survivors.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

struct Scan {
  const MutualTopK& q;
  const CodesIsa& isa;
  const Float32Isa& float32;
  int threads;
  CodeColumns columns;
  int64_t most;  // rows of a block
  TokenTiles tokens;
  Survivors rows;  // (threads, most)
  Survivors cols;  // (b_rows)

  float score(int64_t row, int64_t column) const {
    return float32.dot(q.a + row * q.depth, q.b + column * q.depth, q.depth);
  }
  void prune_row(int64_t list, int64_t begin) {
    if (q.exact)
      rows.prune(list, [&](int64_t c) { return score(begin + list % most, c); });
    else
      rows.keep_largest(list);
  }
  void prune_column(int64_t c) {
    if (q.exact)
      cols.prune(c, [&](int64_t row) { return score(row, c); });
    else
      cols.keep_largest(c);
  }

  // Scans the loaded rows, of which `begin` is the first, against the stripe of one thread.
  void scan_stripe(int64_t thread, int64_t begin) {
    const int64_t panels = columns.panel_of(columns.count - 1) + 1;
    const int64_t first = std::min(columns.count, panels * thread / threads * kPanel);
    const int64_t end = std::min(columns.count, panels * (thread + 1) / threads * kPanel);
    const Lists mine = rows.lists(thread * most);
    const int64_t height = tiles_of_block(tokens, 1);
    BlockScan scan(isa, q.depth, tokens, columns);
    for (int64_t t = 0; t < tokens.tiles(); t += height) {
      const TokenBlock block{t, std::min(tokens.tiles(), t + height)};
      scan.run(block, first, end, [&](int64_t p, int64_t token, int64_t here, const int32_t* sums) {
        const PanelBounds& bounds = columns.bounds[p];
        const uint32_t lanes = columns.lanes(p, first, end);
        const float* nothing = columns.offsets.data() + p * kPanel;
        uint32_t full = isa.collect(sums, bounds, nothing, nothing, lanes, columns.column(p),
                                    &tokens.bound(token), here, mine.from(token));
        for (; full; full &= full - 1)
          prune_row(thread * most + token + __builtin_ctz(full), begin);
        full =
            isa.collect_columns(sums, bounds, lanes, &tokens.bound(token), here,
                                static_cast<int32_t>(begin + token), cols.lists(columns.column(p)));
        for (; full; full &= full - 1) prune_column(columns.column(p) + __builtin_ctz(full));
      });
    }
  }

  void open_rows(int64_t begin) {
    tokens.load(q.a + begin * q.depth, std::min(most, q.a_rows - begin), threads);
    for (int64_t list = 0; list < threads * most; ++list) {
      const int64_t row = list % most;
      if (row >= tokens.count()) continue;
      rows.restart(list, q.row_floor[begin + row]);
      if (!std::isfinite(tokens.bound(row).residual)) rows.fail(list);
    }
  }

  void close_rows(int64_t begin, ScanCounts& counts) {
    parallel_for(tokens.count(), threads, [&](int64_t row) {
      const auto prune = [&](int64_t list) { prune_row(list, begin); };
      for (int64_t t = 1; t < threads; ++t) rows.merge(row, t * most + row, prune);
      if (!rows.failed(row)) prune(row);
    });
    if (q.exact)
      counts.survivors += rescore_survivors(
          rows, tokens.count(), q.b_rows, q.m, threads,
          [&](int64_t row) { return q.a + (begin + row) * q.depth; },
          [&](int64_t column) { return q.b + column * q.depth; }, [](int64_t) { return 0.0f; },
          float32, q.depth);
    counts.redone += finish_rows(
        rows, tokens.count(), q.b_rows, threads,
        [&](int64_t row) { return q.row_floor[begin + row]; },
        [&](int64_t row, int64_t column) { return score(begin + row, column); },
        [](int64_t column) { return column; },
        {q.m, q.m, q.row_values + begin * q.m, q.row_indices + begin * q.m});
  }

  void close_columns(ScanCounts& counts) {
    parallel_for(q.b_rows, threads, [&](int64_t c) {
      if (!cols.failed(c)) prune_column(c);
    });
    if (q.exact)
      counts.survivors += rescore_survivors(
          cols, q.b_rows, q.a_rows, q.m, threads,
          [&](int64_t column) { return q.b + column * q.depth; },
          [&](int64_t row) { return q.a + row * q.depth; }, [](int64_t) { return 0.0f; }, float32,
          q.depth);
    counts.redone += finish_rows(
        cols, q.b_rows, q.a_rows, threads, [&](int64_t column) { return q.col_floor[column]; },
        [&](int64_t column, int64_t row) { return score(row, column); },
        [](int64_t row) { return row; }, {q.m, q.m, q.col_values, q.col_indices});
  }
};

}  // namespace

ScanCounts mutual_topk_codes(const MutualTopK& q, const CodesIsa& isa, CodePanels packed,
                             int threads) {
  const MatrixCodes whole(isa, q.b, q.b_rows, q.depth, packed, threads);
  // Without scores only the m largest bounds stay; with them, all that are close to these stay at
  // first.
  const int64_t room = q.exact ? 4 * q.m + 256 : 2 * q.m + 128;
  const int64_t most =
      tokens_at_once(isa, q.a_rows, q.depth, threads * room * Survivors::kBytesEach);
  Scan scan{q,
            isa,
            current_float32_isa(),
            threads,
            whole.columns(),
            most,
            TokenTiles(isa, most, q.depth),
            Survivors(isa, threads * most, q.m, room),
            Survivors(isa, panel_count(q.b_rows) * kPanel, q.m, room)};
  for (int64_t c = 0; c < q.b_rows; ++c) {
    scan.cols.restart(c, q.col_floor[c]);
    if (!std::isfinite(scan.columns.bounds[c / kPanel].slacks[c % kPanel])) scan.cols.fail(c);
  }
  ScanCounts counts{0, 0};
  for (int64_t begin = 0; begin < q.a_rows; begin += most) {
    scan.open_rows(begin);
    parallel_for(threads, threads, [&](int64_t thread) { scan.scan_stripe(thread, begin); });
    scan.close_rows(begin, counts);
  }
  scan.close_columns(counts);
  return counts;
}

}  // namespace twinsae
