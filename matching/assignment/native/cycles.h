#pragma once
#include <cstdint>

namespace twinsae {

// The cheapest edges of each node in one direction: those that leave it, or those that enter it.
// No list names its own node, and no cost is below 0.
struct CheapEdges {
  int64_t nodes, width;
  const int32_t* ends;     // (nodes, width) their other ends, -1 where there are no more
  const double* costs;     // (nodes, width) ascending
  const double* unlisted;  // (nodes) what no other edge of the node is below
};

// Bounds lower[n] <= (cost of the cheapest cycle through node n) <= upper[n] of the nodes n in
// [0, count); upper[n] is infinity where no cycle is found. `leaving` and `entering` are lists of
// one graph, and an edge may be in either, both or none.
//
// Two Dijkstra searches start at the node, one along the edges and one against them (Pohl,
// "Bi-directional search", Machine Intelligence 6, 1971, pp. 127-140). They end when no path
// through their frontiers can be cheaper than the best cycle found, or after `most_settled` nodes of
// both, where the node itself counts twice. A cycle that is found is an upper bound. The proof of
// the lower one is beside `lower`.
void cheapest_cycles(const CheapEdges& leaving, const CheapEdges& entering, int64_t count,
                     int64_t most_settled, int threads, double* lower, double* upper);

}  // namespace twinsae
