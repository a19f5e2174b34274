#include "sparse.h"

#include <algorithm>
#include <vector>

#include "isa.h"
#include "parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kRowsOfTask = 16;
constexpr int64_t kLatentsOfTask = 64;

// Adds scaled rows to one output row, a batch at a time and in the order given.
class RowSum {
 public:
  RowSum(const Isa& isa, float* out, int64_t depth) : isa_(isa), out_(out), depth_(depth) {}
  ~RowSum() { flush(); }
  void add(const float* row, float scale) {
    rows_[count_] = row;
    scales_[count_] = scale;
    if (++count_ == kBatch) flush();
  }

 private:
  void flush() {
    isa_.add_rows(out_, rows_, scales_, count_, depth_);
    count_ = 0;
  }
  static constexpr int64_t kBatch = 32;
  const Isa& isa_;
  float* out_;
  int64_t depth_, count_ = 0;
  const float* rows_[kBatch];
  float scales_[kBatch];
};

template <class Body>
void for_rows(const Sparse& s, int threads, const Body& body) {
  parallel_for((s.rows + kRowsOfTask - 1) / kRowsOfTask, threads, [&](int64_t task) {
    const int64_t end = std::min(s.rows, (task + 1) * kRowsOfTask);
    for (int64_t n = task * kRowsOfTask; n < end; ++n) body(n);
  });
}

// The non-zeros by latent, in their own order inside each (a counting sort). For rows [[2, 0],
// [0, -1]] of k = 2: places 1 and 2 name latent 0, place 0 names latent 2, so that
// starts = [0, 2, 2, 3] and places = [1, 2, 0].
struct LatentIndex {
  std::vector<int64_t> starts, places;

  explicit LatentIndex(const Sparse& s) : starts(static_cast<size_t>(s.latents + 1)) {
    const int64_t count = s.rows * s.k;
    for (int64_t i = 0; i < count; ++i)
      if (s.indices[i] >= 0) ++starts[s.indices[i] + 1];
    for (int64_t l = 0; l < s.latents; ++l) starts[l + 1] += starts[l];
    places.resize(static_cast<size_t>(starts[s.latents]));
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    for (int64_t i = 0; i < count; ++i)
      if (s.indices[i] >= 0) places[next[s.indices[i]]++] = i;
  }
};

}  // namespace

void sparse_decode(const Sparse& s, const float* values, const float* weight, const float* bias,
                   int threads, float* out) {
  const Isa& isa = current_isa();
  for_rows(s, threads, [&](int64_t n) {
    float* row = out + n * s.depth;
    if (bias)
      std::copy(bias, bias + s.depth, row);
    else
      std::fill(row, row + s.depth, 0.0f);
    RowSum sum(isa, row, s.depth);
    for (int64_t i = n * s.k; i < (n + 1) * s.k; ++i)
      if (s.indices[i] >= 0) sum.add(weight + s.indices[i] * s.depth, values[i]);
  });
}

void gather_dot(const Sparse& s, const float* left, const float* weight, int threads, float* out) {
  const Isa& isa = current_isa();
  for_rows(s, threads, [&](int64_t n) {
    for (int64_t i = n * s.k; i < (n + 1) * s.k; ++i)
      out[i] = s.indices[i] < 0
                   ? 0.0f
                   : isa.dot(left + n * s.depth, weight + s.indices[i] * s.depth, s.depth);
  });
}

void latent_grads(const Sparse& s, const LatentGrads& grads, int threads) {
  const Isa& isa = current_isa();
  const LatentIndex index(s);
  const auto sum_rows = [&](float* out, const float* scales, const float* rows, int64_t latent) {
    if (!out) return;
    RowSum sum(isa, out + latent * s.depth, s.depth);
    for (int64_t at = index.starts[latent]; at < index.starts[latent + 1]; ++at) {
      const int64_t place = index.places[at];
      sum.add(rows + place / s.k * s.depth, scales[place]);
    }
  };
  parallel_for((s.latents + kLatentsOfTask - 1) / kLatentsOfTask, threads, [&](int64_t task) {
    const int64_t end = std::min(s.latents, (task + 1) * kLatentsOfTask);
    for (int64_t latent = task * kLatentsOfTask; latent < end; ++latent) {
      sum_rows(grads.dW_dec, grads.values, grads.g, latent);
      sum_rows(grads.dW_enc, grads.d_values, grads.x, latent);
      float bias = 0.0f;
      int64_t tokens = 0, last = -1;
      for (int64_t at = index.starts[latent]; at < index.starts[latent + 1]; ++at) {
        const int64_t place = index.places[at];
        if (grads.db_enc) bias += grads.d_values[place];
        tokens += place / s.k != last;
        last = place / s.k;
      }
      if (grads.db_enc) grads.db_enc[latent] += bias;
      if (grads.fired) grads.fired[latent] += tokens;
    }
  });
}

}  // namespace twinsae
