#include "sparse/latent_adam.h"

#include <algorithm>
#include <cmath>

#include "sparse/latent_index.h"
#include "sparse/row_sum.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

// Floats of the gradient that are computed before they are used: to take turns after each row took a
// third longer.
constexpr int64_t kBuffer = 16384;

// Computes one row of the gradient at a time.
class Gradient {
 public:
  Gradient(const Float32Isa& isa, const RowGradients& g, int threads) : isa_(isa), g_(g) {
    indices_.reserve(g.terms.size());  // sums_ refers to its members
    for (const Term& term : g.terms) indices_.emplace_back(term.places);
    for (size_t t = 0; t < g.terms.size(); ++t)
      sums_.emplace_back(indices_[t], g.terms[t].scales, g.terms[t].rows, g.depth);
    for (LatentSums& sums : sums_)
      parallel_for(sums.pieces(), threads, [&](int64_t i) { sums.sum_piece(isa, i); });
  }

  void row(int64_t latent, float* out) const {
    std::fill_n(out, g_.depth, 0.0f);
    for (const LatentSums& sums : sums_) sums.add(isa_, latent, out);
    const float* weight = g_.weight + latent * g_.depth;
    if (g_.decay) RowSum(isa_, out, g_.depth).add(weight, g_.decay[latent]);
    if (!g_.unit_rows) return;
    const float along = isa_.dot(out, weight, g_.depth);
    RowSum(isa_, out, g_.depth).add(weight, -along);
  }

  float sum_of_scales(int64_t latent) const {
    float sum = 0.0f;
    for (size_t t = 0; t < indices_.size(); ++t) sum += indices_[t].sum(latent, g_.terms[t].scales);
    return sum;
  }

  int64_t fired(int64_t latent) const {
    return indices_.empty() ? 0 : indices_[0].count_rows(latent);
  }

 private:
  const Float32Isa& isa_;
  const RowGradients& g_;
  std::vector<LatentIndex> indices_;
  std::vector<LatentSums> sums_;
};

void scale_to_unit_norm(const Float32Isa& isa, float* row, int64_t depth) {
  const float norm = std::sqrt(isa.dot(row, row, depth));
  if (norm == 0.0f) return;
  const float factor = 1.0f / norm;
  for (int64_t d = 0; d < depth; ++d) row[d] *= factor;
}

// Some latents one after another, and their rows of the gradient.
struct Rows {
  int64_t first, count;
  const float* gradient;  // (count, depth)
};

void update_rows(const Float32Isa& isa, const AdamRows& all, bool unit_rows, const Rows& rows,
                 int64_t depth) {
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t latent = rows.first + i, at = latent * depth;
    const float* gradient = rows.gradient + i * depth;
    float* weight = all.weight + at;
    if (all.bfloat16)
      isa.adam_bfloat16(all.rule, all.key, latent, gradient, weight,
                        static_cast<uint16_t*>(all.mean) + at,
                        static_cast<uint16_t*>(all.square) + at, depth);
    else
      isa.adam(all.rule, gradient, weight, static_cast<float*>(all.mean) + at,
               static_cast<float*>(all.square) + at, depth);
    if (unit_rows) scale_to_unit_norm(isa, weight, depth);
  }
}

int64_t blocks_of(int64_t latents) { return (latents + kLatentsOfSum - 1) / kLatentsOfSum; }

// Calls body(rows, block) for some latents at a time, those of a block in order.
template <class Body>
void for_gradients(const Gradient& gradient, const RowGradients& g, int threads, const Body& body) {
  const int64_t most = std::clamp<int64_t>(kBuffer / std::max<int64_t>(1, g.depth), 1, 16);
  parallel_for(blocks_of(g.latents), threads, [&](int64_t block) {
    std::vector<float> buffer(static_cast<size_t>(most * g.depth));
    const int64_t end = std::min(g.latents, (block + 1) * kLatentsOfSum);
    for (int64_t first = block * kLatentsOfSum; first < end; first += most) {
      const int64_t count = std::min(most, end - first);
      for (int64_t i = 0; i < count; ++i) gradient.row(first + i, buffer.data() + i * g.depth);
      body(Rows{first, count, buffer.data()}, block);
    }
  });
}

}  // namespace

void latent_adam(const RowGradients& g, const AdamRows& rows, int threads,
                 const LatentTotals& out) {
  const Float32Isa& isa = current_float32_isa();
  const Gradient gradient(isa, g, threads);
  std::vector<float> weighted(static_cast<size_t>(blocks_of(g.latents) * g.depth));
  for_gradients(gradient, g, threads, [&](const Rows& part, int64_t block) {
    RowSum sum(isa, weighted.data() + block * g.depth, g.depth);
    for (int64_t latent = part.first; latent < part.first + part.count; ++latent) {
      out.fired[latent] = gradient.fired(latent);
      out.sums[latent] = gradient.sum_of_scales(latent);
      if (out.sums[latent] != 0.0f) sum.add(g.weight + latent * g.depth, out.sums[latent]);
    }
    sum.flush();
    update_rows(isa, rows, g.unit_rows, part, g.depth);
  });
  std::fill_n(out.weighted, g.depth, 0.0f);
  RowSum total(isa, out.weighted, g.depth);
  for (int64_t block = 0; block < blocks_of(g.latents); ++block)
    total.add(weighted.data() + block * g.depth, 1.0f);
}

double latent_squares(const RowGradients& g, int threads) {
  const Float32Isa& isa = current_float32_isa();
  const Gradient gradient(isa, g, threads);
  std::vector<double> squares(static_cast<size_t>(blocks_of(g.latents)));
  for_gradients(gradient, g, threads, [&](const Rows& rows, int64_t block) {
    for (int64_t i = 0; i < rows.count; ++i) {
      const float* row = rows.gradient + i * g.depth;
      squares[block] += isa.dot(row, row, g.depth);
    }
  });
  double total = 0.0;
  for (const double square : squares) total += square;
  return total;
}

}  // namespace twinsae
