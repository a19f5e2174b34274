// The sparse problem: rows 0..num_rows-1, each with its edges to columns, as compressed rows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace twinsae {

struct Graph {
  int32_t num_rows = 0, num_cols = 0;
  std::vector<int64_t> start;   // (num_rows + 1): row i has the edges start[i] to start[i + 1]
  std::vector<int32_t> col;     // (edges)
  std::vector<double> weight;   // (edges), or empty where only the structure matters

  int64_t edges() const { return static_cast<int64_t>(col.size()); }
};

// Throws std::invalid_argument, naming the entry, for an index outside the shape and for a weight
// that is not finite or beyond 1e300. `weights` may be null.
template <class Index>
void check_edges(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                 int64_t num_rows, int64_t num_cols);

// From checked edges in any order, which keep that order within their row. An edge given twice
// stays twice: no algorithm here minds, and the larger weight is the one that counts.
template <class Index>
Graph build_graph(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                  int64_t num_rows, int64_t num_cols);

// The same edges seen from the columns.
Graph transposed(const Graph& graph);

// Partners of rows and columns; -1: none.
struct Matching {
  explicit Matching(const Graph& graph) : Matching(graph.num_rows, graph.num_cols) {}
  Matching(int64_t num_rows, int64_t num_cols)
      : col_of(static_cast<size_t>(num_rows), -1), row_of(static_cast<size_t>(num_cols), -1) {}

  void pair(int32_t row, int32_t col) {
    col_of[row] = col;
    row_of[col] = row;
  }
  void part(int32_t row) {
    row_of[col_of[row]] = -1;
    col_of[row] = -1;
  }

  std::vector<int32_t> col_of, row_of;
};

}  // namespace twinsae
