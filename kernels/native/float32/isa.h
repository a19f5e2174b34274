// The hot float32 loops, compiled once for each instruction set.
#pragma once
#include <cstdint>

namespace twinsae {

constexpr int kPanel = 32;    // latents in one packed panel, for every instruction set
constexpr int kMaxRows = 16;  // the most rows that a tile of any instruction set has

struct Float32Isa {
  const char* name;
  int tile_rows;

  // out[r, c] = init[c] + sum over i of rows[i, r] * panel[i, c]. Each sum is added in the order of
  // i, so that a score depends on its own row and latent only, not on their places in a tile.
  // Shapes: rows (depth, tile_rows), panel (depth, kPanel), init (kPanel), out (tile_rows, kPanel).
  void (*tile)(const float* rows, const float* panel, const float* init, int64_t depth, float* out);

  // Sets bit c unless scores[c] <= threshold, also for a NaN.
  uint32_t (*not_below)(const float* scores, float threshold);
  uint32_t (*not_below_each)(const float* scores, const float* thresholds);

  // out[d] += sum over j of scales[j] * rows[j][d], added in the order of j.
  void (*add_rows)(float* out, const float* const* rows, const float* scales, int64_t count,
                   int64_t depth);

  // codes/bound.h counts how often this rounds.
  float (*dot)(const float* a, const float* b, int64_t depth);
};

extern const Float32Isa portable_isa;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TWINSAE_X86 1
extern const Float32Isa avx2_isa;
extern const Float32Isa avx512_isa;
#endif

// Returns the best instruction set of this machine, or the one that TWINSAE_CPU_ISA names. Throws
// std::invalid_argument if that is unknown or the machine lacks it. (Defined in
// util/choose_isa.cpp.)
const Float32Isa& current_float32_isa();

}  // namespace twinsae
