#pragma once
#include "graph.h"

namespace twinsae {

// Makes any matching and any column prices (num_cols) optimal: keeps the pairs that are exactly a
// row's best, and matches the other rows one by one along shortest augmenting paths, by reduced
// costs max_k(w_ik - price_k) - (w_ij - price_j) >= 0 (Jonker and Volgenant, Computing 38 (1987),
// pp. 325-340). Prices rise with it and stay tight. It is right from any start; the closer the
// prices, the faster. Returns the number of paths searched.
//
// It ends whatever the weights: each search looks at the edges of a row once at most and matches one
// member more, so O(edges * members) edges are looked at in all.
// Throws std::logic_error where no full matching exists.
int64_t augment(const Graph& graph, Matching& matching, double* price);

}  // namespace twinsae
