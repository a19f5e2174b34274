#include "solve.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "auction.h"
#include "augment.h"
#include "hopcroft_karp.h"
#include "repair.h"

namespace twinsae {
namespace {

constexpr double kColdEps = 0.03, kWarmEps = 3e-4, kLastEps = 1e-8;
// Prices at which fewer rows than these have a best column of their own cost more than they save:
// bidding only raises prices, and must raise all to the highest of those that are too high.
constexpr double kWarm = 2.0 / 3;
constexpr int64_t kRepairsPerColumn = 20;  // 1 to 8 are taken, the more the more weights are equal

// Prices far beyond the weights would drown them in rounding; a start without them is always right.
bool usable(const std::vector<double>& price, const Graph& graph) {
  double largest = 0;
  for (const double weight : graph.weight) largest = std::max(largest, std::abs(weight));
  // False for NaN.
  return std::all_of(price.begin(), price.end(),
                     [=](double value) { return std::abs(value) <= 64 * largest; });
}

// Each row with its best column at these prices, first come, first served. Returns how many.
int64_t take_best_columns(const Graph& graph, const std::vector<double>& price, int threads,
                          Matching& matching) {
  std::vector<int32_t> best_col(static_cast<size_t>(graph.num_rows));
  for_rows(graph, threads, [&](int32_t i) {
    const double best = best_value(graph, i, price.data());
    int64_t e = graph.start[i];
    while (graph.weight[e] - price[graph.col[e]] != best) ++e;
    best_col[i] = graph.col[e];
  });
  int64_t taken = 0;
  std::vector<int32_t> vacant = graph.cols.firsts();
  for (int32_t i = 0; i < graph.num_rows; ++i) {
    const int32_t j = best_col[i];
    for (int32_t member = graph.rows.first(i);
         member < graph.rows.end(i) && vacant[j] < graph.cols.end(j); ++member) {
      matching.pair(member, vacant[j]++);
      ++taken;
    }
  }
  return taken;
}

// As many rows as columns. `matching` is a full one; `price` is that to start from, or zero.
void solve_square(const Graph& graph, const Graph& by_col, bool warm, int64_t bid_limit,
                  int threads, Matching matching, std::vector<double>& price, Solution& out) {
  Epsilon eps{kColdEps, kLastEps};
  Matching near(graph);
  if (warm && usable(price, graph) &&
      take_best_columns(graph, price, threads, near) >= kWarm * graph.rows.count()) {
    matching = std::move(near);
    eps.first = kWarmEps;
  } else {
    std::fill(price.begin(), price.end(), 0.0);
  }
  out.bids = auction(graph, eps, bid_limit, threads, matching, price.data());
  const int64_t repairs = kRepairsPerColumn * graph.num_cols;
  if (out.bids < 0 || !repair(graph, by_col, matching, repairs, threads, price))
    out.paths = augment(graph, matching, price.data());
  out.col_of = std::move(matching.col_of);
}

// A problem of more columns than rows as a square one: its graph, the same graph seen from the
// columns, and an edge of weight 0 between the two copies of each column, for columns that stay
// unmatched (Ramshaw and Tarjan, HPL-2012-40R1, 2012). Row i and column j of the first copy keep
// their numbers; in the second copy column j is row num_rows + j, row i is column num_cols + i.
// Weights are shifted, by their largest, so that the zeros do not widen their span.
Graph doubled(const Graph& graph, const Graph& by_col, double shift) {
  Graph out;
  out.num_rows = out.num_cols = graph.num_rows + graph.num_cols;
  out.rows = graph.rows.joined(graph.cols);
  out.cols = graph.cols.joined(graph.rows);
  const int64_t edges = 2 * graph.edges() + graph.num_cols;
  out.start = graph.start;
  out.start.reserve(static_cast<size_t>(out.num_rows) + 1);
  out.col.reserve(static_cast<size_t>(edges));
  out.weight.reserve(static_cast<size_t>(edges));
  const auto add = [&](int32_t col, double weight) {
    out.col.push_back(col);
    out.weight.push_back(weight);
  };
  for (int64_t e = 0; e < graph.edges(); ++e) add(graph.col[e], graph.weight[e] - shift);
  for (int32_t j = 0; j < by_col.num_rows; ++j) {
    add(j, 0.0);
    for (int64_t e = by_col.start[j]; e < by_col.start[j + 1]; ++e)
      add(graph.num_cols + by_col.col[e], by_col.weight[e] - shift);
    out.start.push_back(static_cast<int64_t>(out.col.size()));
  }
  return out;
}

// A full matching of the rectangle in both copies.
Matching doubled(const Graph& graph, const Matching& matching) {
  const int32_t num_rows = graph.rows.count(), num_cols = graph.cols.count();
  Matching out(num_rows + num_cols, num_rows + num_cols);
  for (int32_t i = 0; i < num_rows; ++i) {
    out.pair(i, matching.col_of[i]);
    out.pair(num_rows + matching.col_of[i], num_cols + i);
  }
  for (int32_t j = 0; j < num_cols; ++j)
    if (matching.row_of[j] < 0) out.pair(num_rows + j, j);
  return out;
}

// `price` (num_cols) is that to start from, and becomes that of the solution.
void solve_rectangle(const Graph& graph, const Graph& by_col, const double* row_price,
                     int64_t bid_limit, int threads, const Matching& matching,
                     std::vector<double>& price, Solution& out) {
  const double shift = *std::max_element(graph.weight.begin(), graph.weight.end());
  const Graph square = doubled(graph, by_col, shift);
  std::vector<double> both = price;
  for (int32_t i = 0; i < graph.num_rows; ++i)
    both.push_back(row_price ? row_price[i] - shift : 0.0);
  solve_square(square, transposed(square, threads), row_price, bid_limit, threads,
               doubled(graph, matching), both, out);
  out.col_of.resize(static_cast<size_t>(graph.rows.count()));
  // The mean of both copies' prices is feasible for the rectangle, as they are for the square, and
  // costs half as much. The edge of weight 0 makes it >= 0, and 0 where unmatched, except for rounding.
  std::vector<int32_t> unmatched(price.size());
  for (int32_t j = 0; j < graph.num_cols; ++j)
    unmatched[j] = graph.cols.end(j) - graph.cols.first(j);
  for (const int32_t taken : out.col_of) --unmatched[graph.cols.whose(taken)];
  for (int32_t j = 0; j < graph.num_cols; ++j) {
    const double twin = best_value(square, graph.num_rows + j, both.data());
    price[j] = unmatched[j] ? 0.0 : std::max(0.0, (both[j] + twin) / 2);
  }
}

}  // namespace

Solution solve(const Graph& graph, const Graph& by_col, const double* row_price,
               const double* col_price, int64_t bid_limit, int threads) {
  Solution out;
  Matching matching = maximum_matching(graph);
  out.unmatched = std::count(matching.col_of.begin(), matching.col_of.end(), -1);
  if (out.unmatched) return out;
  out.col_price.assign(static_cast<size_t>(graph.num_cols), 0.0);
  if (col_price) std::copy(col_price, col_price + graph.num_cols, out.col_price.begin());
  if (graph.rows.count() == 0) {
    std::fill(out.col_price.begin(), out.col_price.end(), 0.0);
  } else if (graph.rows.count() == graph.cols.count()) {
    solve_square(graph, by_col, col_price, bid_limit, threads, std::move(matching), out.col_price,
                 out);
  } else {
    solve_rectangle(graph, by_col, row_price, bid_limit, threads, matching, out.col_price, out);
  }
  out.row_price.resize(static_cast<size_t>(graph.num_rows));
  for_rows(graph, threads,
           [&](int32_t i) { out.row_price[i] = best_value(graph, i, out.col_price.data()); });
  return out;
}

}  // namespace twinsae
