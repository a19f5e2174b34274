#pragma once
#include "graph.h"

namespace twinsae {

// Lowers column prices until every pair of a full matching is its row's best, within the rounding
// of a few operations (Bellman and Ford's label correction, first in, first out). Such prices prove
// the matching optimal; where it is not, corrections go round in circles, and it returns false
// after `limit` columns, with `price` as it was. `by_col` is the transposed graph.
bool repair(const Graph& graph, const Graph& by_col, const Matching& matching, int64_t limit,
            int threads, std::vector<double>& price);

}  // namespace twinsae
