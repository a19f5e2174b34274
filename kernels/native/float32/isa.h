// The hot loops, compiled once for each instruction set, and the choice between them at run time.
#pragma once
#include <cstdint>

namespace twinsae {

constexpr int kPanel = 32;    // latents in one packed panel, whatever the instruction set
constexpr int kMaxRows = 16;  // no instruction set's tile has more rows than this

struct Float32Isa {
  const char* name;
  int tile_rows;

  // out[r, c] = init[c] + sum over i of rows[i, r] * panel[i, c], each a chain of additions in the
  // order of i: a score depends on its own row and latent only, not on where they stand in a tile.
  // rows (depth, tile_rows), panel (depth, kPanel), init (kPanel), out (tile_rows, kPanel).
  void (*tile)(const float* rows, const float* panel, const float* init, int64_t depth, float* out);

  // Bit c is set unless scores[c] <= threshold; so it is set for a NaN.
  uint32_t (*not_below)(const float* scores, float threshold);
  uint32_t (*not_below_each)(const float* scores, const float* thresholds);

  // out[d] += sum over j of scales[j] * rows[j][d], added one after another in the order of j.
  void (*add_rows)(float* out, const float* const* rows, const float* scales, int64_t count,
                   int64_t depth);

  float (*dot)(const float* a, const float* b, int64_t depth);
};

extern const Float32Isa portable_isa;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TWINSAE_X86 1
extern const Float32Isa avx2_isa;
extern const Float32Isa avx512_isa;
#endif

// The best instruction set of this machine, or the one that TWINSAE_CPU_ISA names.
// Throws std::invalid_argument when that is unknown or the machine lacks it.
const Float32Isa& current_float32_isa();

}  // namespace twinsae
