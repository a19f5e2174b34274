#pragma once
#include "graph.h"

namespace twinsae {

// Steps by which prices rise, as parts of the span of the weights: first, first / 8, ..., last.
struct Epsilon {
  double first, last;
};

// Rows bid for columns until all have one, in phases of falling eps: Bertsekas, Annals of
// Operations Research 14 (1988), pp. 105-123, one bidder at a time. `price` (num_cols) only rises.
// At the end each member of a row is within the last eps of its best.
//
// `matching` may come filled; pairs that are far from a row's best are parted. Returns the number
// of bids, or -1 when it gave up: after `bid_limit` bids, as it must on a graph without a full
// matching, or because a price is so large that eps is lost in rounding. Prices and pairs are then
// left as they are.
int64_t auction(const Graph& graph, Epsilon eps, int64_t bid_limit, int threads, Matching& matching,
                double* price);

}  // namespace twinsae
