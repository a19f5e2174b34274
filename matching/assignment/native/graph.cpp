#include "graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "util/indices.h"

namespace twinsae {
namespace {

constexpr double kLargest = 1e300;  // far enough from overflow for sums of a few weights

// Fills a graph with edges, those of a row in the order in which they come. Part p of `parts` calls
// visit(p, seen), which calls seen(row, col, e) for each of its edges in turn; it does so twice.
template <class Visit>
void fill_edges(Graph& graph, int64_t edges, const double* weights, int parts, const Visit& visit) {
  graph.col.resize(static_cast<size_t>(edges));
  graph.weight.resize(weights ? static_cast<size_t>(edges) : 0);
  graph.start.assign(static_cast<size_t>(graph.num_rows) + 1, 0);
  // How many edges of each row the part has; then where the next of them goes.
  std::vector<std::vector<int64_t>> next(static_cast<size_t>(parts));
  parallel_for(parts, parts, [&](int64_t part) {
    next[part].assign(static_cast<size_t>(graph.num_rows), 0);
    visit(part, [&](int32_t row, int32_t, int64_t) { ++next[part][row]; });
  });
  int64_t place = 0;
  for (int32_t row = 0; row < graph.num_rows; ++row) {
    for (std::vector<int64_t>& of_part : next) {
      const int64_t count = of_part[row];
      of_part[row] = place;
      place += count;
    }
    graph.start[row + 1] = place;
  }
  parallel_for(parts, parts, [&](int64_t part) {
    visit(part, [&](int32_t row, int32_t col, int64_t e) {
      const int64_t to = next[part][row]++;
      graph.col[to] = col;
      if (weights) graph.weight[to] = weights[e];
    });
  });
}

// Few enough that their counts take less memory than the edges.
int parts_of(int64_t edges, int threads) {
  return static_cast<int>(std::clamp<int64_t>(edges / 65536, 1, std::min(threads, 32)));
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
                  Members row_members, Members col_members, int threads) {
  Graph graph;
  graph.rows = std::move(row_members);
  graph.cols = std::move(col_members);
  graph.num_rows = graph.rows.numbers();
  graph.num_cols = graph.cols.numbers();
  const int parts = parts_of(edges, threads);
  fill_edges(graph, edges, weights, parts, [&](int64_t part, const auto& seen) {
    for (int64_t e = edges * part / parts; e < edges * (part + 1) / parts; ++e)
      seen(static_cast<int32_t>(rows[e]), static_cast<int32_t>(cols[e]), e);
  });
  return graph;
}

template void check_edges(const int32_t*, const int32_t*, const double*, int64_t, int64_t, int64_t);
template void check_edges(const int64_t*, const int64_t*, const double*, int64_t, int64_t, int64_t);
template Graph build_graph(const int32_t*, const int32_t*, const double*, int64_t, Members, Members,
                           int);
template Graph build_graph(const int64_t*, const int64_t*, const double*, int64_t, Members, Members,
                           int);

Graph transposed(const Graph& graph, int threads) {
  Graph out;
  out.num_rows = graph.num_cols;
  out.num_cols = graph.num_rows;
  out.rows = graph.cols;
  out.cols = graph.rows;
  const int64_t edges = graph.edges();
  const int parts = parts_of(edges, threads);
  // The first row that begins at an edge of the part or later.
  const auto first_row = [&](int64_t part) {
    const auto end = graph.start.end() - 1;
    return static_cast<int32_t>(std::lower_bound(graph.start.begin(), end, edges * part / parts) -
                                graph.start.begin());
  };
  const double* const weights = graph.weight.empty() ? nullptr : graph.weight.data();
  fill_edges(out, edges, weights, parts, [&](int64_t part, const auto& seen) {
    const int32_t end = part + 1 == parts ? graph.num_rows : first_row(part + 1);
    for (int32_t i = first_row(part); i < end; ++i)
      for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e) seen(graph.col[e], i, e);
  });
  return out;
}

double best_value(const Graph& graph, int32_t i, const double* price) {
  double best = -std::numeric_limits<double>::infinity();
  for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e)
    best = std::max(best, graph.weight[e] - price[graph.col[e]]);
  return best;
}

}  // namespace twinsae
