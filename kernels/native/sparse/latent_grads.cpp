// The gradients of the latents, by one index of the non-zeros of each latent.
#include <algorithm>

#include "float32/isa.h"
#include "sparse/latent_index.h"
#include "sparse/products.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

// Writes a latent's sum to its row of out, or adds it.
void put_row(const Float32Isa& isa, const LatentSums& sums, int64_t latent, int64_t depth,
             bool accumulate, float* out) {
  float* row = out + latent * depth;
  if (!accumulate) std::fill_n(row, depth, 0.0f);
  sums.add(isa, latent, row);
}

void put_numbers(const LatentIndex& index, int64_t latent, const LatentGrads& grads,
                 bool accumulate) {
  if (grads.db_enc) {
    if (!accumulate) grads.db_enc[latent] = 0.0f;
    grads.db_enc[latent] += index.sum(latent, grads.d_values);
  }
  if (grads.fired) {
    if (!accumulate) grads.fired[latent] = 0;
    grads.fired[latent] += index.count_rows(latent);
  }
}

}  // namespace

void latent_grads(const Sparse& s, const LatentGrads& grads, bool accumulate, int threads) {
  const Float32Isa& isa = current_float32_isa();
  const LatentIndex index(s);
  LatentSums dec(index, grads.values, grads.dW_dec ? grads.g : nullptr, grads.d_out);
  LatentSums enc(index, grads.d_values, grads.dW_enc ? grads.x : nullptr, grads.d_in);
  parallel_for(dec.pieces() + enc.pieces(), threads, [&](int64_t i) {
    if (i < dec.pieces())
      dec.sum_piece(isa, i);
    else
      enc.sum_piece(isa, i - dec.pieces());
  });
  // What needs g comes first, then what needs x: a core's cache may hold one of them but not both.
  const int64_t tasks = (s.latents + kLatentsOfTask - 1) / kLatentsOfTask;
  parallel_for(grads.dW_enc ? 2 * tasks : tasks, threads, [&](int64_t task) {
    const int64_t first = task % tasks * kLatentsOfTask;
    const int64_t last = std::min(s.latents, first + kLatentsOfTask);
    for (int64_t latent = first; latent < last; ++latent) {
      if (task >= tasks) {
        put_row(isa, enc, latent, grads.d_in, accumulate, grads.dW_enc);
        continue;
      }
      if (grads.dW_dec) put_row(isa, dec, latent, grads.d_out, accumulate, grads.dW_dec);
      put_numbers(index, latent, grads, accumulate);
    }
  });
}

}  // namespace twinsae
