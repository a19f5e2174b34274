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

// The squared error of sparse_decode and its gradient for the values, in one pass over the weight's
// rows. With e = sparse_decode - target: squares[n] = |e[n]|^2, g = scale * e, and
// d_values = gather_dot(g), in the bits of the functions above.
struct DecodedError {
  float *squares, *g, *d_values;  // (rows), (rows, depth), (rows, k)
};
void decode_error(const Sparse& s, const float* values, const float* weight, const float* bias,
                  const float* target, float scale, int threads, const DecodedError& out);

// sparse_decode into out, and of each row at once: squares[n] = |out[n] - target[n]|^2, in the bits
// of decode_error, and deviations[n] = |target[n] - centre|^2.
struct DecodedSquares {
  float *out, *squares, *deviations;  // (rows, depth), (rows), (rows)
};
void decode_squares(const Sparse& s, const float* values, const float* weight, const float* bias,
                    const float* target, const float* centre, int threads,
                    const DecodedSquares& out);

constexpr int64_t kPiece = 256;  // non-zeros of a latent that one thread sums at once

// Each output may be null; so may the inputs that it does not need. With `accumulate` it is added
// to, otherwise overwritten.
struct LatentGrads {
  const float *values, *d_values;   // (rows, k)
  const float *x, *g;               // (rows, depth)
  float *dW_dec, *dW_enc, *db_enc;  // (latents, depth) twice, (latents)
  int64_t* fired;                   // (latents)
};
void latent_grads(const Sparse& s, const LatentGrads& grads, bool accumulate, int threads);

}  // namespace twinsae
