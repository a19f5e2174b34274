// Python bindings of linear_above. They check every argument, release the GIL and call the scan.
#include "bind/checks.h"

#include <memory>

namespace py = pybind11;
using py::object;

namespace twinsae {
namespace {

// Returns a numpy array that owns the numbers, without a copy.
template <class T>
py::array_t<T> owned(std::vector<T>&& numbers) {
  auto keeper = std::make_unique<std::vector<T>>(std::move(numbers));
  const auto size = static_cast<py::ssize_t>(keeper->size());
  T* data = keeper->data();
  const py::capsule capsule(keeper.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  keeper.release();
  return py::array_t<T>(size, data, capsule);
}

LinearAbove problem_of(const Array<const float>& x, int64_t latents, const float* weight,
                       const float* panels, const Array<const float>& bias,
                       const Array<const float>& threshold) {
  check_latents("weight", latents);
  check_latents("x", x.shape[0]);
  bias.expect("bias", {latents});
  threshold.expect("threshold", {latents});
  return {x.shape[0], x.shape[1], latents, x.data, weight, panels, bias.data, threshold.data};
}

py::tuple bind_linear_above(const object& x_, const object& weight_, const object& panels_,
                            const object& bias_, const object& threshold_, int threads) {
  const auto x = array<const float>(x_, "x", 2);
  const auto weight = optional_array<const float>(weight_, "weight", 2);
  const auto panels = optional_array<const float>(panels_, "panels", 3);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto threshold = array<const float>(threshold_, "threshold", 1);
  check_threads(threads);
  const int64_t latents = threshold.shape[0], depth = x.shape[1];
  require(!weight.data != !panels.data, "weight, panels: expected one of them, not both");
  weight.expect("weight", {latents, depth});
  check_panels(panels, latents, depth);
  const LinearAbove problem = problem_of(x, latents, weight.data, panels.data, bias, threshold);
  SparseScores scores;
  {
    py::gil_scoped_release release;
    scores = linear_above(problem, threads);
  }
  return py::make_tuple(owned(std::move(scores.row_offsets)), owned(std::move(scores.indices)),
                        owned(std::move(scores.values)));
}

py::tuple bind_linear_above_codes(const object& x_, const object& weight_, const object& codes_,
                                  const object& bounds_, const object& bias_,
                                  const object& threshold_, int threads) {
  const auto x = array<const float>(x_, "x", 2);
  const auto weight = array<const float>(weight_, "weight", 2);
  const auto bias = optional_array<const float>(bias_, "bias", 1);
  const auto threshold = array<const float>(threshold_, "threshold", 1);
  check_threads(threads);
  const int64_t latents = threshold.shape[0], depth = x.shape[1];
  weight.expect("weight", {latents, depth});
  const LinearAbove problem = problem_of(x, latents, weight.data, nullptr, bias, threshold);
  const CodesIsa& isa = required_codes_isa(depth);
  const CodePanels panels = code_panels(isa, codes_, bounds_, latents, depth);
  SparseScores scores;
  ScanCounts counts{};
  {
    py::gil_scoped_release release;
    scores = linear_above_codes(problem, isa, panels, threads, counts);
  }
  return py::make_tuple(owned(std::move(scores.row_offsets)), owned(std::move(scores.indices)),
                        owned(std::move(scores.values)), counts.survivors);
}

}  // namespace

void register_linear_above(py::module_& m) {
  using py::arg;
  m.def("linear_above", &bind_linear_above, arg("x"), arg("weight"), arg("panels"), arg("bias"),
        arg("threshold"), arg("threads"), "(row_offsets, indices, values).");
  m.def("linear_above_codes", &bind_linear_above_codes, arg("x"), arg("weight"), arg("codes"),
        arg("bounds"), arg("bias"), arg("threshold"), arg("threads"),
        "(row_offsets, indices, values, survivors).");
}

}  // namespace twinsae
