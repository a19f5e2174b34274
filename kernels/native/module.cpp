// Python's door to the native kernels: checks every argument, lets go of the GIL, and calls.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <limits>

#include "arrays.h"
#include "int8_codes.h"
#include "isa.h"
#include "scan.h"
#include "sparse.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

void check_threads(int threads) {
  require(threads >= 1 && threads <= 4096,
          "threads: expected 1 to 4096, got " + std::to_string(threads));
}

void check_latents(const char* name, int64_t latents) {
  require(latents < std::numeric_limits<int32_t>::max(),
          std::string(name) + ": expected fewer than 2^31 latents, got " + std::to_string(latents));
}

// Panels of `latents` rows, each `depth` long: see pack_panels.
void check_panels(const Array<const float>& panels, int64_t latents, int64_t depth) {
  panels.expect("panels", {panel_count(latents), depth, kPanel});
}

void bind_pack_panels(const object& weight_, int threads, const object& panels_) {
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto panels = array<float>(panels_, "panels", 3);
  check_threads(threads);
  panels.expect("panels", {panel_count(weight.shape[0]), weight.shape[1], kPanel});
  py::gil_scoped_release release;
  pack_panels(weight.data, weight.shape[0], weight.shape[1], threads, panels.data);
}

// What both forms of linear_topk take, but for the latents.
struct TopKArrays {
  Array<const float> x, bias, floor;
  Array<const bool> mask;
  Array<float> values;
  Array<int64_t> indices;

  TopKArrays(const object& x_, const object& bias_, const object& floor_, const object& mask_,
             const object& values_, const object& indices_)
      : x(array<const float>(x_, "x", 2)),
        bias(optional_array<const float>(bias_, "bias", 1)),
        floor(array<const float>(floor_, "floor", 1)),
        mask(optional_array<const bool>(mask_, "mask", 1)),
        values(array<float>(values_, "values", 3)),
        indices(array<int64_t>(indices_, "indices", 3)) {}

  // `latents` are those of all groups.
  void check_counts(int64_t latents) const {
    const int64_t groups = values.shape[1], k = values.shape[2];
    require(groups >= 1 && latents >= 0 && latents % groups == 0,
            "values: the number of latents is no multiple of the number of groups");
    require(k >= 1 && k <= latents / groups,
            "k: expected 1 to the latents of a group, got " + std::to_string(k));
  }

  // The problem on latents in weight or in panels, once the other shapes are checked.
  LinearTopK problem(int64_t latents, const float* weight, const float* panels) const {
    const int64_t rows = x.shape[0], groups = values.shape[1], k = values.shape[2];
    bias.expect("bias", {latents});
    floor.expect("floor", {rows});
    mask.expect("mask", {latents});
    values.expect("values", {rows, groups, k});
    indices.expect("indices", {rows, groups, k});
    return {rows, x.shape[1], latents / groups, groups, k, x.data, weight, panels,
            bias.data, floor.data, mask.data, values.data, indices.data};
  }
};

void bind_linear_topk(const object& x_, const object& weight_, const object& panels_,
                      const object& bias_, const object& floor_, const object& mask_,
                      int threads, const object& values_, const object& indices_,
                      int64_t latents) {
  const TopKArrays arrays(x_, bias_, floor_, mask_, values_, indices_);
  const auto weight = optional_array<const float>(weight_, "weight", 2);
  const auto panels = optional_array<const float>(panels_, "panels", 3);
  check_threads(threads);
  check_latents("weight", latents);
  const int64_t depth = arrays.x.shape[1];
  arrays.check_counts(latents);
  require(!weight.data != !panels.data, "weight, panels: expected one of them, not both");
  require(!arrays.mask.data || weight.data, "mask: needs weight, not panels");
  weight.expect("weight", {latents, depth});
  check_panels(panels, latents, depth);
  const LinearTopK problem = arrays.problem(latents, weight.data, panels.data);
  py::gil_scoped_release release;
  linear_topk(problem, threads);
}

constexpr int64_t kBoundsOfPanel = sizeof(PanelBounds) / sizeof(float);

const Int8Isa& int8_isa(int64_t depth) {
  const Int8Isa* isa = current_int8_isa();
  require(isa != nullptr, "int8: this machine or TWINSAE_CPU_ISA has no such instructions");
  require(depth >= 1 && depth <= kMaxInt8Depth,
          "depth: expected 1 to " + std::to_string(kMaxInt8Depth) + " for int8, got " +
              std::to_string(depth));
  return *isa;
}

void check_codes(const Int8Isa& isa, const Array<const int8_t>& codes,
                 const Array<const float>& bounds, int64_t latents, int64_t depth) {
  codes.expect("codes", {panel_count(latents), isa.planes(depth), code_count(depth) / kQuad,
                         kPanel, kQuad});
  bounds.expect("bounds", {panel_count(latents), kBoundsOfPanel});
}

void bind_pack_int8(const object& weight_, int threads, const object& codes_,
                    const object& bounds_) {
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto codes = array<int8_t>(codes_, "codes", 5);
  const auto bounds = array<float>(bounds_, "bounds", 2);
  check_threads(threads);
  check_latents("weight", weight.shape[0]);
  const int64_t latents = weight.shape[0], depth = weight.shape[1];
  const Int8Isa& isa = int8_isa(depth);
  check_codes(isa, {codes.data, codes.shape}, {bounds.data, bounds.shape}, latents, depth);
  py::gil_scoped_release release;
  pack_int8(isa, weight.data, nullptr, latents, depth, threads, codes.data,
            reinterpret_cast<PanelBounds*>(bounds.data));
}

// Codes and bounds of `latents` rows made by pack_int8, or neither.
Int8Panels int8_panels(const Int8Isa& isa, const object& codes_, const object& bounds_,
                       int64_t latents, int64_t depth) {
  const auto codes = optional_array<const int8_t>(codes_, "codes", 5);
  const auto bounds = optional_array<const float>(bounds_, "bounds", 2);
  require(!codes.data == !bounds.data, "codes, bounds: expected both or none");
  check_codes(isa, codes, bounds, latents, depth);
  return {codes.data, reinterpret_cast<const PanelBounds*>(bounds.data)};
}

py::tuple bind_linear_topk_int8(const object& x_, const object& weight_, const object& codes_,
                                const object& bounds_, const object& bias_,
                                const object& floor_, const object& mask_, int threads,
                                const object& values_, const object& indices_) {
  const TopKArrays arrays(x_, bias_, floor_, mask_, values_, indices_);
  const auto weight = array<const float>(weight_, "weight", 2);
  check_threads(threads);
  const int64_t depth = arrays.x.shape[1], latents = weight.shape[0];
  check_latents("weight", latents);
  arrays.check_counts(latents);
  weight.expect("weight", {latents, depth});
  const LinearTopK problem = arrays.problem(latents, weight.data, nullptr);
  const Int8Isa& isa = int8_isa(depth);
  const Int8Panels panels = int8_panels(isa, codes_, bounds_, latents, depth);
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    counts = linear_topk_int8(problem, isa, panels, threads);
  }
  return py::make_tuple(counts.survivors, counts.redone);
}

// What both forms of mutual_topk take, but for b.
struct MutualArrays {
  Array<const float> a;
  Array<float> row_values, col_values;
  Array<int64_t> row_indices, col_indices;

  MutualArrays(const object& a_, const object& row_values_, const object& row_indices_,
               const object& col_values_, const object& col_indices_)
      : a(array<const float>(a_, "a", 2)),
        row_values(array<float>(row_values_, "row_values", 2)),
        col_values(array<float>(col_values_, "col_values", 2)),
        row_indices(array<int64_t>(row_indices_, "row_indices", 2)),
        col_indices(array<int64_t>(col_indices_, "col_indices", 2)) {}

  MutualTopK problem(const float* b, const float* panels) const {
    const int64_t a_rows = a.shape[0], b_rows = col_values.shape[0], m = col_values.shape[1];
    check_latents("a", a_rows);
    check_latents("b", b_rows);
    require(m >= 1 && m <= std::min(a_rows, b_rows),
            "m: expected 1 to the shorter side's length, got " + std::to_string(m));
    row_values.expect("row_values", {a_rows, m});
    row_indices.expect("row_indices", {a_rows, m});
    col_indices.expect("col_indices", {b_rows, m});
    return {a_rows, b_rows, a.shape[1], m, a.data, b, panels,
            row_values.data, row_indices.data, col_values.data, col_indices.data};
  }
};

void bind_mutual_topk(const object& a_, const object& b_, const object& panels_, int threads,
                      const object& row_values_, const object& row_indices_,
                      const object& col_values_, const object& col_indices_) {
  const MutualArrays arrays(a_, row_values_, row_indices_, col_values_, col_indices_);
  const auto b = optional_array<const float>(b_, "b", 2);
  const auto panels = optional_array<const float>(panels_, "panels", 3);
  check_threads(threads);
  require(!b.data != !panels.data, "b, panels: expected one of them, not both");
  const MutualTopK problem = arrays.problem(b.data, panels.data);
  b.expect("b", {problem.b_rows, problem.depth});
  check_panels(panels, problem.b_rows, problem.depth);
  py::gil_scoped_release release;
  mutual_topk(problem, threads);
}

py::tuple bind_mutual_topk_int8(const object& a_, const object& b_, const object& codes_,
                                const object& bounds_, int threads, const object& row_values_,
                                const object& row_indices_, const object& col_values_,
                                const object& col_indices_) {
  const MutualArrays arrays(a_, row_values_, row_indices_, col_values_, col_indices_);
  const auto b = array<const float>(b_, "b", 2);
  check_threads(threads);
  const MutualTopK problem = arrays.problem(b.data, nullptr);
  b.expect("b", {problem.b_rows, problem.depth});
  const Int8Isa& isa = int8_isa(problem.depth);
  const Int8Panels panels = int8_panels(isa, codes_, bounds_, problem.b_rows, problem.depth);
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    counts = mutual_topk_int8(problem, isa, panels, threads);
  }
  return py::make_tuple(counts.survivors, counts.redone);
}

// What both forms of pairs_above take.
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

  PairsAbove problem(double margin, int64_t capacity) const {
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
    return {a_rows, b_rows, depth, capacity, a.data, b.data, row_price.data, col_price.data,
            margin, blocks, tiles.shape[0]};
  }

  static void check_block(const Block& block, int64_t rows, int64_t cols) {
    const bool inside = 0 <= block.row_start && block.row_start <= block.row_stop &&
                        block.row_stop <= rows && 0 <= block.col_start &&
                        block.col_start <= block.col_stop && block.col_stop <= cols;
    require(inside, "tiles: expected blocks of a " + std::to_string(rows) + " x " +
                        std::to_string(cols) + " matrix, got [" +
                        std::to_string(block.row_start) + ", " + std::to_string(block.row_stop) +
                        ", " + std::to_string(block.col_start) + ", " +
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
  const PairsAbove problem = arrays.problem(margin, capacity);
  check_panels(panels, problem.b_rows, problem.depth);
  Pairs pairs;
  {
    py::gil_scoped_release release;
    pairs = pairs_above(problem, panels.data, threads);
  }
  return py::make_tuple(numbers(pairs.rows), numbers(pairs.cols), pairs.overflow);
}

py::tuple bind_pairs_above_int8(const object& a_, const object& b_, const object& codes_,
                                const object& bounds_, const object& row_price_,
                                const object& col_price_, double margin, const object& tiles_,
                                int64_t capacity, int threads) {
  const PairsArrays arrays(a_, b_, row_price_, col_price_, tiles_);
  check_threads(threads);
  const PairsAbove problem = arrays.problem(margin, capacity);
  const Int8Isa& isa = int8_isa(problem.depth);
  const Int8Panels packed = int8_panels(isa, codes_, bounds_, problem.b_rows, problem.depth);
  Pairs pairs;
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    pairs = pairs_above_int8(problem, isa, packed, threads, counts);
  }
  return py::make_tuple(numbers(pairs.rows), numbers(pairs.cols), pairs.overflow,
                        counts.survivors);
}

Sparse sparse(const Array<const int64_t>& indices, int64_t latents, int64_t depth) {
  const int64_t count = indices.shape[0] * indices.shape[1];
  for (int64_t i = 0; i < count; ++i) {
    if (indices.data[i] >= -1 && indices.data[i] < latents) continue;
    require(false, "indices: expected -1 to " + std::to_string(latents - 1) + ", got " +
                       std::to_string(indices.data[i]));
  }
  return {indices.shape[0], indices.shape[1], latents, depth, indices.data};
}

void bind_sparse_decode(const object& values_, const object& indices_, const object& weight_,
                        const object& bias_, int threads, const object& out_) {
  const auto values = array<const float>(values_, "values", 2);
  const auto indices = array<const int64_t>(indices_, "indices", 2);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto out = array<float>(out_, "out", 2);
  check_threads(threads);
  const Sparse s = sparse(indices, weight.shape[0], weight.shape[1]);
  values.expect("values", {s.rows, s.k});
  bias.expect("bias", {s.depth});
  out.expect("out", {s.rows, s.depth});
  py::gil_scoped_release release;
  sparse_decode(s, values.data, weight.data, bias.data, threads, out.data);
}

void bind_gather_dot(const object& rows_, const object& indices_, const object& weight_,
                     int threads, const object& out_) {
  const auto rows = array<const float>(rows_, "rows", 2);
  const auto indices = array<const int64_t>(indices_, "indices", 2);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto out = array<float>(out_, "out", 2);
  check_threads(threads);
  const Sparse s = sparse(indices, weight.shape[0], weight.shape[1]);
  rows.expect("rows", {s.rows, s.depth});
  out.expect("out", {s.rows, s.k});
  py::gil_scoped_release release;
  gather_dot(s, rows.data, weight.data, threads, out.data);
}

void bind_decode_error(const object& values_, const object& indices_, const object& weight_,
                       const object& bias_, const object& target_, float scale, int threads,
                       const object& squares_, const object& g_, const object& d_values_) {
  const auto values = array<const float>(values_, "values", 2);
  const auto indices = array<const int64_t>(indices_, "indices", 2);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto target = array<const float>(target_, "target", 2);
  const auto squares = array<float>(squares_, "squares", 1);
  const auto g = array<float>(g_, "g", 2);
  const auto d_values = array<float>(d_values_, "d_values", 2);
  check_threads(threads);
  const Sparse s = sparse(indices, weight.shape[0], weight.shape[1]);
  values.expect("values", {s.rows, s.k});
  bias.expect("bias", {s.depth});
  target.expect("target", {s.rows, s.depth});
  squares.expect("squares", {s.rows});
  g.expect("g", {s.rows, s.depth});
  d_values.expect("d_values", {s.rows, s.k});
  py::gil_scoped_release release;
  decode_error(s, values.data, weight.data, bias.data, target.data, scale, threads,
               {squares.data, g.data, d_values.data});
}

void bind_latent_grads(const object& values_, const object& d_values_, const object& indices_,
                       const object& x_, const object& g_, bool accumulate, int threads,
                       int64_t latents, const object& dW_dec_, const object& dW_enc_,
                       const object& db_enc_, const object& fired_) {
  const auto values = optional_array<const float>(values_, "values", 2);
  const auto d_values = optional_array<const float>(d_values_, "d_values", 2);
  const auto indices = array<const int64_t>(indices_, "indices", 2);
  const auto x = optional_array<const float>(x_, "x", 2);
  const auto g = optional_array<const float>(g_, "g", 2);
  const auto dW_dec = optional_array<float>(dW_dec_, "dW_dec", 2);
  const auto dW_enc = optional_array<float>(dW_enc_, "dW_enc", 2);
  const auto db_enc = optional_array<float>(db_enc_, "db_enc", 1);
  const auto fired = optional_array<int64_t>(fired_, "fired", 1);
  check_threads(threads);
  require(latents >= 0, "num_latents: expected 0 or more, got " + std::to_string(latents));
  check_latents("num_latents", latents);
  require(!dW_dec.data || (values.data && g.data), "dW_dec: needs values and g");
  require(!dW_enc.data || (d_values.data && x.data), "dW_enc: needs d_values and x");
  require(!db_enc.data || d_values.data, "db_enc: needs d_values");
  const int64_t depth = dW_dec.data ? dW_dec.shape[1] : dW_enc.data ? dW_enc.shape[1] : 0;
  const Sparse s = sparse(indices, latents, depth);
  values.expect("values", {s.rows, s.k});
  d_values.expect("d_values", {s.rows, s.k});
  if (dW_enc.data) x.expect("x", {s.rows, depth});
  if (dW_dec.data) g.expect("g", {s.rows, depth});
  dW_dec.expect("dW_dec", {latents, depth});
  dW_enc.expect("dW_enc", {latents, depth});
  db_enc.expect("db_enc", {latents});
  fired.expect("fired", {latents});
  py::gil_scoped_release release;
  latent_grads(s,
               {values.data, d_values.data, x.data, g.data, dW_dec.data, dW_enc.data, db_enc.data,
                fired.data},
               accumulate, threads);
}

}  // namespace
}  // namespace twinsae

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  using py::arg;
  m.doc() = "Native CPU kernels of twinsae. Float32 and int64 numpy arrays, C-contiguous; outputs\n"
            "are written in place. Anything else raises ValueError.";
  m.attr("PANEL") = kPanel;
  m.attr("QUAD") = kQuad;
  m.attr("CHUNK") = kChunk;
  m.attr("BOUNDS_OF_PANEL") = kBoundsOfPanel;
  m.attr("MAX_INT8_DEPTH") = kMaxInt8Depth;
  m.def(
      "isa",
      [] {
        const char* name = current_isa().name;  // raises for an unknown one
        const Int8Isa* int8 = current_int8_isa();
        return int8 ? int8->name : name;
      },
      "Name of the instruction set in use.");
  m.def(
      "int8_planes",
      [](int64_t depth) {
        const Int8Isa* int8 = current_int8_isa();
        return int8 && depth > 0 && depth <= kMaxInt8Depth ? int8->planes(depth) : 0;
      },
      arg("depth"), "Int8 codes kept of each number in rows of this length; 0: no int8 scan.");
  m.def(
      "int8_products",
      [](int64_t depth) {
        const Int8Isa* int8 = current_int8_isa();
        if (!int8 || depth < 1 || depth > kMaxInt8Depth) return 0;
        return int8->planes(depth) == 2 ? 3 : 1;
      },
      arg("depth"), "Int8 products that a scan makes for each of float32; 0: no int8 scan.");
  m.def(
      "int8_roofline",
      [](int threads) {
        check_threads(threads);
        const Int8Isa* int8 = current_int8_isa();
        py::gil_scoped_release release;
        return int8 ? int8_roofline(*int8, threads) : 0.0;
      },
      arg("threads"), "GOP/s of the int8 instructions in registers; 0: there are none.");
  m.def("pack_int8", &bind_pack_int8, arg("weight"), arg("threads"), arg("codes"), arg("bounds"));
  m.def("linear_topk_int8", &bind_linear_topk_int8, arg("x"), arg("weight"), arg("codes"),
        arg("bounds"), arg("bias"), arg("floor"), arg("mask"), arg("threads"), arg("values"),
        arg("indices"), "(survivors, rows redone).");
  m.def("pack_panels", &bind_pack_panels, arg("weight"), arg("threads"), arg("panels"));
  m.def("linear_topk", &bind_linear_topk, arg("x"), arg("weight"), arg("panels"), arg("bias"),
        arg("floor"), arg("mask"), arg("threads"), arg("values"), arg("indices"),
        arg("num_latents"));
  m.def("mutual_topk", &bind_mutual_topk, arg("a"), arg("b"), arg("panels"), arg("threads"),
        arg("row_values"), arg("row_indices"), arg("col_values"), arg("col_indices"));
  m.def("mutual_topk_int8", &bind_mutual_topk_int8, arg("a"), arg("b"), arg("codes"),
        arg("bounds"), arg("threads"), arg("row_values"), arg("row_indices"), arg("col_values"),
        arg("col_indices"), "(survivors, rows redone).");
  m.def("pairs_above", &bind_pairs_above, arg("a"), arg("b"), arg("panels"), arg("row_price"),
        arg("col_price"), arg("margin"), arg("tiles"), arg("capacity"), arg("threads"),
        "(rows, cols, overflow).");
  m.def("pairs_above_int8", &bind_pairs_above_int8, arg("a"), arg("b"), arg("codes"),
        arg("bounds"), arg("row_price"), arg("col_price"), arg("margin"), arg("tiles"),
        arg("capacity"), arg("threads"), "(rows, cols, overflow, survivors).");
  m.def("sparse_decode", &bind_sparse_decode, arg("values"), arg("indices"), arg("weight"),
        arg("bias"), arg("threads"), arg("out"));
  m.def("gather_dot", &bind_gather_dot, arg("rows"), arg("indices"), arg("weight"),
        arg("threads"), arg("out"));
  m.def("decode_error", &bind_decode_error, arg("values"), arg("indices"), arg("weight"),
        arg("bias"), arg("target"), arg("scale"), arg("threads"), arg("squares"), arg("g"),
        arg("d_values"));
  m.def("latent_grads", &bind_latent_grads, arg("values"), arg("d_values"), arg("indices"),
        arg("x"), arg("g"), arg("accumulate"), arg("threads"), arg("num_latents"), arg("dW_dec"),
        arg("dW_enc"), arg("db_enc"), arg("fired"));
}
