// Python bindings of mutual_topk and pairs_above, the scans of two dictionaries.
#include "bind/checks.h"

#include <algorithm>

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

// The arguments that both forms of mutual_topk share: all except b.
struct MutualArrays {
  Array<const float> a, row_floor, col_floor;
  Array<float> row_values, col_values;
  Array<int64_t> row_indices, col_indices;

  MutualArrays(const object& a_, const object& row_floor_, const object& col_floor_,
               const object& row_values_, const object& row_indices_, const object& col_values_,
               const object& col_indices_)
      : a(array<const float>(a_, "a", 2)),
        row_floor(array<const float>(row_floor_, "row_floor", 1)),
        col_floor(array<const float>(col_floor_, "col_floor", 1)),
        row_values(array<float>(row_values_, "row_values", 2)),
        col_values(array<float>(col_values_, "col_values", 2)),
        row_indices(array<int64_t>(row_indices_, "row_indices", 2)),
        col_indices(array<int64_t>(col_indices_, "col_indices", 2)) {}

  MutualTopK problem(const float* b, const float* panels, bool exact) const {
    const int64_t a_rows = a.shape[0], b_rows = col_values.shape[0], m = col_values.shape[1];
    check_latents("a", a_rows);
    check_latents("b", b_rows);
    require(m >= 1 && m <= std::min(a_rows, b_rows),
            "m: expected 1 to the shorter side's length, got " + std::to_string(m));
    row_floor.expect("row_floor", {a_rows});
    col_floor.expect("col_floor", {b_rows});
    row_values.expect("row_values", {a_rows, m});
    row_indices.expect("row_indices", {a_rows, m});
    col_indices.expect("col_indices", {b_rows, m});
    MutualTopK problem{};
    problem.a_rows = a_rows;
    problem.b_rows = b_rows;
    problem.depth = a.shape[1];
    problem.m = m;
    problem.exact = exact;
    problem.a = a.data;
    problem.b = b;
    problem.panels = panels;
    problem.row_floor = row_floor.data;
    problem.col_floor = col_floor.data;
    problem.row_values = row_values.data;
    problem.row_indices = row_indices.data;
    problem.col_values = col_values.data;
    problem.col_indices = col_indices.data;
    return problem;
  }
};

void bind_mutual_topk(const object& a_, const object& b_, const object& panels_,
                      const object& row_floor_, const object& col_floor_, int threads,
                      const object& row_values_, const object& row_indices_,
                      const object& col_values_, const object& col_indices_) {
  const MutualArrays arrays(a_, row_floor_, col_floor_, row_values_, row_indices_, col_values_,
                            col_indices_);
  const auto b = optional_array<const float>(b_, "b", 2);
  const auto panels = optional_array<const float>(panels_, "panels", 3);
  check_threads(threads);
  require(!b.data != !panels.data, "b, panels: expected one of them, not both");
  const MutualTopK problem = arrays.problem(b.data, panels.data, true);
  b.expect("b", {problem.b_rows, problem.depth});
  check_panels(panels, problem.b_rows, problem.depth);
  py::gil_scoped_release release;
  mutual_topk(problem, threads);
}

py::tuple bind_mutual_topk_codes(const object& a_, const object& b_, const object& codes_,
                                 const object& bounds_, const object& row_floor_,
                                 const object& col_floor_, bool exact, int threads,
                                 const object& row_values_, const object& row_indices_,
                                 const object& col_values_, const object& col_indices_) {
  const MutualArrays arrays(a_, row_floor_, col_floor_, row_values_, row_indices_, col_values_,
                            col_indices_);
  const auto b = array<const float>(b_, "b", 2);
  check_threads(threads);
  const MutualTopK problem = arrays.problem(b.data, nullptr, exact);
  b.expect("b", {problem.b_rows, problem.depth});
  const CodesIsa& isa = required_codes_isa(problem.depth);
  const CodePanels panels = code_panels(isa, codes_, bounds_, problem.b_rows, problem.depth);
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    counts = mutual_topk_codes(problem, isa, panels, threads);
  }
  return py::make_tuple(counts.survivors, counts.redone);
}

// The arguments that both forms of pairs_above share.
struct PairsArrays {
  Array<const float> a, b;
  Array<const double> row_price, col_price;
  Array<const int64_t> tiles;

  PairsArrays(const object& a_, const object& b_, const object& row_price_,
              const object& col_price_, const object& tiles_)
      : a(array<const float>(a_, "a", 2)),
        b(array<const float>(b_, "b", 2)),
        row_price(array<const double>(row_price_, "row_price", 1)),
        col_price(array<const double>(col_price_, "col_price", 1)),
        tiles(array<const int64_t>(tiles_, "tiles", 2)) {}

  PairsAbove problem(double margin, int64_t capacity, bool exact) const {
    const int64_t a_rows = a.shape[0], b_rows = b.shape[0], depth = a.shape[1];
    check_latents("a", a_rows);
    check_latents("b", b_rows);
    b.expect("b", {b_rows, depth});
    row_price.expect("row_price", {a_rows});
    col_price.expect("col_price", {b_rows});
    tiles.expect("tiles", {tiles.shape[0], 4});
    require(capacity >= 0, "capacity: expected 0 or more, got " + std::to_string(capacity));
    const Block* blocks = reinterpret_cast<const Block*>(tiles.data);
    for (int64_t t = 0; t < tiles.shape[0]; ++t) check_block(blocks[t], a_rows, b_rows);
    PairsAbove problem{};
    problem.a_rows = a_rows;
    problem.b_rows = b_rows;
    problem.depth = depth;
    problem.capacity = capacity;
    problem.exact = exact;
    problem.a = a.data;
    problem.b = b.data;
    problem.row_price = row_price.data;
    problem.col_price = col_price.data;
    problem.margin = margin;
    problem.tiles = blocks;
    problem.tile_count = tiles.shape[0];
    return problem;
  }

  static void check_block(const Block& block, int64_t rows, int64_t cols) {
    const bool inside = 0 <= block.row_start && block.row_start <= block.row_stop &&
        block.row_stop <= rows && 0 <= block.col_start && block.col_start <= block.col_stop &&
        block.col_stop <= cols;
    require(inside,
            "tiles: expected blocks of a " + std::to_string(rows) + " x " + std::to_string(cols) +
                " matrix, got [" + std::to_string(block.row_start) + ", " +
                std::to_string(block.row_stop) + ", " + std::to_string(block.col_start) + ", " +
                std::to_string(block.col_stop) + "]");
  }
};

py::array_t<int64_t> numbers(const std::vector<int64_t>& values) {
  return py::array_t<int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::tuple bind_pairs_above(const object& a_, const object& b_, const object& panels_,
                           const object& row_price_, const object& col_price_, double margin,
                           const object& tiles_, int64_t capacity, int threads) {
  const PairsArrays arrays(a_, b_, row_price_, col_price_, tiles_);
  const auto panels = optional_array<const float>(panels_, "panels", 3);
  check_threads(threads);
  const PairsAbove problem = arrays.problem(margin, capacity, true);
  check_panels(panels, problem.b_rows, problem.depth);
  Pairs pairs;
  {
    py::gil_scoped_release release;
    pairs = pairs_above(problem, panels.data, threads);
  }
  return py::make_tuple(numbers(pairs.rows), numbers(pairs.cols), pairs.overflow);
}

py::tuple bind_pairs_above_codes(const object& a_, const object& b_, const object& codes_,
                                 const object& bounds_, const object& row_price_,
                                 const object& col_price_, double margin, const object& tiles_,
                                 int64_t capacity, bool exact, int threads) {
  const PairsArrays arrays(a_, b_, row_price_, col_price_, tiles_);
  check_threads(threads);
  const PairsAbove problem = arrays.problem(margin, capacity, exact);
  const CodesIsa& isa = required_codes_isa(problem.depth);
  const CodePanels packed = code_panels(isa, codes_, bounds_, problem.b_rows, problem.depth);
  Pairs pairs;
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    pairs = pairs_above_codes(problem, isa, packed, threads, counts);
  }
  return py::make_tuple(numbers(pairs.rows), numbers(pairs.cols), pairs.overflow, counts.survivors);
}

}  // namespace

void register_pairs(py::module_& m) {
  using py::arg;
  m.def("mutual_topk", &bind_mutual_topk, arg("a"), arg("b"), arg("panels"), arg("row_floor"),
        arg("col_floor"), arg("threads"), arg("row_values"), arg("row_indices"), arg("col_values"),
        arg("col_indices"));
  m.def("mutual_topk_codes", &bind_mutual_topk_codes, arg("a"), arg("b"), arg("codes"),
        arg("bounds"), arg("row_floor"), arg("col_floor"), arg("exact"), arg("threads"),
        arg("row_values"), arg("row_indices"), arg("col_values"), arg("col_indices"),
        "(survivors, rows redone).");
  m.def("pairs_above", &bind_pairs_above, arg("a"), arg("b"), arg("panels"), arg("row_price"),
        arg("col_price"), arg("margin"), arg("tiles"), arg("capacity"), arg("threads"),
        "(rows, cols, overflow).");
  m.def("pairs_above_codes", &bind_pairs_above_codes, arg("a"), arg("b"), arg("codes"),
        arg("bounds"), arg("row_price"), arg("col_price"), arg("margin"), arg("tiles"),
        arg("capacity"), arg("exact"), arg("threads"), "(rows, cols, overflow, survivors).");
}

}  // namespace twinsae
