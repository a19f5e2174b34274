// Lists of candidates, one for each row of a block.
#pragma once
#include <cstdint>

namespace twinsae {

// Parallel arrays (rows, capacity); vector registers are stored whole, so that a list needs room
// for 16 places beyond its last.
struct Lists {
  float *upper, *lower;  // bounds on a candidate's score, never NaN
  int32_t* columns;
  int64_t capacity;
  int32_t* counts;        // (rows)
  const int32_t* limits;  // (rows): a longer list must be pruned; a negative one takes nothing
  float* thresholds;      // (rows): candidates with an upper bound below it are left out

  // The lists from row `first` on.
  Lists from(int64_t first) const {
    Lists part = *this;
    part.upper += first * capacity;
    part.lower += first * capacity;
    part.columns += first * capacity;
    part.counts += first;
    part.limits += first;
    part.thresholds += first;
    return part;
  }
};

}  // namespace twinsae
