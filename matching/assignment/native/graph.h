// The sparse problem: rows 0..num_rows-1, each with its edges to columns, as compressed rows. A row
// or column may stand for several members, which are equal: each is matched by itself, but they
// have their edges and their price in common.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "util/parallel.h"
#include "util/scratch.h"

namespace twinsae {

// Whom the rows, or the columns, stand for: number i for the members first(i) to end(i).
class Members {
 public:
  Members() = default;
  // `sizes` (numbers) are 1 or more; null: all 1.
  Members(const int64_t* sizes, int64_t numbers);

  int32_t numbers() const { return numbers_; }
  int32_t count() const { return single_ ? numbers_ : first_.back(); }
  int32_t first(int32_t i) const { return single_ ? i : first_[i]; }
  int32_t end(int32_t i) const { return first(i + 1); }
  std::vector<int32_t> firsts() const;  // (numbers)
  bool lone(int32_t i) const { return single_ || first_[i + 1] - first_[i] == 1; }
  int32_t whose(int32_t member) const { return single_ ? member : whose_[member]; }

  // These, then others.
  Members joined(const Members& others) const;

 private:
  bool single_ = true;  // then nothing is stored
  int32_t numbers_ = 0;
  std::vector<int32_t> first_, whose_;
};

struct Graph {
  int32_t num_rows = 0, num_cols = 0;
  Members rows, cols;
  std::vector<int64_t> start;    // (num_rows + 1): row i has the edges start[i] to start[i + 1]
  ScratchVector<int32_t> col;    // (edges)
  ScratchVector<double> weight;  // (edges), or empty where only the structure matters

  int64_t edges() const { return static_cast<int64_t>(col.size()); }
};

// Throws std::invalid_argument, naming the entry, for an index outside the shape and for a weight
// that is not finite or beyond 1e300. `weights` may be null.
template <class Index>
void check_edges(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                 int64_t num_rows, int64_t num_cols);

// As `check_edges`, for weights alone.
void check_weights(const double* weights, int64_t count);

// From checked edges in any order, which keep that order within their row. An edge given twice
// stays twice: no algorithm here minds, and the larger weight is the one that counts.
template <class Index>
Graph build_graph(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                  Members row_members, Members col_members, int threads);

// The same edges seen from the columns.
Graph transposed(const Graph& graph, int threads);

// Calls body(i) for each row, on several threads: see `parallel_for`.
template <class Body>
void for_rows(const Graph& graph, int threads, const Body& body) {
  parallel_spans(graph.num_rows, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(static_cast<int32_t>(i));
  });
}

// The highest value of a row at the columns' prices: the lowest price that it can have.
double best_value(const Graph& graph, int32_t i, const double* price);

// Partners of the members of rows and columns; -1: none.
struct Matching {
  explicit Matching(const Graph& graph) : Matching(graph.rows.count(), graph.cols.count()) {}
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
