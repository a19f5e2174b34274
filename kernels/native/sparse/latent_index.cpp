#include "sparse/latent_index.h"

#include <algorithm>

#include "sparse/row_sum.h"

namespace twinsae {

LatentIndex::LatentIndex(const Sparse& s) : starts(static_cast<size_t>(s.latents + 1)) {
  for (int64_t i = 0; i < s.begin(s.rows); ++i)
    if (s.indices[i] >= 0) ++starts[s.indices[i] + 1];
  for (int64_t l = 0; l < s.latents; ++l) starts[l + 1] += starts[l];
  places.resize(static_cast<size_t>(starts[s.latents]));
  rows.resize(places.size());
  std::vector<int64_t> next(starts.begin(), starts.end() - 1);
  for (int64_t row = 0; row < s.rows; ++row)
    for (int64_t i = s.begin(row); i < s.end(row); ++i) {
      if (s.indices[i] < 0) continue;
      const int64_t at = next[s.indices[i]]++;
      places[at] = i;
      rows[at] = row;
    }
}

float LatentIndex::sum(int64_t latent, const float* scales) const {
  float total = 0.0f;
  for (int64_t begin = starts[latent]; begin < starts[latent + 1]; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, starts[latent + 1]);
    float part = 0.0f;
    for (int64_t at = begin; at < end; ++at) part += scales[places[at]];
    total += part;
  }
  return total;
}

int64_t LatentIndex::count_rows(int64_t latent) const {
  int64_t count = 0, last = -1;
  for (int64_t at = starts[latent]; at < starts[latent + 1]; ++at) {
    count += rows[at] != last;
    last = rows[at];
  }
  return count;
}

LatentSums::LatentSums(const LatentIndex& index, const float* scales, const float* rows,
                       int64_t depth)
    : index_(index), scales_(scales), rows_(rows), depth_(depth) {
  if (!rows) return;
  first_piece_.resize(static_cast<size_t>(index.latents()));
  for (int64_t latent = 0; latent < index.latents(); ++latent) {
    const int64_t begin = index.starts[latent], end = index.starts[latent + 1];
    if (end - begin <= kPiece) continue;
    first_piece_[latent] = pieces();
    for (int64_t at = begin; at < end; at += kPiece)
      pieces_.push_back({at, std::min(end, at + kPiece)});
  }
  sums_.resize(pieces_.size() * static_cast<size_t>(depth));
}

void LatentSums::sum_piece(const Float32Isa& isa, int64_t piece) {
  add_places(isa, pieces_[piece], sums_.data() + piece * depth_);
}

void LatentSums::add(const Float32Isa& isa, int64_t latent, float* out) const {
  const Piece all{index_.starts[latent], index_.starts[latent + 1]};
  if (all.end - all.begin <= kPiece) return add_places(isa, all, out);
  RowSum sum(isa, out, depth_);
  int64_t piece = first_piece_[latent];
  for (int64_t at = all.begin; at < all.end; at += kPiece)
    sum.add(sums_.data() + piece++ * depth_, 1.0f);
}

void LatentSums::add_places(const Float32Isa& isa, const Piece& piece, float* out) const {
  RowSum sum(isa, out, depth_);
  for (int64_t at = piece.begin; at < piece.end; ++at)
    sum.add(rows_ + index_.rows[at] * depth_, scales_[index_.places[at]]);
}

}  // namespace twinsae
