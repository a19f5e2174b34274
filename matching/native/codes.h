// How alike latents are in what they do: sums over the tokens on which both of two are active.
#pragma once
#include <cstdint>

namespace twinsae {

// A sparse matrix by rows: row r holds the members[p], with values[p], for p from offsets[r] to
// offsets[r + 1] - 1.
struct SparseRows {
  const int64_t* offsets;  // (count + 1)
  const int32_t* members;
  const float* values;
  int64_t count;
};

// What a similarity needs to know of the latents of one side, of which there are `count`.
struct Latents {
  const double *shift, *scale;
  int64_t count;
};

// S_ij = (d_ij - shift_i shift_j) (scale_i scale_j), where d_ij is the sum over the tokens, in their
// order, of the products of both activations. A latent of scale 0 has S = 0 with all.
struct Similarities {
  SparseRows tokens_of_row;  // A by latents: its members are tokens
  SparseRows cols_of_token;  // B by tokens: its members are latents of B
  Latents rows, cols;
};

// Which pairs to list: those with S_ij - row_price_i - col_price_j > floor, of each
// row and of each column the `most` with the largest such excess, ties to the lower index.
struct Wanted {
  const double *row_price, *col_price;
  double floor;
  int64_t most;
};

// Lists of `most` places each; -1 where there are fewer pairs.
struct Lists {
  int32_t* partners;
  double* values;  // S of the pair
};

struct Best {
  Lists of_rows, of_cols;
  double *row_max, *col_max;  // the largest S of each; -inf where there is none
};

// Looks at all pairs of rows whose scale is not 0 with all columns. Returns the largest excess, -inf
// if there are no pairs. The result does not depend on `threads`.
double best_pairs(const Similarities& s, const Wanted& wanted, int threads, const Best& best);

// S of the pair (rows[e], cols[e]); fastest where pairs of one row follow each other.
void pair_similarities(const Similarities& s, const int32_t* rows, const int32_t* cols,
                       int64_t pairs, int threads, double* values);

// On how many tokens both latents of the pair are active; as above.
void pair_counts(const Similarities& s, const int32_t* rows, const int32_t* cols, int64_t pairs,
                 int threads, int64_t* together);

// Of each latent of codes by tokens: on how many tokens it is active, and its sum and sum of squares.
// Throws std::invalid_argument for an index outside [0, latents), for a latent that a token has
// twice, and for a value that is 0, NaN or infinite.
void sum_codes(const SparseRows& latents_of_token, int64_t latents, int64_t* fired, double* total,
               double* squares);

}  // namespace twinsae
