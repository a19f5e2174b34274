// Python bindings of the sparse products.
#include "bind/checks.h"
#include "bind/places.h"
#include "sparse/products.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

void bind_sparse_decode(const object& values_, const object& indices_, const object& row_offsets_,
                        const object& weight_, const object& bias_, int threads,
                        const object& out_) {
  const Places places(indices_, row_offsets_);
  const auto values = array<const float>(values_, "values", places.dims);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto out = array<float>(out_, "out", 2);
  check_threads(threads);
  const Sparse s = places.sparse(weight.shape[0], weight.shape[1]);
  values.expect("values", places.indices.shape);
  bias.expect("bias", {s.depth});
  out.expect("out", {s.rows, s.depth});
  py::gil_scoped_release release;
  sparse_decode(s, values.data, weight.data, bias.data, threads, out.data);
}

void bind_gather_dot(const object& rows_, const object& indices_, const object& row_offsets_,
                     const object& weight_, int threads, const object& out_) {
  const Places places(indices_, row_offsets_);
  const auto rows = array<const float>(rows_, "rows", 2);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto out = array<float>(out_, "out", places.dims);
  check_threads(threads);
  const Sparse s = places.sparse(weight.shape[0], weight.shape[1]);
  rows.expect("rows", {s.rows, s.depth});
  out.expect("out", places.indices.shape);
  py::gil_scoped_release release;
  gather_dot(s, rows.data, weight.data, threads, out.data);
}

void bind_decode_error(const object& values_, const object& indices_, const object& row_offsets_,
                       const object& weight_, const object& bias_, const object& target_,
                       float scale, int threads, const object& squares_, const object& g_,
                       const object& d_values_) {
  const Places places(indices_, row_offsets_);
  const auto values = array<const float>(values_, "values", places.dims);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto target = array<const float>(target_, "target", 2);
  const auto squares = array<float>(squares_, "squares", 1);
  const auto g = array<float>(g_, "g", 2);
  const auto d_values = array<float>(d_values_, "d_values", places.dims);
  check_threads(threads);
  const Sparse s = places.sparse(weight.shape[0], weight.shape[1]);
  values.expect("values", places.indices.shape);
  bias.expect("bias", {s.depth});
  target.expect("target", {s.rows, s.depth});
  squares.expect("squares", {s.rows});
  g.expect("g", {s.rows, s.depth});
  d_values.expect("d_values", places.indices.shape);
  py::gil_scoped_release release;
  decode_error(s, values.data, weight.data, bias.data, target.data, scale, threads,
               {squares.data, g.data, d_values.data});
}

void bind_decode_squares(const object& values_, const object& indices_, const object& weight_,
                         const object& bias_, const object& target_, const object& centre_,
                         int threads, const object& out_, const object& squares_,
                         const object& deviations_) {
  const Places places(indices_, py::none());
  const auto values = array<const float>(values_, "values", places.dims);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto target = array<const float>(target_, "target", 2);
  const auto centre = array<const float>(centre_, "centre", 1);
  const auto out = array<float>(out_, "out", 2);
  const auto squares = array<float>(squares_, "squares", 1);
  const auto deviations = array<float>(deviations_, "deviations", 1);
  check_threads(threads);
  const Sparse s = places.sparse(weight.shape[0], weight.shape[1]);
  values.expect("values", places.indices.shape);
  bias.expect("bias", {s.depth});
  target.expect("target", {s.rows, s.depth});
  centre.expect("centre", {s.depth});
  out.expect("out", {s.rows, s.depth});
  squares.expect("squares", {s.rows});
  deviations.expect("deviations", {s.rows});
  py::gil_scoped_release release;
  decode_squares(s, values.data, weight.data, bias.data, target.data, centre.data, threads,
                 {out.data, squares.data, deviations.data});
}

void bind_latent_grads(const object& values_, const object& d_values_, const object& indices_,
                       const object& row_offsets_, const object& x_, const object& g_,
                       bool accumulate, int threads, int64_t latents, const object& dW_dec_,
                       const object& dW_enc_, const object& db_enc_, const object& fired_) {
  const Places places(indices_, row_offsets_);
  const auto values = optional_array<const float>(values_, "values", places.dims);
  const auto d_values = optional_array<const float>(d_values_, "d_values", places.dims);
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
  const int64_t d_out = dW_dec.data ? dW_dec.shape[1] : 0;
  const int64_t d_in = dW_enc.data ? dW_enc.shape[1] : 0;
  const Sparse s = places.sparse(latents, 0);
  values.expect("values", places.indices.shape);
  d_values.expect("d_values", places.indices.shape);
  if (dW_enc.data) x.expect("x", {s.rows, d_in});
  if (dW_dec.data) g.expect("g", {s.rows, d_out});
  dW_dec.expect("dW_dec", {latents, d_out});
  dW_enc.expect("dW_enc", {latents, d_in});
  db_enc.expect("db_enc", {latents});
  fired.expect("fired", {latents});
  py::gil_scoped_release release;
  LatentGrads grads{};
  grads.d_in = d_in;
  grads.d_out = d_out;
  grads.values = values.data;
  grads.d_values = d_values.data;
  grads.x = x.data;
  grads.g = g.data;
  grads.dW_dec = dW_dec.data;
  grads.dW_enc = dW_enc.data;
  grads.db_enc = db_enc.data;
  grads.fired = fired.data;
  latent_grads(s, grads, accumulate, threads);
}

}  // namespace

void register_sparse(py::module_& m) {
  using py::arg;
  m.def("sparse_decode", &bind_sparse_decode, arg("values"), arg("indices"), arg("row_offsets"),
        arg("weight"), arg("bias"), arg("threads"), arg("out"));
  m.def("gather_dot", &bind_gather_dot, arg("rows"), arg("indices"), arg("row_offsets"),
        arg("weight"), arg("threads"), arg("out"));
  m.def("decode_error", &bind_decode_error, arg("values"), arg("indices"), arg("row_offsets"),
        arg("weight"), arg("bias"), arg("target"), arg("scale"), arg("threads"), arg("squares"),
        arg("g"), arg("d_values"));
  m.def("decode_squares", &bind_decode_squares, arg("values"), arg("indices"), arg("weight"),
        arg("bias"), arg("target"), arg("centre"), arg("threads"), arg("out"), arg("squares"),
        arg("deviations"));
  m.def("latent_grads", &bind_latent_grads, arg("values"), arg("d_values"), arg("indices"),
        arg("row_offsets"), arg("x"), arg("g"), arg("accumulate"), arg("threads"),
        arg("num_latents"), arg("dW_dec"), arg("dW_enc"), arg("db_enc"), arg("fired"));
}

}  // namespace twinsae
