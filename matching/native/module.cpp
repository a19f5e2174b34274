// Stored rows for Python: checks every argument, releases the GIL, and calls.
#include <pybind11/pybind11.h>

#include "bind/arrays.h"
#include "rows.h"
#include "util/indices.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

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

void bind_edge_cosines(const object& a_, const std::string& a_dtype, const object& a_scale,
                       const object& a_norm, const object& b_, const std::string& b_dtype,
                       const object& b_scale, const object& b_norm, const object& rows_,
                       const object& cols_, int threads, const object& out_) {
  const StoredRows a = stored_rows("a", a_, a_dtype, a_scale, a_norm);
  const StoredRows b = stored_rows("b", b_, b_dtype, b_scale, b_norm);
  require(a.depth == b.depth,
          "b: expected rows of " + std::to_string(a.depth) + ", got " + std::to_string(b.depth));
  require(threads >= 1, "threads: expected 1 or more, got " + std::to_string(threads));
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
  require(threads >= 1, "threads: expected 1 or more, got " + std::to_string(threads));
  py::gil_scoped_release release;
  check_indices("names", names.data, names.shape[0], rows.count);
  unit_rows(rows, names.data, names.shape[0], threads, out.data);
}

}  // namespace
}  // namespace twinsae

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  using py::arg;
  m.doc() =
      "Rows of dictionaries as they are stored. Numpy arrays, C-contiguous; float16 and bfloat16\n"
      "come as their bits, uint16. Each row times its `scale` has the length `norm` (float64).\n"
      "Outputs are written in place. Anything else raises ValueError.";
  m.def("edge_cosines", &bind_edge_cosines, arg("a"), arg("a_dtype"), arg("a_scale"), arg("a_norm"),
        arg("b"), arg("b_dtype"), arg("b_scale"), arg("b_norm"), arg("rows"), arg("cols"),
        arg("threads"), arg("out"), "Cosines (float64) of the pairs `rows`, `cols` (int32).");
  m.def("unit_rows", &bind_unit_rows, arg("matrix"), arg("dtype"), arg("scale"), arg("norm"),
        arg("names"), arg("threads"), arg("out"),
        "The rows `names` (int64), at length 1 (float32).");
}
