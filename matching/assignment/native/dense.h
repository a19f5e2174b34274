// The assignment problem on a matrix that is held whole.
#pragma once
#include <cstdint>
#include <vector>

namespace twinsae {

struct DenseSolution {
  std::vector<int32_t> col_of;    // (num_rows)
  std::vector<double> col_price;  // (num_cols), >= 0, and 0 where unmatched
};

// The matching of every row with the largest sum of weights, by shortest augmenting paths (Jonker
// and Volgenant, Computing 38 (1987), pp. 325-340), and prices that prove it: no row has more of
// weight - col_price elsewhere than in its own column, except for rounding. `weight` is
// (num_rows, num_cols), row by row, num_rows <= num_cols, of finite numbers of at most 1e300. Rows
// with the same number, 0 to num_rows - 1, in `equal` (num_rows) are equal, which saves time.
//
// It ends on every input, ties and rounding included, after O(num_rows^2 * num_cols) operations.
// The bids are counted. Then each search settles a column at most once, and only columns that have
// a row, so it comes to a column without one after num_rows steps at most; each search matches one
// row more and parts none, so there are num_rows searches at most. No count depends on a weight.
DenseSolution solve_dense(const double* weight, const int64_t* equal, int64_t num_rows,
                          int64_t num_cols);

}  // namespace twinsae
