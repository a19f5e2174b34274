#pragma once
#include "graph.h"

namespace twinsae {

// A matching of as many rows as can be, in O(edges * sqrt(rows)): Hopcroft and Karp, SIAM Journal
// on Computing 2 (1973), pp. 225-231. Weights are not looked at.
Matching maximum_matching(const Graph& graph);

}  // namespace twinsae
