#pragma once
#include "graph.h"

namespace twinsae {

// Moves the prices of each matched pair in turn, their sum unchanged, to the middle of the interval
// that the other edges of its row and column leave; four times over all pairs. A pair with no
// limit on one side stays where it is, and so does one of several members, which other pairs may
// hold. Prices that are feasible stay so. `by_col` is the transposed graph, `col_of` (members) the
// matching; of unequal sides, columns are the larger, whose prices stay >= 0.
void centre_prices(const Graph& graph, const Graph& by_col, const int64_t* col_of,
                   double* row_price, double* col_price);

}  // namespace twinsae
