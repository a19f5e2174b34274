// The hot float32 loops, compiled once for each instruction set.
#pragma once
#include <cstdint>

namespace twinsae {

constexpr int kPanel = 32;    // latents in one packed panel, for every instruction set
constexpr int kMaxRows = 16;  // the most rows that a tile of any instruction set has

// The numbers of one update by Adam, as torch.optim.Adam computes it. With g = scale * gradient,
//   mean += take * (g - mean)      square = keep_square * square + take_square * g^2
//   weight -= step * mean / (root * sqrt(square) + eps)
// A mean or a square below the least normal number becomes 0: a latent that is never active has
// such numbers in all places after some hundred updates, and many CPUs compute them more slowly.
struct AdamRule {
  float scale, take, keep_square, take_square, step, root, eps;
};

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

  // Updates the row `weight` and its moments by a row of the gradient.
  void (*adam)(const AdamRule& rule, const float* gradient, float* weight, float* mean,
               float* square, int64_t depth);

  // The same with moments in bfloat16, which are rounded up or down at random, so that a change
  // smaller than their last bit is not always lost: kernels/update/rounding.py has the rule.
  void (*adam_bfloat16)(const AdamRule& rule, uint32_t key, int64_t row, const float* gradient,
                        float* weight, uint16_t* mean, uint16_t* square, int64_t depth);

  // codes/bound.h counts how often this rounds.
  float (*dot)(const float* a, const float* b, int64_t depth);
};

extern const Float32Isa portable_isa;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TWINSAE_X86 1
extern const Float32Isa avx2_isa;
extern const Float32Isa avx512_isa;
#elif defined(__aarch64__)
#define TWINSAE_NEON 1
extern const Float32Isa neon_isa;
#endif

// Returns the best instruction set of this machine, or the one that TWINSAE_CPU_ISA names. Throws
// std::invalid_argument if that is unknown or the machine lacks it. (Defined in
// util/choose_isa.cpp.)
const Float32Isa& current_float32_isa();

}  // namespace twinsae
