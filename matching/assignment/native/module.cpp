// The assignment solvers for Python: checks every argument, releases the GIL, and calls.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <utility>

#include "bind/arrays.h"
#include "centre.h"
#include "cycles.h"
#include "dense.h"
#include "hopcroft_karp.h"
#include "solve.h"
#include "sorted_edges.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 30;  // twice that must be an int32_t

void check_threads(int threads) {
  require(threads >= 1, "threads: expected 1 or more, got " + std::to_string(threads));
}

// How many members each row and column has, and all of them; null: one each.
struct Sizes {
  int64_t rows, cols;
  const int64_t *row_members = nullptr, *col_members = nullptr;
  int64_t all_rows = rows, all_cols = cols;

  Sizes(int64_t num_rows, int64_t num_cols) : rows(num_rows), cols(num_cols) {
    for (const int64_t size : {rows, cols}) check(size);
  }
  Sizes(int64_t num_rows, int64_t num_cols, const object& row_members_, const object& col_members_)
      : Sizes(num_rows, num_cols) {
    row_members = members("row_members", row_members_, rows, all_rows);
    col_members = members("col_members", col_members_, cols, all_cols);
  }

  // The smaller side is that with fewer members.
  bool tall() const { return all_rows > all_cols; }
  int64_t smaller() const { return std::min(all_rows, all_cols); }
  int64_t larger() const { return std::max(all_rows, all_cols); }

 private:
  static void check(int64_t size) {
    require(size >= 0 && size <= kMaxSize,
            "shape: expected 0 to 2^30 a side, got " + std::to_string(size));
  }

  static const int64_t* members(const char* name, const object& given, int64_t size, int64_t& all) {
    const auto sizes = optional_array<const int64_t>(given, name, 1);
    if (!sizes.data) return nullptr;
    sizes.expect(name, {size});
    all = 0;
    for (int64_t i = 0; i < size; ++i) {
      require(sizes.data[i] >= 1 && sizes.data[i] <= kMaxSize,
              std::string(name) + ": entry " + std::to_string(i) + " is " +
                  std::to_string(sizes.data[i]) + ", expected 1 to 2^30");
      check(all += sizes.data[i]);
    }
    return sizes.data;
  }
};

// Edges as they come, with indices of one type, int32 or int64.
template <class Index>
struct Edges {
  Array<const Index> rows, cols;

  Edges(const object& rows_, const object& cols_)
      : rows(array<const Index>(rows_, "rows", 1)), cols(array<const Index>(cols_, "cols", 1)) {
    cols.expect("cols", rows.shape);
  }

  // Rows of the graph are the smaller side.
  Graph graph(const double* weights, const Sizes& sizes, int threads) const {
    const int64_t edges = rows.shape[0];
    check_edges(rows.data, cols.data, weights, edges, sizes.rows, sizes.cols);
    Members of_rows(sizes.row_members, sizes.rows), of_cols(sizes.col_members, sizes.cols);
    return sizes.tall() ? build_graph(cols.data, rows.data, weights, edges, std::move(of_cols),
                                      std::move(of_rows), threads)
                        : build_graph(rows.data, cols.data, weights, edges, std::move(of_rows),
                                      std::move(of_cols), threads);
  }
};

// Calls body(edges) with the type of index that `rows` has.
template <class Body>
void with_edges(const object& rows, const object& cols, const Body& body) {
  if (py::isinstance<py::array_t<int32_t>>(rows)) {
    body(Edges<int32_t>(rows, cols));
  } else {
    body(Edges<int64_t>(rows, cols));
  }
}

// What a weighted problem takes.
struct Problem {
  Array<const double> weights;
  Array<double> row_price, col_price;
  Sizes sizes;

  Problem(const object& weights_, const object& row_members, const object& col_members,
          const object& row_price_, const object& col_price_)
      : weights(array<const double>(weights_, "weights", 1)),
        row_price(array<double>(row_price_, "row_price", 1)),
        col_price(array<double>(col_price_, "col_price", 1)),
        sizes(row_price.shape[0], col_price.shape[0], row_members, col_members) {}

  double* small_price() const { return sizes.tall() ? col_price.data : row_price.data; }
  double* large_price() const { return sizes.tall() ? row_price.data : col_price.data; }
};

void bind_maximum_matching(const object& rows, const object& cols, int64_t num_rows,
                           int64_t num_cols, const object& row_members, const object& col_members,
                           const object& partner_) {
  const Sizes sizes(num_rows, num_cols, row_members, col_members);
  const auto partner = array<int64_t>(partner_, "partner", 1);
  partner.expect("partner", {sizes.smaller()});
  with_edges(rows, cols, [&](const auto& edges) {
    py::gil_scoped_release release;
    const Matching matching = maximum_matching(edges.graph(nullptr, sizes, 1));
    std::copy(matching.col_of.begin(), matching.col_of.end(), partner.data);
  });
}

py::tuple bind_solve(const object& rows, const object& cols, const object& weights,
                     const object& row_members, const object& col_members, bool warm, bool centre,
                     int64_t bid_limit, int threads, const object& partner_,
                     const object& row_price, const object& col_price) {
  const Problem problem(weights, row_members, col_members, row_price, col_price);
  const auto partner = array<int64_t>(partner_, "partner", 1);
  partner.expect("partner", {problem.sizes.smaller()});
  check_threads(threads);
  require(bid_limit >= 0, "bid_limit: expected 0 or more, got " + std::to_string(bid_limit));
  Solution solution;
  with_edges(rows, cols, [&](const auto& edges) {
    problem.weights.expect("weights", edges.rows.shape);
    py::gil_scoped_release release;
    double* const small = problem.small_price();
    double* const large = problem.large_price();
    const Graph graph = edges.graph(problem.weights.data, problem.sizes, threads);
    const Graph by_col = transposed(graph, threads);
    solution =
        solve(graph, by_col, warm ? small : nullptr, warm ? large : nullptr, bid_limit, threads);
    std::copy(solution.col_of.begin(), solution.col_of.end(), partner.data);
    std::copy(solution.row_price.begin(), solution.row_price.end(), small);
    std::copy(solution.col_price.begin(), solution.col_price.end(), large);
    if (centre && !solution.unmatched)
      centre_prices(graph, by_col, partner.data, threads, small, large);
  });
  return py::make_tuple(solution.unmatched, solution.bids, solution.paths);
}

void bind_centre_prices(const object& rows, const object& cols, const object& weights,
                        const object& row_members, const object& col_members, int threads,
                        const object& partner_, const object& row_price, const object& col_price) {
  check_threads(threads);
  const Problem problem(weights, row_members, col_members, row_price, col_price);
  const auto partner = array<const int64_t>(partner_, "partner", 1);
  partner.expect("partner", {problem.sizes.smaller()});
  for (int64_t i = 0; i < problem.sizes.smaller(); ++i)
    require(partner.data[i] >= 0 && partner.data[i] < problem.sizes.larger(),
            "partner: entry " + std::to_string(i) + " is " + std::to_string(partner.data[i]) +
                ", expected 0 to " + std::to_string(problem.sizes.larger() - 1));
  with_edges(rows, cols, [&](const auto& edges) {
    problem.weights.expect("weights", edges.rows.shape);
    py::gil_scoped_release release;
    const Graph graph = edges.graph(problem.weights.data, problem.sizes, threads);
    centre_prices(graph, transposed(graph, threads), partner.data, threads, problem.small_price(),
                  problem.large_price());
  });
}

void bind_solve_dense(const object& weights_, const object& equal_, const object& partner_,
                      const object& col_price_) {
  const auto weights = array<const double>(weights_, "weights", 2);
  const int64_t num_rows = weights.shape[0], num_cols = weights.shape[1];
  const Sizes sizes(num_rows, num_cols);
  require(!sizes.tall(),
          "weights: expected no more rows than columns, got " + Array<double>::text(weights.shape));
  const auto equal = array<const int64_t>(equal_, "equal", 1);
  const auto partner = array<int64_t>(partner_, "partner", 1);
  const auto col_price = array<double>(col_price_, "col_price", 1);
  equal.expect("equal", {num_rows});
  for (int64_t i = 0; i < num_rows; ++i)
    require(equal.data[i] >= 0 && equal.data[i] < num_rows,
            "equal: entry " + std::to_string(i) + " is " + std::to_string(equal.data[i]) +
                ", expected 0 to " + std::to_string(num_rows - 1));
  partner.expect("partner", {num_rows});
  col_price.expect("col_price", {num_cols});
  py::gil_scoped_release release;
  check_weights(weights.data, num_rows * num_cols);
  const DenseSolution solution = solve_dense(weights.data, equal.data, num_rows, num_cols);
  std::copy(solution.col_of.begin(), solution.col_of.end(), partner.data);
  std::copy(solution.col_price.begin(), solution.col_price.end(), col_price.data);
}

// Edges of one list, with indices below 2^31; whether they are sorted is not looked at.
SortedEdges sorted_edges(const char* name, const object& rows_, const object& cols_) {
  const auto rows = array<const int32_t>(rows_, name, 1);
  const auto cols = array<const int32_t>(cols_, name, 1);
  cols.expect(name, rows.shape);
  return {rows.data, cols.data, rows.shape[0]};
}

void bind_find_edges(const object& rows, const object& cols, const object& wanted_rows,
                     const object& wanted_cols, int threads, const object& places_,
                     const object& present_) {
  const SortedEdges list = sorted_edges("edges", rows, cols);
  const SortedEdges wanted = sorted_edges("wanted", wanted_rows, wanted_cols);
  check_threads(threads);
  const auto places = array<int64_t>(places_, "places", 1);
  const auto present = array<bool>(present_, "present", 1);
  places.expect("places", {wanted.count});
  present.expect("present", {wanted.count});
  py::gil_scoped_release release;
  find_edges(list, wanted, threads, places.data, present.data);
}

void bind_join_edges(const object& rows, const object& cols, const object& weights_,
                     const object& added_rows, const object& added_cols,
                     const object& added_weights_, const object& places_, int threads,
                     const object& out_rows_, const object& out_cols_, const object& out_weights_) {
  const SortedEdges list = sorted_edges("edges", rows, cols);
  const SortedEdges added = sorted_edges("added", added_rows, added_cols);
  const auto weights = array<const double>(weights_, "weights", 1);
  const auto added_weights = array<const double>(added_weights_, "added_weights", 1);
  const auto places = array<const int64_t>(places_, "places", 1);
  weights.expect("weights", {list.count});
  added_weights.expect("added_weights", {added.count});
  places.expect("places", {added.count});
  check_threads(threads);
  for (int64_t e = 0; e < added.count; ++e)
    require(places.data[e] >= (e ? places.data[e - 1] : 0) && places.data[e] <= list.count,
            "places: entry " + std::to_string(e) + " is " + std::to_string(places.data[e]) +
                ", expected ascending numbers of 0 to " + std::to_string(list.count));
  const auto out_rows = array<int32_t>(out_rows_, "out_rows", 1);
  const auto out_cols = array<int32_t>(out_cols_, "out_cols", 1);
  const auto out_weights = array<double>(out_weights_, "out_weights", 1);
  out_rows.expect("out_rows", {list.count + added.count});
  out_cols.expect("out_cols", {list.count + added.count});
  out_weights.expect("out_weights", {list.count + added.count});
  py::gil_scoped_release release;
  join_edges(list, weights.data, added, added_weights.data, places.data, threads,
             {out_rows.data, out_cols.data, out_weights.data});
}

CheapEdges cheap_edges(const char* name, const object& ends_, const object& costs_,
                       const object& unlisted_) {
  const auto ends = array<const int32_t>(ends_, name, 2);
  const auto costs = array<const double>(costs_, name, 2);
  const auto unlisted = array<const double>(unlisted_, name, 1);
  const int64_t nodes = ends.shape[0], width = ends.shape[1];
  costs.expect(name, ends.shape);
  unlisted.expect(name, {nodes});
  require(nodes <= kMaxSize, std::string(name) + ": expected 2^30 nodes at most");
  const auto refuse = [&](int64_t node, const char* what) {
    require(false, std::string(name) + ": node " + std::to_string(node) + " has " + what);
  };
  for (int64_t node = 0; node < nodes; ++node) {
    if (!(unlisted.data[node] >= 0)) refuse(node, "a bound below 0 or NaN");
    double before = 0;
    for (int64_t e = node * width; e < (node + 1) * width && ends.data[e] != -1; ++e) {
      const int64_t end = ends.data[e];
      if (end < 0 || end >= nodes || end == node) refuse(node, "an edge to itself or to no node");
      if (!(costs.data[e] >= before)) refuse(node, "a cost below 0, NaN or out of order");
      before = costs.data[e];
    }
  }
  return {nodes, width, ends.data, costs.data, unlisted.data};
}

void bind_cheapest_cycles(const object& out_ends, const object& out_costs,
                          const object& out_unlisted, const object& in_ends, const object& in_costs,
                          const object& in_unlisted, int64_t most_settled, int threads,
                          const object& lower_, const object& upper_) {
  const CheapEdges leaving = cheap_edges("leaving", out_ends, out_costs, out_unlisted);
  const CheapEdges entering = cheap_edges("entering", in_ends, in_costs, in_unlisted);
  require(entering.nodes == leaving.nodes, "entering: expected as many nodes as leaving");
  check_threads(threads);
  const auto lower = array<double>(lower_, "lower", 1);
  const auto upper = array<double>(upper_, "upper", 1);
  upper.expect("upper", lower.shape);
  require(lower.shape[0] <= leaving.nodes, "lower: expected no more entries than nodes");
  py::gil_scoped_release release;
  cheapest_cycles(leaving, entering, lower.shape[0], most_settled, threads, lower.data, upper.data);
}

}  // namespace
}  // namespace twinsae

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  using py::arg;
  m.doc() =
      "The assignment solvers of twinsae. Numpy arrays, C-contiguous: indices int32 or int64,\n"
      "weights and prices float64. `row_members` and `col_members` (int64, or None for one\n"
      "each) say how many equal members each row and column has; members are counted row by\n"
      "row. `partner` (int64) holds for each member of the side that has fewer the member of\n"
      "the other, or -1. Outputs are written in place. Anything else raises ValueError.";
  m.def("maximum_matching", &bind_maximum_matching, arg("rows"), arg("cols"), arg("num_rows"),
        arg("num_cols"), arg("row_members"), arg("col_members"), arg("partner"));
  m.def("solve", &bind_solve, arg("rows"), arg("cols"), arg("weights"), arg("row_members"),
        arg("col_members"), arg("warm"), arg("centre"), arg("bid_limit"), arg("threads"),
        arg("partner"), arg("row_price"), arg("col_price"),
        "(members of the smaller side without a partner, bids or -1 where the auction gave up,\n"
        "paths searched). With `warm` the prices are those to start from; with `centre` they are\n"
        "moved as `centre_prices` does.");
  m.def("centre_prices", &bind_centre_prices, arg("rows"), arg("cols"), arg("weights"),
        arg("row_members"), arg("col_members"), arg("threads"), arg("partner"), arg("row_price"),
        arg("col_price"));
  m.def("find_edges", &bind_find_edges, arg("rows"), arg("cols"), arg("wanted_rows"),
        arg("wanted_cols"), arg("threads"), arg("places"), arg("present"),
        "How many of the sorted edges (int32) come before each wanted one, and whether it is\n"
        "among them: places (int64), present (bool).");
  m.def("join_edges", &bind_join_edges, arg("rows"), arg("cols"), arg("weights"), arg("added_rows"),
        arg("added_cols"), arg("added_weights"), arg("places"), arg("threads"), arg("out_rows"),
        arg("out_cols"), arg("out_weights"),
        "Sorted edges and others at their places, which must ascend.");
  m.def("solve_dense", &bind_solve_dense, arg("weights"), arg("equal"), arg("partner"),
        arg("col_price"),
        "The assignment of every row of a matrix of no more rows than columns; rows with the same\n"
        "number in `equal` are equal.");
  m.def("cheapest_cycles", &bind_cheapest_cycles, arg("out_ends"), arg("out_costs"),
        arg("out_unlisted"), arg("in_ends"), arg("in_costs"), arg("in_unlisted"),
        arg("most_settled"), arg("threads"), arg("lower"), arg("upper"),
        "Bounds of the cheapest cycle through each node of a graph: see cycles.h. Ends (int32, -1\n"
        "where there are no more) and ascending costs (nodes, width), and for each node what its\n"
        "other edges cost at least.");
}
