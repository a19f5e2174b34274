// Latents quantised and packed for the int8 scan.
#pragma once
#include <cstdint>

#include "int8.h"

namespace twinsae {

inline int64_t quad_count(int64_t depth) { return (depth + kQuad - 1) / kQuad; }

// Packs `count` latents, names[i] of weight (latents, depth) or simply i where names is null, in
// panels (panel_count(count), quad_count(depth), 32, 4), with the bounds of each panel. Lanes past
// the end hold zeros.
void pack_int8(const Int8Isa& isa, const float* weight, const int32_t* names, int64_t count,
               int64_t depth, int threads, int8_t* panels, PanelBounds* bounds);

// The longest row that the int8 scan takes: beyond it a sum might leave int32.
constexpr int64_t kMaxInt8Depth = 60000;
// The most survivors' room that a row is given grows with k.
constexpr int64_t kMaxInt8K = 1024;

}  // namespace twinsae
