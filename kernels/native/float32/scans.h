// Exact scans in float32 of a product that is never stored, and the problems that they solve.
#pragma once
#include <cstdint>
#include <vector>

namespace twinsae {

// Packs panels of 32 latents, each (depth, 32): panels[p, i, c] = weight[32 p + c, i], 0 past the
// end.
int64_t panel_count(int64_t latents);
void pack_panels(const float* weight, int64_t latents, int64_t depth, int threads, float* panels);

// Returns the latents that a mask (latents) allows.
std::vector<int32_t> eligible(const bool* mask, int64_t latents);

struct LinearTopK {
  int64_t rows, depth, latents, groups, k;  // latents: in one group
  const float* x;                           // (rows, depth)
  const float* weight;  // (groups * latents, depth), or null if there are panels
  const float* panels;  // of all groups * latents latents, or null
  const float* bias;    // (groups * latents) or null
  const float* floor;   // (rows)
  const bool* mask;     // (groups * latents) or null; needs weight
  float* values;        // (rows, groups, k)
  int64_t* indices;     // (rows, groups, k)
};
void linear_topk(const LinearTopK& problem, int threads);

struct MutualTopK {
  int64_t a_rows, b_rows, depth, m;
  bool exact;              // if false, rank by upper bounds and return those bounds as values
  const float* a;          // (a_rows, depth)
  const float* b;          // (b_rows, depth), or null if there are panels
  const float* panels;     // of b, or null
  const float* row_floor;  // (a_rows)
  const float* col_floor;  // (b_rows)
  float* row_values;       // (a_rows, m)
  int64_t* row_indices;
  float* col_values;  // (b_rows, m)
  int64_t* col_indices;
};
void mutual_topk(const MutualTopK& problem, int threads);

// A half-open block of the matrix of pairs.
struct Block {
  int64_t row_start, row_stop, col_start, col_stop;
};

struct PairsAbove {
  int64_t a_rows, b_rows, depth, capacity;
  bool exact;               // if false, list all pairs that bounds on their scores do not rule out
  const float* a;           // (a_rows, depth)
  const float* b;           // (b_rows, depth)
  const double* row_price;  // (a_rows)
  const double* col_price;  // (b_rows)
  double margin;
  const Block* tiles;  // (tile_count), inside the matrix
  int64_t tile_count;

  bool above(int64_t row, int64_t col, float score) const {
    return double{score} > row_price[row] + col_price[col] - margin;
  }
};

struct Pairs {
  std::vector<int64_t> rows, cols;  // sorted by (row, col); empty if they exceed the capacity
  int64_t overflow;                 // how many pairs exceed the capacity
};
Pairs pairs_above(const PairsAbove& problem, const float* panels, int threads);

struct LinearAbove {
  int64_t rows, depth, latents;
  const float* x;          // (rows, depth)
  const float* weight;     // (latents, depth), or null if there are panels
  const float* panels;     // or null
  const float* bias;       // (latents) or null
  const float* threshold;  // (latents)

  bool above(int64_t latent, float score) const { return !(score <= threshold[latent]); }
};

// Scores in compressed rows: those of row n are at the places row_offsets[n] to row_offsets[n + 1],
// by latent.
struct SparseScores {
  std::vector<int64_t> row_offsets, indices;
  std::vector<float> values;
};
SparseScores linear_above(const LinearAbove& problem, int threads);

}  // namespace twinsae
