#include "centre.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace twinsae {
namespace {

constexpr int kSweeps = 6;  // more of them change little
constexpr double kInf = std::numeric_limits<double>::infinity();

// The lowest price that row i can have, were it not for its edge to `partner`.
double lower_limit(const Graph& graph, int32_t i, int32_t partner, const double* price) {
  double limit = -kInf;
  for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e)
    if (graph.col[e] != partner) limit = std::max(limit, graph.weight[e] - price[graph.col[e]]);
  return limit;
}

}  // namespace

void centre_prices(const Graph& graph, const Graph& by_col, const int64_t* col_of, int threads,
                   double* row_price, double* col_price) {
  const double lowest = graph.rows.count() < graph.cols.count() ? 0.0 : -kInf;
  std::vector<double> moves(static_cast<size_t>(graph.num_rows));
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for_rows(graph, threads, [&](int32_t i) {
      const int32_t j = graph.cols.whose(col_of[graph.rows.first(i)]);
      moves[i] = 0;
      if (!graph.rows.lone(i) || !graph.cols.lone(j)) return;
      const double down = lower_limit(graph, i, j, col_price) - row_price[i];
      const double up = col_price[j] - std::max(lowest, lower_limit(by_col, j, i, row_price));
      // The row's price may move by `down` <= 0 to `up` >= 0, the column's by the opposite. It goes
      // half of the way: two pairs that limit each other both move, and would pass the middle.
      const double move = (down + up) / 4;
      if (move > -kInf && move < kInf) moves[i] = move;
    });
    for (int32_t i = 0; i < graph.num_rows; ++i) {
      if (moves[i] == 0) continue;
      const int32_t j = graph.cols.whose(col_of[graph.rows.first(i)]);
      row_price[i] += moves[i];
      col_price[j] = std::max(lowest, col_price[j] - moves[i]);  // not below it by rounding
    }
  }
}

}  // namespace twinsae
