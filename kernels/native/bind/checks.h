// The checks that all bindings share, and the functions that register the bindings.
#pragma once
#include <pybind11/pybind11.h>

#include <limits>

#include "bind/arrays.h"
#include "codes/layout.h"
#include "codes/scans.h"

namespace twinsae {

void register_latent_adam(pybind11::module_& m);
void register_linear(pybind11::module_& m);
void register_linear_above(pybind11::module_& m);
void register_pairs(pybind11::module_& m);
void register_sparse(pybind11::module_& m);

inline void check_threads(int threads) {
  require(threads >= 1 && threads <= 4096,
          "threads: expected 1 to 4096, got " + std::to_string(threads));
}

inline void check_latents(const char* name, int64_t latents) {
  require(latents < std::numeric_limits<int32_t>::max(),
          std::string(name) + ": expected fewer than 2^31 latents, got " + std::to_string(latents));
}

// Checks the panels that pack_panels makes from `latents` rows of length `depth`.
inline void check_panels(const Array<const float>& panels, int64_t latents, int64_t depth) {
  panels.expect("panels", {panel_count(latents), depth, kPanel});
}

constexpr int64_t kBoundsOfPanel = sizeof(PanelBounds) / sizeof(float);

inline const CodesIsa& required_codes_isa(int64_t depth) {
  const CodesIsa* isa = current_codes_isa();
  require(isa != nullptr, "codes: this machine or TWINSAE_CPU_ISA has no instructions for them");
  require(depth >= 1 && depth <= kMaxDepth,
          "depth: expected 1 to " + std::to_string(kMaxDepth) + " for codes, got " +
              std::to_string(depth));
  return *isa;
}

inline void check_codes(const CodesIsa& isa, const Array<const int8_t>& codes,
                        const Array<const float>& bounds, int64_t latents, int64_t depth) {
  codes.expect("codes",
               {panel_count(latents), isa.planes, isa.plane_bytes(depth) / kQuad, kPanel, kQuad});
  bounds.expect("bounds", {panel_count(latents), kBoundsOfPanel});
}

// Takes the codes and bounds that pack_codes made of `latents` rows, or neither.
inline CodePanels code_panels(const CodesIsa& isa, const pybind11::object& codes_,
                              const pybind11::object& bounds_, int64_t latents, int64_t depth) {
  const auto codes = optional_array<const int8_t>(codes_, "codes", 5);
  const auto bounds = optional_array<const float>(bounds_, "bounds", 2);
  require(!codes.data == !bounds.data, "codes, bounds: expected both or none");
  check_codes(isa, codes, bounds, latents, depth);
  return {codes.data, reinterpret_cast<const PanelBounds*>(bounds.data)};
}

}  // namespace twinsae
