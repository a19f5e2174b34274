// Lists of survivors that wait for their scores, for rows whose thresholds do not change.
#pragma once
#include <cstdint>
#include <vector>

#include "codes/lists.h"
#include "float32/isa.h"

namespace twinsae {

// The lists of the rows of one block of tokens. One thread uses them.
class Waiting {
 public:
  explicit Waiting(int64_t rows)
      : bounds_(static_cast<size_t>(2 * rows * kRoom)),
        columns_(static_cast<size_t>(rows * kRoom)),
        counts_(static_cast<size_t>(rows)),
        limits_(counts_.size(), kPatience),
        thresholds_(counts_.size()) {}

  int64_t rows() const { return static_cast<int64_t>(counts_.size()); }
  void set_threshold(int64_t r, float threshold) { thresholds_[r] = threshold; }
  // Lets row r take survivors, or none.
  void open(int64_t r, bool takes) { limits_[r] = takes ? kPatience : -1; }
  Lists lists() {
    Lists lists{};
    lists.upper = bounds_.data();
    lists.lower = bounds_.data() + rows() * kRoom;
    lists.columns = columns_.data();
    lists.capacity = kRoom;
    lists.counts = counts_.data();
    lists.limits = limits_.data();
    lists.thresholds = thresholds_.data();
    return lists;
  }
  // Calls take(column) for each survivor of row r in the order of the scan, and empties the list.
  // Returns how many there were.
  template <class Take>
  int64_t empty(int64_t r, const Take& take) {
    const int64_t count = counts_[r];
    for (int64_t j = 0; j < count; ++j) take(columns_[r * kRoom + j]);
    counts_[r] = 0;
    return count;
  }

 private:
  static constexpr int64_t kRoom = 128;  // the most survivors of a row that wait
  static constexpr int64_t kPatience = kRoom - kPanel - 16;
  std::vector<float> bounds_;  // upper bounds of all rows, then lower bounds
  std::vector<int32_t> columns_, counts_, limits_;
  std::vector<float> thresholds_;
};

}  // namespace twinsae
