#include "centre.h"

#include <algorithm>
#include <limits>

namespace twinsae {
namespace {

constexpr int kSweeps = 4;  // more of them change little
constexpr double kInf = std::numeric_limits<double>::infinity();

// The lowest price that row i can have, were it not for its edge to `partner`.
double lower_limit(const Graph& graph, int32_t i, int32_t partner, const double* price) {
  double limit = -kInf;
  for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e)
    if (graph.col[e] != partner) limit = std::max(limit, graph.weight[e] - price[graph.col[e]]);
  return limit;
}

}  // namespace

void centre_prices(const Graph& graph, const Graph& by_col, const int64_t* col_of,
                   double* row_price, double* col_price) {
  const double lowest = graph.rows.count() < graph.cols.count() ? 0.0 : -kInf;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (int32_t i = 0; i < graph.num_rows; ++i) {
      const int32_t j = graph.cols.whose(col_of[graph.rows.first(i)]);
      if (!graph.rows.lone(i) || !graph.cols.lone(j)) continue;
      const double down = lower_limit(graph, i, j, col_price) - row_price[i];
      const double up = col_price[j] - std::max(lowest, lower_limit(by_col, j, i, row_price));
      // The row's price may move by `down` <= 0 to `up` >= 0, the column's by the opposite.
      const double move = (down + up) / 2;
      if (!(move > -kInf && move < kInf)) continue;
      row_price[i] += move;
      col_price[j] = std::max(lowest, col_price[j] - move);  // not below it by rounding
    }
  }
}

}  // namespace twinsae
