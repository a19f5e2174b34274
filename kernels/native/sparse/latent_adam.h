// One update by Adam of a matrix with a row for each latent, straight from the batch's non-zeros:
// the gradient of a row lives in a buffer and is never written to memory.
#pragma once
#include <cstdint>
#include <vector>

#include "float32/isa.h"
#include "sparse/products.h"

namespace twinsae {

constexpr int64_t kLatentsOfSum = 128;  // rows that one thread adds up for `weighted`

// A part of the gradient: for each latent, the sum of scales[place] * rows[row of the place].
struct Term {
  Sparse places;
  const float *scales, *rows;  // (places), (places.rows, depth)
};

// The gradient of row l: the sum over all terms, plus decay[l] * weight[l] if there is a decay.
// With unit_rows, the part along weight[l], a row of norm 1, is taken away from that.
struct RowGradients {
  int64_t latents, depth;
  std::vector<Term> terms;
  const float* weight;  // (latents, depth)
  const float* decay;   // (latents), or null
  bool unit_rows;
};

struct AdamRows {
  AdamRule rule;
  float* weight;        // (latents, depth), that of RowGradients
  void *mean, *square;  // (latents, depth), float, or uint16_t for bfloat16
  bool bfloat16;
  uint32_t key;  // of the random bits that round to bfloat16
};

struct LatentTotals {
  float* sums;      // (latents): the sum of all terms' scales
  float* weighted;  // (depth): the sum of sums[l] * weight[l], with weight from before the update
  int64_t* fired;   // (latents): rows of the first term that have the latent
};

// With unit_rows, scales each row to norm 1 after its update; a row of zeros stays as it is.
void latent_adam(const RowGradients& gradients, const AdamRows& rows, int threads,
                 const LatentTotals& out);

// Returns the sum of the squares of all numbers of the gradient.
double latent_squares(const RowGradients& gradients, int threads);

}  // namespace twinsae
