// Products with matrices of few non-zeros in each row: decoding, its gradient for the values, and
// the gradients of the latents. Rows have k places each, or as many as their offsets say: shapes
// (rows, k) then stand for the number of all places. The caller has checked that indices lie in
// [-1, latents), where -1 adds nothing, and that offsets ascend from 0 to the number of places.
#pragma once
#include <cstdint>

namespace twinsae {

struct Sparse {
  int64_t rows, k, latents, depth;
  const int64_t* indices;      // (rows, k)
  const int64_t* row_offsets;  // (rows + 1), or null: then each row has k places

  int64_t begin(int64_t row) const { return row_offsets ? row_offsets[row] : row * k; }
  int64_t end(int64_t row) const { return begin(row + 1); }
};

// out[n] = bias + sum over j of values[n, j] * weight[indices[n, j]]
void sparse_decode(const Sparse& s, const float* values, const float* weight, const float* bias,
                   int threads, float* out);

// out[n, j] = <left[n], weight[indices[n, j]]>, 0 where the index is -1
void gather_dot(const Sparse& s, const float* left, const float* weight, int threads, float* out);

// Computes the squared error of sparse_decode and its gradient for the values in one pass over the
// rows of weight. With e = sparse_decode - target: squares[n] = |e[n]|^2, g = scale * e, and
// d_values = gather_dot(g), with the same bits as from the functions above.
struct DecodedError {
  float *squares, *g, *d_values;  // (rows), (rows, depth), (rows, k)
};
void decode_error(const Sparse& s, const float* values, const float* weight, const float* bias,
                  const float* target, float scale, int threads, const DecodedError& out);

// Decodes into out and computes squares[n] = |out[n] - target[n]|^2, with the same bits as
// decode_error, and deviations[n] = |target[n] - centre|^2.
struct DecodedSquares {
  float *out, *squares, *deviations;  // (rows, depth), (rows), (rows)
};
void decode_squares(const Sparse& s, const float* values, const float* weight, const float* bias,
                    const float* target, const float* centre, int threads,
                    const DecodedSquares& out);

constexpr int64_t kPiece = 256;  // the most non-zeros of a latent that one thread sums

// Each output may be null, and so may the inputs that no output needs. With `accumulate` the
// gradients are added to what the outputs hold, otherwise they overwrite it. The depth of the
// sparse matrix plays no part.
struct LatentGrads {
  int64_t d_in, d_out;
  const float *values, *d_values;   // (rows, k)
  const float *x, *g;               // (rows, d_in), (rows, d_out)
  float *dW_dec, *dW_enc, *db_enc;  // (latents, d_out), (latents, d_in), (latents)
  int64_t* fired;                   // (latents)
};
void latent_grads(const Sparse& s, const LatentGrads& grads, bool accumulate, int threads);

}  // namespace twinsae
