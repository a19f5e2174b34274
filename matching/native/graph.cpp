#include "graph.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace twinsae {
namespace {

constexpr double kLargest = 1e300;  // far enough from overflow for sums of a few weights

template <class Index>
void check_indices(const char* name, const Index* indices, int64_t edges, int64_t limit) {
  for (int64_t e = 0; e < edges; ++e) {
    if (indices[e] >= 0 && indices[e] < limit) continue;
    throw std::invalid_argument(std::string(name) + ": entry " + std::to_string(e) + " is " +
                                std::to_string(indices[e]) + ", expected 0 to " +
                                std::to_string(limit - 1));
  }
}

void check_weights(const double* weights, int64_t edges) {
  for (int64_t e = 0; e < edges; ++e) {
    if (std::abs(weights[e]) <= kLargest) continue;
    throw std::invalid_argument("weights: entry " + std::to_string(e) + " is " +
                                std::to_string(weights[e]) +
                                ", expected finite numbers of at most 1e300");
  }
}

// start[i + 1] holds the number of edges of row i: make it the end of row i.
void accumulate(std::vector<int64_t>& start) {
  for (size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
}

}  // namespace

template <class Index>
void check_edges(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                 int64_t num_rows, int64_t num_cols) {
  check_indices("rows", rows, edges, num_rows);
  check_indices("cols", cols, edges, num_cols);
  if (weights) check_weights(weights, edges);
}

template <class Index>
Graph build_graph(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                  int64_t num_rows, int64_t num_cols) {
  Graph graph;
  graph.num_rows = static_cast<int32_t>(num_rows);
  graph.num_cols = static_cast<int32_t>(num_cols);
  graph.start.assign(static_cast<size_t>(num_rows) + 1, 0);
  graph.col.resize(static_cast<size_t>(edges));
  graph.weight.resize(weights ? static_cast<size_t>(edges) : 0);
  for (int64_t e = 0; e < edges; ++e) ++graph.start[rows[e] + 1];
  accumulate(graph.start);
  std::vector<int64_t> next(graph.start.begin(), graph.start.end() - 1);
  for (int64_t e = 0; e < edges; ++e) {
    const int64_t to = next[rows[e]]++;
    graph.col[to] = static_cast<int32_t>(cols[e]);
    if (weights) graph.weight[to] = weights[e];
  }
  return graph;
}

template void check_edges(const int32_t*, const int32_t*, const double*, int64_t, int64_t, int64_t);
template void check_edges(const int64_t*, const int64_t*, const double*, int64_t, int64_t, int64_t);
template Graph build_graph(const int32_t*, const int32_t*, const double*, int64_t, int64_t,
                           int64_t);
template Graph build_graph(const int64_t*, const int64_t*, const double*, int64_t, int64_t,
                           int64_t);

Graph transposed(const Graph& graph) {
  Graph out;
  out.num_rows = graph.num_cols;
  out.num_cols = graph.num_rows;
  out.start.assign(static_cast<size_t>(out.num_rows) + 1, 0);
  out.col.resize(graph.col.size());
  out.weight.resize(graph.weight.size());
  for (const int32_t j : graph.col) ++out.start[j + 1];
  accumulate(out.start);
  std::vector<int64_t> next(out.start.begin(), out.start.end() - 1);
  for (int32_t i = 0; i < graph.num_rows; ++i) {
    for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e) {
      const int64_t to = next[graph.col[e]]++;
      out.col[to] = i;
      out.weight[to] = graph.weight[e];
    }
  }
  return out;
}

}  // namespace twinsae
