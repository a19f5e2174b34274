#pragma once
#include "graph.h"

namespace twinsae {

// Moves the prices of all matched pairs at once, the sum of each unchanged, towards the middle of
// the interval that the other edges of row and column leave; several times. A pair with no limit on
// one side stays where it is, and so does one of several members, which other pairs may hold.
// `by_col` is the transposed graph, `col_of` (members) the matching; of unequal sides, columns are
// the larger, whose prices stay >= 0.
//
// Prices that are feasible stay so: a price never falls by more than half of what each of its edges
// has to spare, and the price at the edge's other end by no more than the other half.
void centre_prices(const Graph& graph, const Graph& by_col, const int64_t* col_of, int threads,
                   double* row_price, double* col_price);

}  // namespace twinsae
