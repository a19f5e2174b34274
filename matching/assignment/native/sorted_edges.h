// Lists of edges sorted by row, then by column, each edge once; graphs that grow are kept so.
#pragma once
#include <cstdint>

namespace twinsae {

struct SortedEdges {
  const int32_t *rows, *cols;
  int64_t count;
};

// For each wanted edge, which come in any order: how many edges of the list come before it, and
// whether the list has it.
void find_edges(const SortedEdges& list, const SortedEdges& wanted, int threads, int64_t* places,
                bool* present);

// Joins edges that the list lacks to it; `places` are theirs, as `find_edges` has them. Writes the
// weights of all, (list.count + added.count), in their new order, and their rows and columns.
struct Joined {
  int32_t *rows, *cols;
  double* weights;
};
void join_edges(const SortedEdges& list, const double* weights, const SortedEdges& added,
                const double* added_weights, const int64_t* places, int threads, const Joined& out);

}  // namespace twinsae
