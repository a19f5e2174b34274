// The gradients of the latents, by one index of the non-zeros of each latent.
#include <algorithm>
#include <vector>

#include "float32/isa.h"
#include "sparse/products.h"
#include "sparse/row_sum.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kLatentsOfTask = 16;

// The places of the non-zeros, sorted by latent and then by place (a counting sort). For the
// indices [[2, 0], [0, -1]] (k = 2), places 1 and 2 hold latent 0 and place 0 holds latent 2, so
// that starts = [0, 2, 2, 3], places = [1, 2, 0] and rows = [0, 1, 0].
struct LatentIndex {
  std::vector<int64_t> starts, places, rows;

  explicit LatentIndex(const Sparse& s) : starts(static_cast<size_t>(s.latents + 1)) {
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
};

// Some or all non-zeros of a latent: those at index.places[begin] to index.places[end - 1].
struct Piece {
  int64_t latent, begin, end;
};

// Latents with more than kPiece non-zeros, cut into pieces of kPiece and a last one with the rest.
// Each piece is summed alone; then the sums of a latent's pieces are added in order. The cuts
// depend on the indices alone, so that the result has the same bits for any number of threads.
struct HeavyLatents {
  std::vector<Piece> pieces;
  std::vector<int64_t> starts;  // first piece of each heavy latent, and the number of pieces
  std::vector<float> dW_dec, dW_enc, db_enc;
  std::vector<int64_t> fired;

  explicit HeavyLatents(const LatentIndex& index) {
    for (size_t latent = 0; latent + 1 < index.starts.size(); ++latent) {
      const int64_t begin = index.starts[latent], end = index.starts[latent + 1];
      if (end - begin <= kPiece) continue;
      starts.push_back(static_cast<int64_t>(pieces.size()));
      for (int64_t at = begin; at < end; at += kPiece)
        pieces.push_back({static_cast<int64_t>(latent), at, std::min(end, at + kPiece)});
    }
    starts.push_back(static_cast<int64_t>(pieces.size()));
  }

  // Returns outputs for the sums of the pieces, filled with zeros, where `wanted` has outputs. The
  // inputs are those of `wanted`.
  LatentGrads sums(const LatentGrads& wanted, int64_t depth) {
    const size_t count = pieces.size(), floats = count * static_cast<size_t>(depth);
    LatentGrads out = wanted;
    if (wanted.dW_dec) dW_dec.resize(floats), out.dW_dec = dW_dec.data();
    if (wanted.dW_enc) dW_enc.resize(floats), out.dW_enc = dW_enc.data();
    if (wanted.db_enc) db_enc.resize(count), out.db_enc = db_enc.data();
    if (wanted.fired) fired.resize(count), out.fired = fired.data();
    return out;
  }
};

float* row_of(float* matrix, int64_t row, int64_t depth) {
  return matrix ? matrix + row * depth : nullptr;
}

// Adds the sums of a piece to row `to` of the outputs.
void add_piece(const Float32Isa& isa, const Sparse& s, const LatentIndex& index, const Piece& piece,
               const LatentGrads& out, int64_t to) {
  RowSum dec(isa, row_of(out.dW_dec, to, s.depth), s.depth);
  RowSum enc(isa, row_of(out.dW_enc, to, s.depth), s.depth);
  float bias = 0.0f;
  int64_t tokens = 0, last = -1;  // a token that has the latent twice counts once
  if (piece.begin > index.starts[piece.latent]) last = index.rows[piece.begin - 1];
  for (int64_t at = piece.begin; at < piece.end; ++at) {
    const int64_t place = index.places[at], token = index.rows[at];
    if (out.dW_dec) dec.add(out.g + token * s.depth, out.values[place]);
    if (out.dW_enc) enc.add(out.x + token * s.depth, out.d_values[place]);
    if (out.db_enc) bias += out.d_values[place];
    tokens += token != last;
    last = token;
  }
  if (out.db_enc) out.db_enc[to] += bias;
  if (out.fired) out.fired[to] += tokens;
}

// Adds the sums of the pieces [begin, end) to the outputs of their latent.
void join_pieces(const Float32Isa& isa, int64_t depth, const LatentGrads& pieces, int64_t begin,
                 int64_t end, const LatentGrads& out, int64_t latent) {
  RowSum dec(isa, row_of(out.dW_dec, latent, depth), depth);
  RowSum enc(isa, row_of(out.dW_enc, latent, depth), depth);
  for (int64_t i = begin; i < end; ++i) {
    dec.add(row_of(pieces.dW_dec, i, depth), 1.0f);
    enc.add(row_of(pieces.dW_enc, i, depth), 1.0f);
    if (out.db_enc) out.db_enc[latent] += pieces.db_enc[i];
    if (out.fired) out.fired[latent] += pieces.fired[i];
  }
}

void clear(const LatentGrads& out, int64_t latent, int64_t depth) {
  if (out.dW_dec) std::fill_n(out.dW_dec + latent * depth, depth, 0.0f);
  if (out.dW_enc) std::fill_n(out.dW_enc + latent * depth, depth, 0.0f);
  if (out.db_enc) out.db_enc[latent] = 0.0f;
  if (out.fired) out.fired[latent] = 0;
}

LatentGrads without_enc(LatentGrads grads) {
  grads.dW_enc = nullptr;
  return grads;
}

LatentGrads enc_alone(LatentGrads grads) {
  grads.dW_dec = grads.db_enc = nullptr;
  grads.fired = nullptr;
  return grads;
}

}  // namespace

void latent_grads(const Sparse& s, const LatentGrads& grads, bool accumulate, int threads) {
  const Float32Isa& isa = current_float32_isa();
  const LatentIndex index(s);
  HeavyLatents heavy(index);
  const LatentGrads sums = heavy.sums(grads, s.depth);
  const int64_t pieces = static_cast<int64_t>(heavy.pieces.size());
  const int64_t blocks = (s.latents + kLatentsOfTask - 1) / kLatentsOfTask;
  // What needs g comes first, then what needs x: a core's cache may hold one of them but not both.
  const LatentGrads half_grads[] = {without_enc(grads), enc_alone(grads)};
  const LatentGrads half_sums[] = {without_enc(sums), enc_alone(sums)};
  const auto run = [&](int64_t task, const LatentGrads& out, const LatentGrads& out_of_pieces) {
    if (task < pieces) return add_piece(isa, s, index, heavy.pieces[task], out_of_pieces, task);
    const int64_t first = (task - pieces) * kLatentsOfTask;
    const int64_t last = std::min(s.latents, first + kLatentsOfTask);
    for (int64_t latent = first; latent < last; ++latent) {
      const Piece all{latent, index.starts[latent], index.starts[latent + 1]};
      if (!accumulate) clear(out, latent, s.depth);
      if (all.end - all.begin <= kPiece) add_piece(isa, s, index, all, out, latent);
    }
  };
  const int64_t tasks = pieces + blocks;
  parallel_for(grads.dW_enc ? 2 * tasks : tasks, threads, [&](int64_t task) {
    run(task % tasks, half_grads[task / tasks], half_sums[task / tasks]);
  });
  parallel_for(static_cast<int64_t>(heavy.starts.size()) - 1, threads, [&](int64_t i) {
    const int64_t begin = heavy.starts[i], end = heavy.starts[i + 1];
    join_pieces(isa, s.depth, sums, begin, end, grads, heavy.pieces[begin].latent);
  });
}

}  // namespace twinsae
