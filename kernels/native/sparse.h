// Products with k non-zeros a row: decode, its gradient for the values, and the latents' gradients.
// indices (rows, k) lie in [-1, latents): the caller has checked them. -1 adds nothing.
#pragma once
#include <cstdint>

namespace twinsae {

struct Sparse {
  int64_t rows, k, latents, depth;
  const int64_t* indices;  // (rows, k)
};

// out[n] = bias + sum over j of values[n, j] * weight[indices[n, j]]
void sparse_decode(const Sparse& s, const float* values, const float* weight, const float* bias,
                   int threads, float* out);

// out[n, j] = <left[n], weight[indices[n, j]]>, 0 where the index is -1
void gather_dot(const Sparse& s, const float* left, const float* weight, int threads, float* out);

// Each output is added to, and each may be null; so may the inputs that it does not need.
struct LatentGrads {
  const float *values, *d_values;  // (rows, k)
  const float *x, *g;              // (rows, depth)
  float *dW_dec, *dW_enc, *db_enc;  // (latents, depth) twice, (latents)
  int64_t* fired;                   // (latents)
};
void latent_grads(const Sparse& s, const LatentGrads& grads, int threads);

}  // namespace twinsae
