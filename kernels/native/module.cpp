// The extension module: what it says of the machine, and the doors of the kernels.
#include "bind.h"

PYBIND11_MODULE(_native, m) {
  using namespace twinsae;
  using pybind11::arg;
  m.doc() = "Native CPU kernels of twinsae. Float32 and int64 numpy arrays, C-contiguous; outputs\n"
            "are written in place. Anything else raises ValueError.";
  m.attr("PANEL") = kPanel;
  m.attr("QUAD") = kQuad;
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
        return int8 && depth > 0 && depth <= kMaxInt8Depth ? int8->planes : 0;
      },
      arg("depth"), "Planes of codes kept of rows of this length; 0: no int8 scan.");
  m.def(
      "int8_quads",
      [](int64_t depth) {
        const Int8Isa* int8 = current_int8_isa();
        return int8 && depth > 0 ? int8->plane_bytes(depth) / kQuad : 0;
      },
      arg("depth"), "Times four bytes that a plane of such a row takes; 0: no int8 scan.");
  m.def(
      "int8_products",
      [](int64_t depth) {
        const Int8Isa* int8 = current_int8_isa();
        if (!int8 || depth < 1 || depth > kMaxInt8Depth) return 0;
        return int8->planes == 2 ? 3 : 1;
      },
      arg("depth"), "Int8 products that a scan makes for each of float32; 0: no int8 scan.");
  m.def(
      "int8_roofline",
      [](int threads) {
        check_threads(threads);
        const Int8Isa* int8 = current_int8_isa();
        pybind11::gil_scoped_release release;
        return int8 ? int8_roofline(*int8, threads) : 0.0;
      },
      arg("threads"), "GOP/s of the scan's instructions in registers; 0: there are none.");
  register_linear(m);
  register_pairs(m);
  register_sparse(m);
}
