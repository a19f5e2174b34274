#include "graph.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "util/indices.h"

namespace twinsae {
namespace {

constexpr double kLargest = 1e300;  // far enough from overflow for sums of a few weights

// start[i + 1] holds the number of edges of row i: make it the end of row i.
void accumulate(std::vector<int64_t>& start) {
  for (size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
}

}  // namespace

void check_weights(const double* weights, int64_t count) {
  const auto fits = [](double weight) { return std::abs(weight) <= kLargest; };
  bool all = true;  // whether all fit is seen faster than which does not
  for (int64_t e = 0; e < count; ++e) all &= fits(weights[e]);
  if (all) return;
  const double* const wrong = std::find_if_not(weights, weights + count, fits);
  throw std::invalid_argument("weights: entry " + std::to_string(wrong - weights) + " is " +
                              std::to_string(*wrong) +
                              ", expected finite numbers of at most 1e300");
}

template <class Index>
void check_edges(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                 int64_t num_rows, int64_t num_cols) {
  check_indices("rows", rows, edges, num_rows);
  check_indices("cols", cols, edges, num_cols);
  if (weights) check_weights(weights, edges);
}

Members::Members(const int64_t* sizes, int64_t numbers)
    : single_(!sizes ||
              std::all_of(sizes, sizes + numbers, [](int64_t size) { return size == 1; })),
      numbers_(static_cast<int32_t>(numbers)) {
  if (single_) return;
  first_.push_back(0);
  for (int32_t i = 0; i < numbers_; ++i) {
    whose_.insert(whose_.end(), static_cast<size_t>(sizes[i]), i);
    first_.push_back(static_cast<int32_t>(whose_.size()));
  }
}

std::vector<int32_t> Members::firsts() const {
  std::vector<int32_t> out(static_cast<size_t>(numbers_));
  for (int32_t i = 0; i < numbers_; ++i) out[i] = first(i);
  return out;
}

Members Members::joined(const Members& others) const {
  std::vector<int64_t> sizes;
  for (const Members* part : {this, &others})
    for (int32_t i = 0; i < part->numbers_; ++i) sizes.push_back(part->end(i) - part->first(i));
  return Members(sizes.data(), static_cast<int64_t>(sizes.size()));
}

template <class Index>
Graph build_graph(const Index* rows, const Index* cols, const double* weights, int64_t edges,
                  Members row_members, Members col_members) {
  Graph graph;
  graph.rows = std::move(row_members);
  graph.cols = std::move(col_members);
  graph.num_rows = graph.rows.numbers();
  graph.num_cols = graph.cols.numbers();
  graph.start.assign(static_cast<size_t>(graph.num_rows) + 1, 0);
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
template Graph build_graph(const int32_t*, const int32_t*, const double*, int64_t, Members,
                           Members);
template Graph build_graph(const int64_t*, const int64_t*, const double*, int64_t, Members,
                           Members);

Graph transposed(const Graph& graph) {
  Graph out;
  out.num_rows = graph.num_cols;
  out.num_cols = graph.num_rows;
  out.rows = graph.cols;
  out.cols = graph.rows;
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
