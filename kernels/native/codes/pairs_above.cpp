// pairs_above by a scan of codes that proposes and, for exact results, a float32 re-score that
// decides.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "codes/scan.h"
#include "codes/scans.h"
#include "float32/pair_list.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kRoom = 128;  // the most survivors of a row that wait for their scores
constexpr int64_t kPatience = kRoom - kPanel - 16;
constexpr int64_t kTasksOfThread = 4;

// A row's threshold for scores minus their column's price, by section 4 of bound.h.
float price_threshold(double row_price, double margin) {
  const double value = row_price - margin;
  const double sums = kPriceRounding * (std::fabs(row_price) + std::fabs(margin));
  return static_cast<float>(value - sums - kStartRounding * std::fabs(value));
}

// The survivors of the rows of one block of tokens, until they are scored. One thread uses it.
class Waiting {
 public:
  Waiting(const PairsAbove& q, const Float32Isa& float32, int64_t first_row, int64_t rows)
      : q_(q),
        float32_(float32),
        first_(first_row),
        bounds_(static_cast<size_t>(2 * rows * kRoom)),
        columns_(static_cast<size_t>(rows * kRoom)),
        counts_(static_cast<size_t>(rows)),
        limits_(counts_.size()),
        thresholds_(counts_.size()) {
    for (int64_t r = 0; r < rows; ++r)
      thresholds_[r] = price_threshold(q.row_price[first_ + r], q.margin);
  }

  // Rows outside the piece take no survivors.
  void open(const Block& piece) {
    for (int64_t r = 0; r < rows(); ++r) {
      const int64_t row = first_ + r;
      limits_[r] = row >= piece.row_start && row < piece.row_stop ? kPatience : -1;
    }
  }
  int64_t rows() const { return static_cast<int64_t>(counts_.size()); }
  Lists lists() {
    Lists lists{};
    lists.upper = bounds_.data();
    lists.lower = bounds_.data() + rows() * kRoom;
    lists.columns = columns_.data();
    lists.capacity = kRoom;
    lists.counts = counts_.data();
    lists.limits = limits_.data();
    lists.thresholds = thresholds_.data();
    return lists;
  }
  // Finds the pairs above their prices among a row's survivors, or takes all where results need not
  // be exact. Empties the row's list.
  void flush(int64_t r) {
    const int64_t row = first_ + r;
    for (int64_t j = 0; j < counts_[r]; ++j) {
      const int64_t col = columns_[r * kRoom + j];
      if (!q_.exact || above(row, col)) found.push_back(PairList::key(row, col));
    }
    if (q_.exact) scored += counts_[r];
    counts_[r] = 0;
  }

  std::vector<uint64_t> found;
  int64_t scored = 0;

 private:
  bool above(int64_t row, int64_t col) const {
    return q_.above(row, col, float32_.dot(q_.a + row * q_.depth, q_.b + col * q_.depth, q_.depth));
  }

  const PairsAbove& q_;
  const Float32Isa& float32_;
  int64_t first_;
  std::vector<float> bounds_;  // upper bounds of all rows, then lower bounds
  std::vector<int32_t> columns_, counts_, limits_;
  std::vector<float> thresholds_;
};

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
      Waiting waiting(q, float32, stripe.begin + first, end - first);
      for (const Block& piece : stripe.pieces) {
        const int64_t top = std::max(first, piece.row_start - stripe.begin);
        const int64_t bottom = std::min(end, piece.row_stop - stripe.begin);
        if (top >= bottom) continue;
        waiting.open(piece);
        const TokenBlock part{top / isa.tile_tokens, (bottom - 1) / isa.tile_tokens + 1};
        list_survivors(isa, q.depth, tokens, part, columns, piece.col_start, piece.col_stop,
                       waiting.lists(), first, [&](int64_t row) { waiting.flush(row - first); });
        for (int64_t r = 0; r < waiting.rows(); ++r) waiting.flush(r);
        list.take(waiting.found);
      }
      scored += waiting.scored;
    });
  });
  counts = {scored, 0};
  return list.sorted();
}

}  // namespace twinsae
