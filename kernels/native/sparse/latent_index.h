// An index of the non-zeros of each latent, and sums over it.
#pragma once
#include <cstdint>
#include <vector>

#include "float32/isa.h"
#include "sparse/products.h"

namespace twinsae {

constexpr int64_t kLatentsOfTask = 16;

// The places of the non-zeros, sorted by latent and then by place (a counting sort). For the
// indices [[2, 0], [0, -1]] (k = 2), places 1 and 2 hold latent 0 and place 0 holds latent 2, so
// that starts = [0, 2, 2, 3], places = [1, 2, 0] and rows = [0, 1, 0].
struct LatentIndex {
  std::vector<int64_t> starts, places, rows;

  explicit LatentIndex(const Sparse& s);
  int64_t latents() const { return static_cast<int64_t>(starts.size()) - 1; }
  bool empty(int64_t latent) const { return starts[latent] == starts[latent + 1]; }

  // The sum of scales[place] over the places of a latent.
  float sum(int64_t latent, const float* scales) const;

  // The number of rows that have the latent; a row that has it twice counts once.
  int64_t count_rows(int64_t latent) const;
};

// For each latent, the sum of scales[place] * rows[row of the place] over its places.
//
// The places of a heavy latent, one with more than kPiece of them, are cut into pieces of kPiece
// and a last one with the rest. Each piece is summed alone; then the sums are added in order. The
// cuts depend on the indices alone, so that a sum has the same bits for any number of threads.
class LatentSums {
 public:
  // Sums nothing if `rows` is null. Shapes: scales as the places of the index, rows (N, depth).
  LatentSums(const LatentIndex& index, const float* scales, const float* rows, int64_t depth);

  // Call sum_piece once for each piece of heavy latents, on any threads; only then call add.
  int64_t pieces() const { return static_cast<int64_t>(pieces_.size()); }
  void sum_piece(const Float32Isa& isa, int64_t piece);

  // Adds the latent's sum to out (depth).
  void add(const Float32Isa& isa, int64_t latent, float* out) const;

 private:
  struct Piece {
    int64_t begin, end;  // it holds index.places[begin] to index.places[end - 1]
  };
  void add_places(const Float32Isa& isa, const Piece& piece, float* out) const;

  const LatentIndex& index_;
  const float *scales_, *rows_;
  int64_t depth_;
  std::vector<Piece> pieces_;         // of all heavy latents
  std::vector<int64_t> first_piece_;  // (latents): of each latent; unused where it is not heavy
  std::vector<float> sums_;           // (pieces, depth)
};

}  // namespace twinsae
