// The scans of float32/scans.h, several times as fast: codes propose candidates, and a float32
// re-score decides. The results are the same.
#pragma once
#include "codes/isa.h"
#include "float32/scans.h"

namespace twinsae {

struct ScanCounts {
  int64_t survivors;  // scores that codes left to be computed in float32, over all rows
  int64_t redone;     // rows that were scored in full
};

// A matrix that pack_codes has packed, or null: then the call packs it.
struct CodePanels {
  const int8_t* panels = nullptr;
  const PanelBounds* bounds = nullptr;
};

// Needs problem.weight.
ScanCounts linear_topk_codes(const LinearTopK& problem, const CodesIsa& isa, CodePanels packed,
                             int threads);
// Needs problem.b.
ScanCounts mutual_topk_codes(const MutualTopK& problem, const CodesIsa& isa, CodePanels packed,
                             int threads);
Pairs pairs_above_codes(const PairsAbove& problem, const CodesIsa& isa, CodePanels packed,
                        int threads, ScanCounts& counts);
// Needs problem.weight.
SparseScores linear_above_codes(const LinearAbove& problem, const CodesIsa& isa, CodePanels packed,
                                int threads, ScanCounts& counts);

}  // namespace twinsae
