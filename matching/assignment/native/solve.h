#pragma once
#include "graph.h"

namespace twinsae {

struct Solution {
  std::vector<int32_t> col_of;               // (members of rows) members of columns
  std::vector<double> row_price, col_price;  // (num_rows), (num_cols)
  int64_t unmatched =
      0;              // members of rows left over by a largest matching; if any, the rest is empty
  int64_t bids = 0;   // of the auction; -1: it gave up
  int64_t paths = 0;  // searched after it
};

// The matching of every member of a row (columns have as many members or more) with the largest sum
// of weights, and prices that prove it: row_price[i] + col_price[j] >= w_ij on every edge, with
// equality on matched ones; if columns have more members, col_price >= 0 and 0 where one is
// unmatched. `row_price` and `col_price` are those of a similar problem, or both null.
//
// It ends on every input, ties and rounding included. Bids and repairs are counted, and what they
// leave is done by `augment`, whose steps no weight can multiply. Threads share the loops over all
// rows; bids, repairs and paths come one after another. The result does not depend on how many.
// `by_col` is the transposed graph.
Solution solve(const Graph& graph, const Graph& by_col, const double* row_price,
               const double* col_price, int64_t bid_limit, int threads);

}  // namespace twinsae
