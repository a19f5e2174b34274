// The extension module: facts about the machine, and the kernels' bindings.
#include "bind/checks.h"

namespace twinsae {
namespace {

void register_facts(pybind11::module_& m) {
  using pybind11::arg;
  m.attr("PANEL") = kPanel;
  m.attr("QUAD") = kQuad;
  m.attr("BOUNDS_OF_PANEL") = kBoundsOfPanel;
  m.attr("MAX_CODES_DEPTH") = kMaxDepth;
  m.def(
      "isa",
      [] {
        const char* name = current_float32_isa().name;  // raises for an unknown name
        const CodesIsa* codes = current_codes_isa();
        return codes ? codes->name : name;
      },
      "The name of the instruction set in use.");
  m.def(
      "codes_planes",
      [](int64_t depth) {
        const CodesIsa* codes = current_codes_isa();
        return codes && depth > 0 && depth <= kMaxDepth ? codes->planes : 0;
      },
      arg("depth"), "Planes of codes of a row of this length; 0 where there is no scan of codes.");
  m.def(
      "codes_quads",
      [](int64_t depth) {
        const CodesIsa* codes = current_codes_isa();
        return codes && depth > 0 ? codes->plane_bytes(depth) / kQuad : 0;
      },
      arg("depth"),
      "Bytes of a plane of such a row, divided by four; 0 where there is no scan of codes.");
  m.def(
      "codes_products",
      [](int64_t depth) {
        const CodesIsa* codes = current_codes_isa();
        if (!codes || depth < 1 || depth > kMaxDepth) return 0;
        return codes->planes == 2 ? 3 : 1;
      },
      arg("depth"),
      "Products of codes for each product in float32; 0 where there is no scan of codes.");
  m.def(
      "codes_roofline",
      [](int threads) {
        check_threads(threads);
        const CodesIsa* codes = current_codes_isa();
        pybind11::gil_scoped_release release;
        return codes ? codes_roofline(*codes, threads) : 0.0;
      },
      arg("threads"),
      "GOP/s of the scan's instructions on registers; 0 where there is no scan of codes.");
}

}  // namespace
}  // namespace twinsae

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  m.doc() =
      "The C++ kernels of twinsae, for CPUs. They take C-contiguous numpy arrays and write to\n"
      "outputs in place. A wrong dtype, shape or layout raises ValueError.";
  register_facts(m);
  register_latent_adam(m);
  register_linear(m);
  register_linear_above(m);
  register_pairs(m);
  register_sparse(m);
}
