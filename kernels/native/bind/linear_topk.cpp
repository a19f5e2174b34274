// Python bindings of linear_topk and of packing. They check every argument, release the GIL and
// call the kernel.
#include "bind/checks.h"

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

void bind_pack_panels(const object& weight_, int threads, const object& panels_) {
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto panels = array<float>(panels_, "panels", 3);
  check_threads(threads);
  panels.expect("panels", {panel_count(weight.shape[0]), weight.shape[1], kPanel});
  py::gil_scoped_release release;
  pack_panels(weight.data, weight.shape[0], weight.shape[1], threads, panels.data);
}

void bind_pack_codes(const object& weight_, int threads, const object& codes_,
                     const object& bounds_) {
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto codes = array<int8_t>(codes_, "codes", 5);
  const auto bounds = array<float>(bounds_, "bounds", 2);
  check_threads(threads);
  check_latents("weight", weight.shape[0]);
  const int64_t latents = weight.shape[0], depth = weight.shape[1];
  const CodesIsa& isa = required_codes_isa(depth);
  check_codes(isa, {codes.data, codes.shape}, {bounds.data, bounds.shape}, latents, depth);
  py::gil_scoped_release release;
  pack_codes(isa, weight.data, nullptr, latents, depth, threads, codes.data,
             reinterpret_cast<PanelBounds*>(bounds.data));
}

// The arguments that both forms of linear_topk share: all except the latents.
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

  // `latents` is the number in all groups together.
  void check_counts(int64_t latents) const {
    const int64_t groups = values.shape[1], k = values.shape[2];
    require(groups >= 1 && latents >= 0 && latents % groups == 0,
            "values: the number of latents is no multiple of the number of groups");
    require(k >= 1 && k <= latents / groups,
            "k: expected 1 to the latents of a group, got " + std::to_string(k));
  }

  // Checks the other shapes and returns the problem, with the latents in weight or in panels.
  LinearTopK problem(int64_t latents, const float* weight, const float* panels) const {
    const int64_t rows = x.shape[0], groups = values.shape[1], k = values.shape[2];
    bias.expect("bias", {latents});
    floor.expect("floor", {rows});
    mask.expect("mask", {latents});
    values.expect("values", {rows, groups, k});
    indices.expect("indices", {rows, groups, k});
    LinearTopK problem{};
    problem.rows = rows;
    problem.depth = x.shape[1];
    problem.latents = latents / groups;
    problem.groups = groups;
    problem.k = k;
    problem.x = x.data;
    problem.weight = weight;
    problem.panels = panels;
    problem.bias = bias.data;
    problem.floor = floor.data;
    problem.mask = mask.data;
    problem.values = values.data;
    problem.indices = indices.data;
    return problem;
  }
};

void bind_linear_topk(const object& x_, const object& weight_, const object& panels_,
                      const object& bias_, const object& floor_, const object& mask_, int threads,
                      const object& values_, const object& indices_, int64_t latents) {
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

py::tuple bind_linear_topk_codes(const object& x_, const object& weight_, const object& codes_,
                                 const object& bounds_, const object& bias_, const object& floor_,
                                 const object& mask_, int threads, const object& values_,
                                 const object& indices_) {
  const TopKArrays arrays(x_, bias_, floor_, mask_, values_, indices_);
  const auto weight = array<const float>(weight_, "weight", 2);
  check_threads(threads);
  const int64_t depth = arrays.x.shape[1], latents = weight.shape[0];
  check_latents("weight", latents);
  arrays.check_counts(latents);
  weight.expect("weight", {latents, depth});
  const LinearTopK problem = arrays.problem(latents, weight.data, nullptr);
  const CodesIsa& isa = required_codes_isa(depth);
  const CodePanels panels = code_panels(isa, codes_, bounds_, latents, depth);
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    counts = linear_topk_codes(problem, isa, panels, threads);
  }
  return py::make_tuple(counts.survivors, counts.redone);
}

}  // namespace

void register_linear(py::module_& m) {
  using py::arg;
  m.def("pack_panels", &bind_pack_panels, arg("weight"), arg("threads"), arg("panels"));
  m.def("pack_codes", &bind_pack_codes, arg("weight"), arg("threads"), arg("codes"), arg("bounds"));
  m.def("linear_topk", &bind_linear_topk, arg("x"), arg("weight"), arg("panels"), arg("bias"),
        arg("floor"), arg("mask"), arg("threads"), arg("values"), arg("indices"),
        arg("num_latents"));
  m.def("linear_topk_codes", &bind_linear_topk_codes, arg("x"), arg("weight"), arg("codes"),
        arg("bounds"), arg("bias"), arg("floor"), arg("mask"), arg("threads"), arg("values"),
        arg("indices"), "(survivors, rows redone).");
}

}  // namespace twinsae
