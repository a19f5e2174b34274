// Python bindings of the updates by Adam.
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <tuple>

#include "bind/checks.h"
#include "bind/places.h"
#include "sparse/latent_adam.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

// (scales, indices, row_offsets, rows); scales and indices are (N, k), or (P) with row offsets.
using TermOfPython = std::tuple<object, object, object, object>;

Term term(const TermOfPython& given, int64_t latents, int64_t depth) {
  const auto& [scales_, indices_, row_offsets_, rows_] = given;
  const Places places(indices_, row_offsets_);
  const auto scales = array<const float>(scales_, "scales", places.dims);
  const auto rows = array<const float>(rows_, "rows", 2);
  const Sparse s = places.sparse(latents, depth);
  scales.expect("scales", places.indices.shape);
  rows.expect("rows", {s.rows, depth});
  return {s, scales.data, rows.data};
}

template <class Weight>
RowGradients gradients(const Array<Weight>& weight, const std::vector<TermOfPython>& terms,
                       const object& decay_, bool unit_rows) {
  const auto decay = optional_array<const float>(decay_, "decay", 1);
  check_latents("weight", weight.shape[0]);
  decay.expect("decay", {weight.shape[0]});
  RowGradients out{weight.shape[0], weight.shape[1], {}, weight.data, decay.data, unit_rows};
  for (const TermOfPython& given : terms) out.terms.push_back(term(given, out.latents, out.depth));
  return out;
}

template <class Number>
void* moment(const object& given, const char* name, const std::vector<int64_t>& shape) {
  const auto out = array<Number>(given, name, 2);
  out.expect(name, shape);
  return out.data;
}

void bind_latent_adam(const object& weight_, const object& mean_, const object& square_,
                      const std::vector<TermOfPython>& terms, const object& decay, bool unit_rows,
                      const std::array<float, 7>& rule, std::optional<uint32_t> key, int threads,
                      const object& sums_, const object& weighted_, const object& fired_) {
  const auto weight = array<float>(weight_, "weight", 2);
  const auto sums = array<float>(sums_, "sums", 1);
  const auto weighted = array<float>(weighted_, "weighted", 1);
  const auto fired = array<int64_t>(fired_, "fired", 1);
  check_threads(threads);
  const RowGradients g = gradients(weight, terms, decay, unit_rows);
  const auto& moments = key ? moment<uint16_t> : moment<float>;
  AdamRows rows{};
  rows.rule = {rule[0], rule[1], rule[2], rule[3], rule[4], rule[5], rule[6]};
  rows.weight = weight.data;
  rows.mean = moments(mean_, "exp_avg", weight.shape);
  rows.square = moments(square_, "exp_avg_sq", weight.shape);
  rows.bfloat16 = key.has_value();
  rows.key = key.value_or(0);
  sums.expect("sums", {g.latents});
  weighted.expect("weighted", {g.depth});
  fired.expect("fired", {g.latents});
  py::gil_scoped_release release;
  latent_adam(g, rows, threads, {sums.data, weighted.data, fired.data});
}

double bind_latent_squares(const object& weight_, const std::vector<TermOfPython>& terms,
                           const object& decay, bool unit_rows, int threads) {
  const auto weight = array<const float>(weight_, "weight", 2);
  check_threads(threads);
  const RowGradients g = gradients(weight, terms, decay, unit_rows);
  py::gil_scoped_release release;
  return latent_squares(g, threads);
}

}  // namespace

void register_latent_adam(py::module_& m) {
  using py::arg;
  m.def("latent_adam", &bind_latent_adam, arg("weight"), arg("exp_avg"), arg("exp_avg_sq"),
        arg("terms"), arg("decay"), arg("unit_rows"), arg("rule"), arg("key"), arg("threads"),
        arg("sums"), arg("weighted"), arg("fired"));
  m.def("latent_squares", &bind_latent_squares, arg("weight"), arg("terms"), arg("decay"),
        arg("unit_rows"), arg("threads"));
}

}  // namespace twinsae
