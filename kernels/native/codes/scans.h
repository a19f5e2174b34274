// The scans of float32/scans.h by codes that propose and a float32 re-score that decides: the same
// results, several times as fast.
#pragma once
#include "codes/isa.h"
#include "float32/scans.h"

namespace twinsae {

struct ScanCounts {
  int64_t survivors;  // scores that the scan of codes left to compute in float32, over all rows
  int64_t redone;     // rows that it could not bound
};

// A matrix packed by pack_codes, or nothing: then each call packs it.
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

}  // namespace twinsae
