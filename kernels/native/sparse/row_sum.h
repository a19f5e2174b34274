// Sums of scaled rows.
#pragma once
#include "float32/isa.h"

namespace twinsae {

// Adds scaled rows to one output row in the order given, a batch at a time. Does nothing if the
// output is null.
class RowSum {
 public:
  RowSum(const Float32Isa& isa, float* out, int64_t depth) : isa_(isa), out_(out), depth_(depth) {}
  ~RowSum() { flush(); }
  void add(const float* row, float scale) {
    if (!out_) return;
    rows_[count_] = row;
    scales_[count_] = scale;
    if (++count_ == kBatch) flush();
  }
  // Adds all rows that are waiting; until then they must not change.
  void flush() {
    if (!count_) return;
    isa_.add_rows(out_, rows_, scales_, count_, depth_);
    count_ = 0;
  }

 private:
  static constexpr int64_t kBatch = 32;
  const Float32Isa& isa_;
  float* out_;
  int64_t depth_, count_ = 0;
  const float* rows_[kBatch];
  float scales_[kBatch];
};

}  // namespace twinsae
