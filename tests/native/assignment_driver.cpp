// Runs the assignment solvers and the loops over stored rows and codes without Python, for the sanitizers (`make sanitize`). Optimality is
// checked by its definition: a full matching whose prices are feasible and tight on it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "centre.h"
#include "codes.h"
#include "cycles.h"
#include "dense.h"
#include "graph.h"
#include "hopcroft_karp.h"
#include "rows.h"
#include "solve.h"
#include "sorted_edges.h"

using namespace twinsae;

namespace {

std::mt19937 random_bits(0);

int64_t draw(int64_t low, int64_t high) {  // both included
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}

constexpr int kThreads = 2;

struct Instance {
  std::vector<int32_t> rows, cols;
  std::vector<double> weights;
  int64_t num_rows, num_cols;

  int64_t edges() const { return static_cast<int64_t>(rows.size()); }
  Graph graph() const {
    check_edges(rows.data(), cols.data(), weights.data(), edges(), num_rows, num_cols);
    return build_graph(rows.data(), cols.data(), weights.data(), edges(),
                       Members(nullptr, num_rows), Members(nullptr, num_cols), kThreads);
  }
};

// Few different weights, for ties, or many; with a full matching, or as it comes.
Instance random_instance(int64_t num_rows, int64_t num_cols, int64_t edges) {
  Instance out{{}, {}, {}, num_rows, num_cols};
  const int64_t limit = draw(0, 1) ? 3 : 1'000'000;
  const auto add = [&](int64_t i, int64_t j) {
    out.rows.push_back(static_cast<int32_t>(i));
    out.cols.push_back(static_cast<int32_t>(j));
    out.weights.push_back(static_cast<double>(draw(-limit, limit)));
  };
  if (num_rows && num_cols)
    for (int64_t e = 0; e < edges; ++e) add(draw(0, num_rows - 1), draw(0, num_cols - 1));
  if (draw(0, 2))
    for (int64_t i = 0; i < num_rows; ++i) add(i, num_cols - 1 - i);
  return out;
}

// By the textbook: one depth-first search a row.
int64_t matched_at_most(const Graph& graph) {
  std::vector<int32_t> row_of(static_cast<size_t>(graph.num_cols), -1);
  std::vector<bool> seen;
  const std::function<bool(int32_t)> place = [&](int32_t i) {
    for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e) {
      const int32_t j = graph.col[e];
      if (seen[j]) continue;
      seen[j] = true;
      if (row_of[j] >= 0 && !place(row_of[j])) continue;
      row_of[j] = i;
      return true;
    }
    return false;
  };
  int64_t matched = 0;
  for (int32_t i = 0; i < graph.num_rows; ++i) {
    seen.assign(row_of.size(), false);
    matched += place(i);
  }
  return matched;
}

void check_optimal(const Graph& graph, const std::vector<int32_t>& col_of,
                   const std::vector<double>& u, const std::vector<double>& v) {
  const double rounding = 1e-7;  // beside weights of up to 1e6
  std::vector<bool> taken(v.size());
  for (int32_t i = 0; i < graph.num_rows; ++i) {
    const int32_t j = col_of[i];
    expect(j >= 0 && j < graph.num_cols && !taken[j], "a column of its own for each row");
    taken[j] = true;
    double own = -std::numeric_limits<double>::infinity();
    for (int64_t e = graph.start[i]; e < graph.start[i + 1]; ++e) {
      expect(u[i] + v[graph.col[e]] >= graph.weight[e] - rounding, "feasible prices");
      if (graph.col[e] == j) own = std::max(own, graph.weight[e]);
    }
    expect(std::abs(u[i] + v[j] - own) <= rounding, "prices that fit the matching");
  }
  if (graph.num_rows == graph.num_cols) return;
  for (size_t j = 0; j < v.size(); ++j)
    expect(v[j] >= 0 && (taken[j] || v[j] == 0), "prices of the larger side");
}

void check(const Instance& instance) {
  const Graph graph = instance.graph();
  const Matching largest = maximum_matching(graph);
  const int64_t matched =
      graph.num_rows - std::count(largest.col_of.begin(), largest.col_of.end(), -1);
  expect(matched == matched_at_most(graph), "as many as can be matched");
  std::vector<double> u, v;
  for (const int64_t bids : {int64_t{0}, int64_t{7}, int64_t{1'000'000}}) {
    const bool warm = !u.empty();
    Solution found = solve(graph, transposed(graph, kThreads), warm ? u.data() : nullptr,
                           warm ? v.data() : nullptr, bids, kThreads);
    expect(found.unmatched == graph.num_rows - matched, "rows left over");
    if (found.unmatched) return;
    check_optimal(graph, found.col_of, found.row_price, found.col_price);
    u = found.row_price;
    v = found.col_price;
    const std::vector<int64_t> partners(found.col_of.begin(), found.col_of.end());
    centre_prices(graph, transposed(graph, kThreads), partners.data(), kThreads, u.data(),
                  v.data());
    check_optimal(graph, found.col_of, u, v);
    if (draw(0, 1)) v.assign(v.size(), static_cast<double>(draw(-9, 9)));  // a worse start
  }
}

void check_refusals() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (Instance wrong : {Instance{{0}, {2}, {1}, 2, 2}, Instance{{-1}, {0}, {1}, 2, 2},
                         Instance{{0}, {0}, {nan}, 2, 2}, Instance{{0}, {0}, {1}, 0, 0}}) {
    try {
      wrong.graph();
    } catch (const std::invalid_argument&) {
      continue;
    }
    expect(false, "a wrong edge is refused");
  }
}

// Rows and columns that stand for several members, beside the graph in which each member stands
// for itself.
void check_members(const Instance& few) {
  std::vector<int64_t> sizes[2];
  for (int64_t i = 0; i < few.num_rows; ++i) sizes[0].push_back(draw(1, 3));
  for (int64_t j = 0; j < few.num_cols; ++j) sizes[1].push_back(draw(1, 3));
  const Members rows(sizes[0].data(), few.num_rows), cols(sizes[1].data(), few.num_cols);
  if (rows.count() > cols.count()) return;
  Instance each{{}, {}, {}, rows.count(), cols.count()};
  for (int64_t e = 0; e < few.edges(); ++e)
    for (int32_t i = rows.first(few.rows[e]); i < rows.end(few.rows[e]); ++i)
      for (int32_t j = cols.first(few.cols[e]); j < cols.end(few.cols[e]); ++j) {
        each.rows.push_back(i);
        each.cols.push_back(j);
        each.weights.push_back(few.weights[e]);
      }
  const Graph graph = build_graph(few.rows.data(), few.cols.data(), few.weights.data(), few.edges(),
                                  rows, cols, kThreads);
  const Graph whole = each.graph();
  for (const int64_t bids : {int64_t{0}, int64_t{1'000'000}}) {
    Solution found = solve(graph, transposed(graph, kThreads), nullptr, nullptr, bids, kThreads);
    expect(found.unmatched == rows.count() - matched_at_most(whole), "members left over");
    if (found.unmatched) return;
    std::vector<double> u, v;
    for (int32_t i = 0; i < rows.count(); ++i) u.push_back(found.row_price[rows.whose(i)]);
    for (int32_t j = 0; j < cols.count(); ++j) v.push_back(found.col_price[cols.whose(j)]);
    check_optimal(whole, found.col_of, u, v);
    const std::vector<int64_t> partners(found.col_of.begin(), found.col_of.end());
    centre_prices(graph, transposed(graph, kThreads), partners.data(), kThreads,
                  found.row_price.data(), found.col_price.data());
    for (int32_t i = 0; i < rows.count(); ++i) u[i] = found.row_price[rows.whose(i)];
    for (int32_t j = 0; j < cols.count(); ++j) v[j] = found.col_price[cols.whose(j)];
    check_optimal(whole, found.col_of, u, v);
  }
}

// A matrix with few different weights, for ties, or many; some rows are equal.
void check_dense(int64_t num_rows, int64_t num_cols) {
  const int64_t limit = draw(0, 1) ? 2 : 1'000'000;
  std::vector<double> weight(static_cast<size_t>(num_rows * num_cols));
  std::vector<int64_t> equal(static_cast<size_t>(num_rows));
  for (int64_t i = 0; i < num_rows; ++i) {
    equal[i] = i && draw(0, 1) ? equal[draw(0, i - 1)] : i;
    for (int64_t j = 0; j < num_cols; ++j)
      weight[i * num_cols + j] =
          equal[i] < i ? weight[equal[i] * num_cols + j] : static_cast<double>(draw(-limit, limit));
  }
  const DenseSolution found = solve_dense(weight.data(), equal.data(), num_rows, num_cols);
  std::vector<bool> taken(static_cast<size_t>(num_cols));
  for (int64_t i = 0; i < num_rows; ++i) {
    const int64_t own = found.col_of[i];
    expect(own >= 0 && own < num_cols && !taken[own], "a column for each row");
    taken[own] = true;
    for (int64_t j = 0; j < num_cols; ++j)
      expect(weight[i * num_cols + j] - found.col_price[j] <=
                 weight[i * num_cols + own] - found.col_price[own] + 1e-6,
             "no row has more elsewhere");
  }
  for (int64_t j = 0; j < num_cols; ++j)
    expect(taken[j] ? found.col_price[j] >= 0 : found.col_price[j] == 0, "prices of columns");
}

// Rows of one stored type, in memory that ends where they do.
template <class Value>
void check_rows(Stored type, Value one) {
  for (const int64_t depth : {1, 3, 8, 33, 70}) {
    const std::vector<Value> data(static_cast<size_t>(5 * depth), one);
    const std::vector<double> scale(5, 2.0), norm(5, 2 * std::sqrt(static_cast<double>(depth)));
    const StoredRows rows{type, data.data(), 5, depth, scale.data(), norm.data()};
    std::vector<double> measured(5), lengths(5);
    expect(measure_rows(rows, 2, measured.data(), lengths.data()) == -1, "all rows are finite");
    for (int64_t i = 0; i < 5; ++i)
      expect(measured[i] == 0.5 && std::abs(4 * lengths[i] / norm[i] - 1) < 1e-15,
             "scales and lengths of rows");
    const std::vector<int64_t> names{4, 0, 2};
    std::vector<float> unit(static_cast<size_t>(3 * depth));
    unit_rows(rows, names.data(), 3, 2, unit.data());
    for (const float value : unit)
      expect(std::abs(value * std::sqrt(static_cast<double>(depth)) - 1) < 1e-6, "unit rows");
    std::vector<double> cosines(3);
    const std::vector<int32_t> ends(names.begin(), names.end());
    edge_cosines(rows, rows, ends.data(), ends.data(), 3, 2, cosines.data());
    for (const double cosine : cosines) expect(std::abs(cosine - 1) < 1e-15, "cosines of rows");
  }
}

// The cheapest edges of each node, from a matrix of costs (nodes, nodes).
struct Listed {
  std::vector<int32_t> ends;
  std::vector<double> costs, unlisted;

  Listed(const std::vector<double>& cost, int64_t nodes, int64_t width, bool leaving) {
    for (int64_t p = 0; p < nodes; ++p) {
      std::vector<std::pair<double, int32_t>> all;
      for (int64_t q = 0; q < nodes; ++q)
        if (q != p) all.emplace_back(cost[leaving ? p * nodes + q : q * nodes + p], q);
      std::sort(all.begin(), all.end());
      all.emplace_back(std::numeric_limits<double>::infinity(), -1);
      for (int64_t e = 0; e < width; ++e) {
        costs.push_back(e < nodes ? all[e].first : all.back().first);
        ends.push_back(e < nodes ? all[e].second : -1);
      }
      unlisted.push_back(all[std::min(width, nodes - 1)].first);
    }
  }
  CheapEdges edges(int64_t width) const {
    return {static_cast<int64_t>(unlisted.size()), width, ends.data(), costs.data(),
            unlisted.data()};
  }
};

// Beside the distances of all nodes (Floyd and Warshall).
void check_cycles(int64_t nodes) {
  std::vector<double> cost(static_cast<size_t>(nodes * nodes));
  const int64_t limit = draw(0, 1) ? 3 : 1'000'000;
  for (double& one : cost) one = static_cast<double>(draw(0, limit));
  for (int64_t p = 0; p < nodes; ++p) cost[p * nodes + p] = std::numeric_limits<double>::infinity();
  std::vector<double> distance = cost;
  for (int64_t via = 0; via < nodes; ++via)
    for (int64_t p = 0; p < nodes; ++p)
      for (int64_t q = 0; q < nodes; ++q)
        distance[p * nodes + q] = std::min(distance[p * nodes + q],
                                           distance[p * nodes + via] + distance[via * nodes + q]);
  const int64_t width[2] = {draw(0, nodes), draw(0, nodes)};
  const Listed leaving(cost, nodes, width[0], true), entering(cost, nodes, width[1], false);
  const int64_t count = draw(0, nodes), most = draw(0, 1) ? 1000 : draw(0, 9);
  std::vector<double> lower(static_cast<size_t>(count)), upper(lower);
  cheapest_cycles(leaving.edges(width[0]), entering.edges(width[1]), count, most, 2, lower.data(),
                  upper.data());
  for (int64_t n = 0; n < count; ++n) {
    const double cheapest = distance[n * nodes + n];
    expect(lower[n] <= cheapest && cheapest <= upper[n], "bounds of the cheapest cycle");
    if (most == 1000 && std::min(width[0], width[1]) == nodes)
      expect(lower[n] == upper[n], "the cheapest cycle where all edges are listed");
  }
}

struct Compressed {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> members;
  std::vector<float> values;

  // The entries of `dense` (count, width) that are not 0.
  Compressed(const std::vector<double>& dense, int64_t count, int64_t width) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        if (dense[i * width + j] == 0) continue;
        members.push_back(static_cast<int32_t>(j));
        values.push_back(static_cast<float>(dense[i * width + j]));
      }
      offsets.push_back(static_cast<int64_t>(members.size()));
    }
  }
  SparseRows rows() const {
    return {offsets.data(), members.data(), values.data(),
            static_cast<int64_t>(offsets.size()) - 1};
  }
};

// Small whole numbers, so that all sums are exact, against the products written out.
void check_codes(int64_t rows, int64_t cols, int64_t tokens, int64_t most, int threads) {
  const auto random = [&](int64_t count, int64_t low) {
    std::vector<double> out(static_cast<size_t>(count));
    for (double& value : out) value = static_cast<double>(std::max<int64_t>(0, draw(low, 3)));
    return out;
  };
  const auto a = random(rows * tokens, -5), b = random(tokens * cols, -5);  // A by latents
  const Compressed by_latent(a, rows, tokens), by_token(b, tokens, cols);
  const auto row_shift = random(rows, 0), col_shift = random(cols, 0);
  const auto row_scale = random(rows, 0), col_scale = random(cols, 1);
  const auto row_price = random(rows, 0), col_price = random(cols, 0);
  const Similarities s{by_latent.rows(),
                       by_token.rows(),
                       {row_shift.data(), row_scale.data(), rows},
                       {col_shift.data(), col_scale.data(), cols}};
  std::vector<int32_t> row_cols(static_cast<size_t>(rows * most)), ends_i, ends_j;
  std::vector<int32_t> col_rows(static_cast<size_t>(cols * most));
  std::vector<double> row_values(row_cols.size()), col_values(col_rows.size());
  std::vector<double> row_max(static_cast<size_t>(rows)), col_max(static_cast<size_t>(cols));
  const double worst = best_pairs(s, {row_price.data(), col_price.data(), -1, most}, threads,
                                  {{row_cols.data(), row_values.data()},
                                   {col_rows.data(), col_values.data()},
                                   row_max.data(),
                                   col_max.data()});
  std::vector<double> wanted;
  std::vector<int64_t> met;
  double most_excess = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<double> excess;
    for (int64_t j = 0; j < cols; ++j) {
      double dot = 0;
      int64_t together = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        const double product = a[i * tokens + t] * b[t * cols + j];
        dot += product;
        together += product != 0;
      }
      ends_i.push_back(static_cast<int32_t>(i));
      ends_j.push_back(static_cast<int32_t>(j));
      wanted.push_back((dot - row_shift[i] * col_shift[j]) * (row_scale[i] * col_scale[j]));
      met.push_back(together);
      if (row_scale[i] == 0) continue;
      excess.push_back(wanted.back() - row_price[i] - col_price[j]);
      most_excess = std::max(most_excess, excess.back());
    }
    std::sort(excess.rbegin(), excess.rend());
    for (int64_t e = 0; e < most; ++e) {
      const int32_t j = row_cols[i * most + e];
      const bool listed = e < static_cast<int64_t>(excess.size()) && excess[e] > -1;
      expect(listed == (j >= 0), "the length of a list");
      if (listed)
        expect(row_values[i * most + e] - row_price[i] - col_price[j] == excess[e],
               "the best of a row");
    }
  }
  expect(worst == most_excess, "the largest excess");
  std::vector<double> values(wanted.size());
  std::vector<int64_t> together(wanted.size());
  const int64_t pairs = static_cast<int64_t>(wanted.size());
  pair_similarities(s, ends_i.data(), ends_j.data(), pairs, threads, values.data());
  pair_counts(s, ends_i.data(), ends_j.data(), pairs, threads, together.data());
  expect(values == wanted, "similarities of pairs");
  expect(together == met, "tokens of pairs");
  std::vector<int64_t> fired(static_cast<size_t>(cols));
  std::vector<double> total(fired.size()), squares(fired.size());
  sum_codes(by_token.rows(), cols, fired.data(), total.data(), squares.data());
}

// Edges that a sorted list lacks are found missing, and join it.
void check_joining(int64_t size, int64_t edges) {
  std::set<std::pair<int32_t, int32_t>> all, old;
  for (int64_t e = 0; e < edges; ++e) {
    const std::pair<int32_t, int32_t> edge(draw(0, size - 1), draw(0, size - 1));
    all.insert(edge);
    if (draw(0, 2)) old.insert(edge);
  }
  struct Lists {
    std::vector<int32_t> rows, cols;
    std::vector<double> weights;

    void add(const std::pair<int32_t, int32_t>& edge) {
      rows.push_back(edge.first);
      cols.push_back(edge.second);
      weights.push_back(edge.first + 0.001 * edge.second);
    }
    SortedEdges edges() const {
      return {rows.data(), cols.data(), static_cast<int64_t>(rows.size())};
    }
  } list, whole, added;
  for (const auto& edge : old) list.add(edge);
  for (const auto& edge : all) whole.add(edge);
  std::vector<int64_t> places(all.size());
  const std::unique_ptr<bool[]> present(new bool[all.size() + 1]);
  find_edges(list.edges(), whole.edges(), kThreads, places.data(), present.get());
  std::vector<int64_t> places_of_added;
  size_t e = 0;
  for (const auto& edge : all) {
    expect(present[e] == (old.count(edge) == 1), "whether a list has an edge");
    if (!present[e]) {
      added.add(edge);
      places_of_added.push_back(places[e]);
    }
    ++e;
  }
  Lists out{std::vector<int32_t>(all.size()), std::vector<int32_t>(all.size()),
            std::vector<double>(all.size())};
  join_edges(list.edges(), list.weights.data(), added.edges(), added.weights.data(),
             places_of_added.data(), kThreads,
             {out.rows.data(), out.cols.data(), out.weights.data()});
  expect(out.rows == whole.rows && out.cols == whole.cols && out.weights == whole.weights,
         "a list that edges have joined");
}

}  // namespace

int main() {
  check_refusals();
  check_rows<double>(kFloat64, 1);
  check_rows<float>(kFloat32, 1);
  check_rows<uint16_t>(kFloat16, 0x3c00);
  check_rows<uint16_t>(kBfloat16, 0x3f80);
  for (int i = 0; i < 1500; ++i) {
    const int64_t num_cols = draw(0, 12), num_rows = i % 2 ? num_cols : draw(0, num_cols);
    check(random_instance(num_rows, num_cols, draw(0, 60)));
    check_members(random_instance(num_rows, num_cols, draw(0, 60)));
  }
  for (const int64_t rows : {300, 290, 1}) check(random_instance(rows, 300, 4000));
  for (int i = 0; i < 1000; ++i) {
    const int64_t num_rows = draw(0, 20);
    check_dense(num_rows, num_rows + draw(0, 1) * draw(0, 9));
  }
  check_dense(150, 150);
  for (int i = 0; i < 300; ++i) check_joining(draw(1, 20), draw(0, 100));
  check_joining(2000, 900'000);
  for (int i = 0; i < 3000; ++i) check_cycles(draw(1, 14));
  for (int i = 0; i < 300; ++i)
    check_codes(draw(0, 9), draw(0, 9), draw(1, 12), draw(1, 4), static_cast<int>(draw(1, 3)));
  std::printf("assignment: ok\n");
}
