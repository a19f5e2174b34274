// Stored rows and codes for Python: checks every argument, releases the GIL, and calls.
#include <pybind11/pybind11.h>

#include <algorithm>

#include "bind/arrays.h"
#include "codes.h"
#include "rows.h"
#include "util/indices.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

void check_threads(int threads) {
  require(threads >= 1, "threads: expected 1 or more, got " + std::to_string(threads));
}

// float16 and bfloat16 come as their bits.
StoredRows stored_rows(const char* name, const object& matrix, const std::string& dtype,
                       const object& scale_, const object& norm_) {
  const auto scale = array<const double>(scale_, "scale", 1);
  const auto norm = array<const double>(norm_, "norm", 1);
  const auto rows = [&](Stored type, const auto& values) {
    scale.expect("scale", {values.shape[0]});
    norm.expect("norm", {values.shape[0]});
    return StoredRows{type, values.data, values.shape[0], values.shape[1], scale.data, norm.data};
  };
  if (dtype == "float64") return rows(kFloat64, array<const double>(matrix, name, 2));
  if (dtype == "float32") return rows(kFloat32, array<const float>(matrix, name, 2));
  if (dtype == "float16") return rows(kFloat16, array<const uint16_t>(matrix, name, 2));
  if (dtype == "bfloat16") return rows(kBfloat16, array<const uint16_t>(matrix, name, 2));
  throw std::invalid_argument(std::string(name) + ": unknown dtype " + dtype);
}

int64_t bind_measure_rows(const object& matrix, const std::string& dtype, const object& scale_,
                          const object& norm_, int threads) {
  const StoredRows rows = stored_rows("matrix", matrix, dtype, scale_, norm_);
  const auto scale = array<double>(scale_, "scale", 1);
  const auto norm = array<double>(norm_, "norm", 1);
  check_threads(threads);
  py::gil_scoped_release release;
  return measure_rows(rows, threads, scale.data, norm.data);
}

void bind_edge_cosines(const object& a_, const std::string& a_dtype, const object& a_scale,
                       const object& a_norm, const object& b_, const std::string& b_dtype,
                       const object& b_scale, const object& b_norm, const object& rows_,
                       const object& cols_, int threads, const object& out_) {
  const StoredRows a = stored_rows("a", a_, a_dtype, a_scale, a_norm);
  const StoredRows b = stored_rows("b", b_, b_dtype, b_scale, b_norm);
  require(a.depth == b.depth,
          "b: expected rows of " + std::to_string(a.depth) + ", got " + std::to_string(b.depth));
  check_threads(threads);
  const auto rows = array<const int32_t>(rows_, "rows", 1);
  const auto cols = array<const int32_t>(cols_, "cols", 1);
  const auto out = array<double>(out_, "out", 1);
  cols.expect("cols", rows.shape);
  out.expect("out", rows.shape);
  const int64_t count = rows.shape[0];
  py::gil_scoped_release release;
  check_indices("rows", rows.data, count, a.count);
  check_indices("cols", cols.data, count, b.count);
  edge_cosines(a, b, rows.data, cols.data, count, threads, out.data);
}

void bind_unit_rows(const object& matrix, const std::string& dtype, const object& scale,
                    const object& norm, const object& names_, int threads, const object& out_) {
  const StoredRows rows = stored_rows("matrix", matrix, dtype, scale, norm);
  const auto names = array<const int64_t>(names_, "names", 1);
  const auto out = array<float>(out_, "out", 2);
  out.expect("out", {names.shape[0], rows.depth});
  check_threads(threads);
  py::gil_scoped_release release;
  check_indices("names", names.data, names.shape[0], rows.count);
  unit_rows(rows, names.data, names.shape[0], threads, out.data);
}

struct Compressed {
  Compressed(const object& offsets_, const object& members_, const object& values_)
      : offsets(array<const int64_t>(offsets_, "offsets", 1)),
        members(array<const int32_t>(members_, "members", 1)),
        values(array<const float>(values_, "values", 1)) {
    values.expect("values", members.shape);
    require(offsets.shape[0] >= 1, "offsets: expected one entry or more, got none");
    const int64_t *const first = offsets.data, *const end = first + offsets.shape[0];
    require(*first == 0 && *(end - 1) == members.shape[0] && std::is_sorted(first, end),
            "offsets: expected numbers that do not fall, from 0 to the number of values");
  }
  SparseRows rows() const {
    return {offsets.data, members.data, values.data, offsets.shape[0] - 1};
  }
  Array<const int64_t> offsets;
  Array<const int32_t> members;
  Array<const float> values;
};

// The arguments of a similarity, in the order of `Similarities`.
struct Compared {
  Compared(const py::tuple& tokens_of_row, const py::tuple& cols_of_token, const object& row_shift_,
           const object& row_scale_, const object& col_shift_, const object& col_scale_)
      : a(part(tokens_of_row, "tokens_of_row")),
        b(part(cols_of_token, "cols_of_token")),
        row_shift(array<const double>(row_shift_, "row_shift", 1)),
        row_scale(array<const double>(row_scale_, "row_scale", 1)),
        col_shift(array<const double>(col_shift_, "col_shift", 1)),
        col_scale(array<const double>(col_scale_, "col_scale", 1)) {
    row_shift.expect("row_shift", {a.rows().count});
    row_scale.expect("row_scale", row_shift.shape);
    col_scale.expect("col_scale", col_shift.shape);
  }
  static Compressed part(const py::tuple& given, const char* name) {
    require(given.size() == 3, std::string(name) + ": expected (offsets, members, values)");
    return {given[0], given[1], given[2]};
  }
  Similarities get() const {
    return {a.rows(),
            b.rows(),
            {row_shift.data, row_scale.data, row_shift.shape[0]},
            {col_shift.data, col_scale.data, col_shift.shape[0]}};
  }
  void check_members() const {
    check_indices("tokens_of_row", a.members.data, a.members.shape[0], b.rows().count);
    check_indices("cols_of_token", b.members.data, b.members.shape[0], col_shift.shape[0]);
  }
  Compressed a, b;
  Array<const double> row_shift, row_scale, col_shift, col_scale;
};

double bind_best_pairs(const py::tuple& tokens_of_row, const py::tuple& cols_of_token,
                       const object& row_shift, const object& row_scale, const object& col_shift,
                       const object& col_scale, const object& row_price_, const object& col_price_,
                       double floor, int threads, const object& row_cols_,
                       const object& row_values_, const object& col_rows_,
                       const object& col_values_, const object& row_max_, const object& col_max_) {
  const Compared compared(tokens_of_row, cols_of_token, row_shift, row_scale, col_shift, col_scale);
  const Similarities s = compared.get();
  const auto row_price = array<const double>(row_price_, "row_price", 1);
  const auto col_price = array<const double>(col_price_, "col_price", 1);
  const auto row_cols = array<int32_t>(row_cols_, "row_cols", 2);
  const auto row_values = array<double>(row_values_, "row_values", 2);
  const auto col_rows = array<int32_t>(col_rows_, "col_rows", 2);
  const auto col_values = array<double>(col_values_, "col_values", 2);
  const auto row_max = array<double>(row_max_, "row_max", 1);
  const auto col_max = array<double>(col_max_, "col_max", 1);
  const int64_t most = row_cols.shape[1];
  require(most >= 1, "row_cols: expected lists of 1 or more, got 0");
  check_threads(threads);
  row_price.expect("row_price", {s.rows.count});
  col_price.expect("col_price", {s.cols.count});
  row_cols.expect("row_cols", {s.rows.count, most});
  row_values.expect("row_values", {s.rows.count, most});
  col_rows.expect("col_rows", {s.cols.count, most});
  col_values.expect("col_values", {s.cols.count, most});
  row_max.expect("row_max", {s.rows.count});
  col_max.expect("col_max", {s.cols.count});
  py::gil_scoped_release release;
  compared.check_members();
  return best_pairs(s, {row_price.data, col_price.data, floor, most}, threads,
                    {{row_cols.data, row_values.data},
                     {col_rows.data, col_values.data},
                     row_max.data,
                     col_max.data});
}

// Calls one of the functions of pairs.
template <class Out,
          void (*function)(const Similarities&, const int32_t*, const int32_t*, int64_t, int, Out*)>
void bind_pairs(const py::tuple& tokens_of_row, const py::tuple& cols_of_token,
                const object& row_shift, const object& row_scale, const object& col_shift,
                const object& col_scale, const object& rows_, const object& cols_, int threads,
                const object& out_) {
  const Compared compared(tokens_of_row, cols_of_token, row_shift, row_scale, col_shift, col_scale);
  const Similarities s = compared.get();
  const auto rows = array<const int32_t>(rows_, "rows", 1);
  const auto cols = array<const int32_t>(cols_, "cols", 1);
  const auto out = array<Out>(out_, "out", 1);
  cols.expect("cols", rows.shape);
  out.expect("out", rows.shape);
  check_threads(threads);
  const int64_t pairs = rows.shape[0];
  py::gil_scoped_release release;
  compared.check_members();
  check_indices("rows", rows.data, pairs, s.rows.count);
  check_indices("cols", cols.data, pairs, s.cols.count);
  function(s, rows.data, cols.data, pairs, threads, out.data);
}

void bind_sum_codes(const object& offsets, const object& latents, const object& values,
                    const object& fired_, const object& total_, const object& squares_) {
  const Compressed codes(offsets, latents, values);
  const auto fired = array<int64_t>(fired_, "fired", 1);
  const auto total = array<double>(total_, "total", 1);
  const auto squares = array<double>(squares_, "squares", 1);
  total.expect("total", fired.shape);
  squares.expect("squares", fired.shape);
  py::gil_scoped_release release;
  sum_codes(codes.rows(), fired.shape[0], fired.data, total.data, squares.data);
}

}  // namespace
}  // namespace twinsae

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  using py::arg;
  m.doc() =
      "Rows of dictionaries as they are stored, and codes. Numpy arrays, C-contiguous; float16 "
      "and\n"
      "bfloat16 come as their bits, uint16. Each row times its `scale` has the length `norm`\n"
      "(float64). Codes come as (offsets int64, members int32, values float32), compressed rows.\n"
      "Outputs are written in place. Anything else raises ValueError.";
  m.def("measure_rows", &bind_measure_rows, arg("matrix"), arg("dtype"), arg("scale"), arg("norm"),
        arg("threads"),
        "Writes `scale` and `norm`. Returns the first row with NaN or an infinity, or -1.");
  m.def("edge_cosines", &bind_edge_cosines, arg("a"), arg("a_dtype"), arg("a_scale"), arg("a_norm"),
        arg("b"), arg("b_dtype"), arg("b_scale"), arg("b_norm"), arg("rows"), arg("cols"),
        arg("threads"), arg("out"), "Cosines (float64) of the pairs `rows`, `cols` (int32).");
  m.def("unit_rows", &bind_unit_rows, arg("matrix"), arg("dtype"), arg("scale"), arg("norm"),
        arg("names"), arg("threads"), arg("out"),
        "The rows `names` (int64), at length 1 (float32).");
  m.def("best_pairs", &bind_best_pairs, arg("tokens_of_row"), arg("cols_of_token"),
        arg("row_shift"), arg("row_scale"), arg("col_shift"), arg("col_scale"), arg("row_price"),
        arg("col_price"), arg("floor"), arg("threads"), arg("row_cols"), arg("row_values"),
        arg("col_rows"), arg("col_values"), arg("row_max"), arg("col_max"),
        "The pairs of the largest S - row_price - col_price of each row and column. Returns the\n"
        "largest of all.");
  const auto def_pairs = [&m](const char* name, const auto& function, const char* what) {
    m.def(name, function, arg("tokens_of_row"), arg("cols_of_token"), arg("row_shift"),
          arg("row_scale"), arg("col_shift"), arg("col_scale"), arg("rows"), arg("cols"),
          arg("threads"), arg("out"), what);
  };
  def_pairs("pair_similarities", &bind_pairs<double, pair_similarities>,
            "S (float64) of the pairs `rows`, `cols` (int32).");
  def_pairs("pair_counts", &bind_pairs<int64_t, pair_counts>,
            "On how many tokens (int64) both latents of the pairs `rows`, `cols` are active.");
  m.def("sum_codes", &bind_sum_codes, arg("offsets"), arg("latents"), arg("values"), arg("fired"),
        arg("total"), arg("squares"),
        "Of each latent: tokens on which it is active, sum, squares.");
}
