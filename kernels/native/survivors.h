// What the int8 scan lets through: for each row, the latents whose score may be among the k best.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "int8.h"

namespace twinsae {

// A row's threshold is a lower bound on its k-th best score: the k-th largest lower bound among
// the survivors so far. Whoever has an upper bound below it is out. A row whose survivors do not
// fit has failed.
class Survivors {
 public:
  Survivors(int64_t rows, int64_t k)
      : k_(k),
        capacity_(capacity(k)),
        upper_(static_cast<size_t>(rows * capacity_)),
        lower_(upper_.size()),
        columns_(upper_.size()),
        counts_(static_cast<size_t>(rows)),
        thresholds_(counts_.size()),
        failed_(counts_.size()) {}

  static int64_t capacity(int64_t k) { return std::max<int64_t>(4096, 8 * k); }
  static constexpr int64_t kBytesEach = 2 * sizeof(float) + sizeof(int32_t);

  void restart(int64_t row, float floor) {
    counts_[row] = 0;
    thresholds_[row] = floor;
    failed_[row] = false;
  }
  void fail(int64_t row) {
    counts_[row] = 0;
    thresholds_[row] = kInfinity;
    failed_[row] = true;
  }

  bool failed(int64_t row) const { return failed_[row]; }
  const float* thresholds(int64_t row) const { return thresholds_.data() + row; }
  int64_t count(int64_t row) const { return counts_[row]; }
  int64_t place(int64_t row) const { return row * capacity_; }  // of its first survivor
  int32_t column(int64_t place) const { return columns_[place]; }
  float& score(int64_t place) { return upper_[place]; }  // replaces the bound
  int64_t row(int64_t place) const { return place / capacity_; }

  // Takes the columns of `bits`, the first of which has number `column`. True: prune the row now.
  bool push(int64_t row, uint32_t bits, const float* upper, const PanelBounds& panel,
            const float* doubts, const RowBound& token, int64_t column) {
    if (failed_[row]) return false;
    for (; bits; bits &= bits - 1) {
      const int c = __builtin_ctz(bits);
      const float error =
          token.norm * panel.slacks[c] + token.residual * panel.lengths[c] + doubts[c];
      const float lower = upper[c] - 2 * error;
      const int64_t at = place(row) + counts_[row]++;
      upper_[at] = std::isnan(upper[c]) ? kInfinity : upper[c];
      lower_[at] = std::isfinite(lower) ? lower : -kInfinity;
      columns_[at] = static_cast<int32_t>(column + c);
    }
    return counts_[row] > capacity_ - kPanel;
  }

  // Raises the row's threshold and drops who is below. exact(column) is a score: where many are
  // left, the scores of the k likeliest make a higher threshold than their bounds.
  template <class Exact>
  void prune(int64_t row, const Exact& exact) {
    if (counts_[row] > k_) raise(row, kth_largest(lower_.data() + place(row), counts_[row], thresholds_[row]));
    if (counts_[row] > kCrowd * k_) {
      const float bar = kth_largest(upper_.data() + place(row), counts_[row], thresholds_[row]);
      float least = kInfinity;
      int64_t found = 0;
      for (int64_t at = place(row); at < place(row) + counts_[row] && found < k_; ++at) {
        if (upper_[at] < bar) continue;
        const float score = exact(columns_[at]);
        least = std::isfinite(score) ? std::min(least, score) : -kInfinity;
        ++found;
      }
      raise(row, least);
    }
    if (counts_[row] > capacity_ / 2) fail(row);
  }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  static constexpr int64_t kCrowd = 32;

  // A number that at least k of the values reach, close to the k-th largest: bisection, which
  // counts the values a few times instead of moving them.
  float kth_largest(const float* values, int64_t count, float least) const {
    float low = least, high = low;
    for (int64_t i = 0; i < count; ++i) high = std::max(high, values[i]);
    if (!std::isfinite(low) || !std::isfinite(high)) return select(values, count);
    if (at_least(values, count, low) < k_) return least;
    for (int step = 0; step < 12; ++step) {
      const float middle = low + (high - low) / 2;
      (at_least(values, count, middle) >= k_ ? low : high) = middle;
    }
    return low;
  }

  static int64_t at_least(const float* values, int64_t count, float bar) {
    int32_t found = 0;
    for (int32_t i = 0; i < static_cast<int32_t>(count); ++i) found += values[i] >= bar;
    return found;
  }

  float select(const float* values, int64_t count) const {
    std::vector<float> copy(values, values + count);
    std::nth_element(copy.begin(), copy.begin() + k_ - 1, copy.end(), std::greater<float>());
    return copy[k_ - 1];
  }

  void raise(int64_t row, float threshold) {
    if (!(threshold > thresholds_[row])) return;
    thresholds_[row] = threshold;
    const int64_t begin = place(row);
    int64_t kept = 0;
    for (int64_t j = begin; j < begin + counts_[row]; ++j) {
      upper_[begin + kept] = upper_[j];
      lower_[begin + kept] = lower_[j];
      columns_[begin + kept] = columns_[j];
      kept += !(upper_[j] < threshold);
    }
    counts_[row] = kept;
  }

  int64_t k_, capacity_;
  std::vector<float> upper_, lower_;
  std::vector<int32_t> columns_;
  std::vector<int64_t> counts_;
  std::vector<float> thresholds_;
  std::vector<uint8_t> failed_;
};

}  // namespace twinsae
