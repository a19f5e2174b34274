// pairs_above by a scan of codes that proposes and, for exact results, a float32 re-score that
// decides.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/waiting.h"
#include "float32/pair_list.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kTasksOfThread = 4;

// A row's threshold for scores minus their column's price, by section 4 of bound.h.
float price_threshold(double row_price, double margin) {
  const double value = row_price - margin;
  const double sums = kPriceRounding * (std::fabs(row_price) + std::fabs(margin));
  return static_cast<float>(value - sums - kStartRounding * std::fabs(value));
}

}  // namespace

Pairs pairs_above_codes(const PairsAbove& q, const CodesIsa& isa, CodePanels packed, int threads,
                        ScanCounts& counts) {
  const Float32Isa& float32 = current_float32_isa();
  const MatrixCodes whole(isa, q.b, q.b_rows, q.depth, packed, threads);
  CodeColumns columns = whole.columns();
  for (int64_t c = 0; c < q.b_rows; ++c) columns.add(c, static_cast<float>(-q.col_price[c]));

  const int64_t most = tokens_at_once(isa, q.a_rows, q.depth, 0);
  TokenTiles tokens(isa, most, q.depth);
  PairList list(q.capacity);
  std::atomic<int64_t> scored{0};
  for_stripes(q, most, [&](const Stripe& stripe) {
    tokens.load(q.a + stripe.begin * q.depth, stripe.end - stripe.begin, threads);
    const int64_t height = tiles_of_block(tokens, kTasksOfThread * threads);
    parallel_for((tokens.tiles() + height - 1) / height, threads, [&](int64_t task) {
      const TokenBlock block{task * height, std::min(tokens.tiles(), (task + 1) * height)};
      const int64_t first = block.first_tile * isa.tile_tokens;
      const int64_t end = std::min(tokens.count(), block.end_tile * isa.tile_tokens);
      Waiting waiting(end - first);
      for (int64_t r = 0; r < waiting.rows(); ++r)
        waiting.set_threshold(r, price_threshold(q.row_price[stripe.begin + first + r], q.margin));
      std::vector<uint64_t> found;
      // Finds the pairs above their prices among a row's survivors, or takes all where results need
      // not be exact.
      const auto flush = [&](int64_t r) {
        const int64_t row = stripe.begin + first + r;
        const float* left = q.a + row * q.depth;
        const int64_t count = waiting.empty(r, [&](int64_t col) {
          if (!q.exact || q.above(row, col, float32.dot(left, q.b + col * q.depth, q.depth)))
            found.push_back(PairList::key(row, col));
        });
        if (q.exact) scored += count;
      };
      for (const Block& piece : stripe.pieces) {
        const int64_t top = std::max(first, piece.row_start - stripe.begin);
        const int64_t bottom = std::min(end, piece.row_stop - stripe.begin);
        if (top >= bottom) continue;
        for (int64_t r = 0; r < waiting.rows(); ++r) {
          const int64_t row = stripe.begin + first + r;
          waiting.open(r, row >= piece.row_start && row < piece.row_stop);
        }
        const TokenBlock part{top / isa.tile_tokens, (bottom - 1) / isa.tile_tokens + 1};
        list_survivors(isa, q.depth, tokens, part, columns, piece.col_start, piece.col_stop,
                       waiting.lists(), first, [&](int64_t row) { flush(row - first); });
        for (int64_t r = 0; r < waiting.rows(); ++r) flush(r);
        list.take(found);
      }
    });
  });
  counts = {scored, 0};
  return list.sorted();
}

}  // namespace twinsae
