// The survivors of a scan of codes: for each row, the columns whose score may be among its k best.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "codes/isa.h"
#include "util/scratch.h"

namespace twinsae {

// A row's threshold is a lower bound on its k-th best score: the k-th largest lower bound among the
// survivors so far, or the least of k exact scores. A candidate whose upper bound is below the
// threshold cannot be in the result. A row whose survivors do not fit fails: it must be scored in
// full.
class Survivors {
 public:
  Survivors(const CodesIsa& isa, int64_t rows, int64_t k, int64_t capacity)
      : isa_(isa),
        k_(k),
        capacity_(capacity),
        upper_(rows * capacity_),
        lower_(rows * capacity_),
        columns_(rows * capacity_),
        counts_(static_cast<size_t>(rows)),
        limits_(counts_.size()),
        thresholds_(counts_.size()) {}

  // Returns how many survivors a row has room for; `close` is that of CodesIsa.
  static int64_t capacity(int64_t k, bool close) {
    return close ? 4 * k + 256 : std::max<int64_t>(4096, 8 * k);
  }
  static constexpr int64_t kBytesEach = 2 * sizeof(float) + sizeof(int32_t);

  void restart(int64_t row, float floor) {
    counts_[row] = 0;
    thresholds_[row] = floor;
    set_limit(row);
  }
  void fail(int64_t row) {
    counts_[row] = 0;
    limits_[row] = -1;
  }

  bool failed(int64_t row) const { return limits_[row] < 0; }
  int64_t count(int64_t row) const { return counts_[row]; }
  int64_t place(int64_t row) const { return row * capacity_; }  // of the row's first survivor
  int64_t row(int64_t place) const { return place / capacity_; }
  int32_t column(int64_t place) const { return columns_[place]; }
  float score(int64_t place) const { return upper_[place]; }  // of a settled survivor

  // A survivor is settled when its score has replaced both bounds.
  bool settled(int64_t place) const { return upper_[place] == lower_[place]; }
  void settle(int64_t place, float score) {
    upper_[place] = score;
    lower_[place] = score;
  }

  Lists lists(int64_t first_row) {
    Lists lists{};
    lists.upper = upper_.data();
    lists.lower = lower_.data();
    lists.columns = columns_.data();
    lists.capacity = capacity_;
    lists.counts = counts_.data();
    lists.limits = limits_.data();
    lists.thresholds = thresholds_.data();
    return lists.from(first_row);
  }

  // Raises the row's threshold to what its survivors prove, and drops those below. If that leaves
  // little room, the k likeliest survivors are scored by exact(column), and if it still does, all
  // are.
  template <class Exact>
  void prune(int64_t row, const Exact& exact) {
    raise(row, 0, known_kth(row));
    if (crowded(row)) {
      settle_first(row, likeliest_first(row), exact);
      raise(row, 0, known_kth(row));
    }
    if (crowded(row)) {
      settle_first(row, counts_[row], exact);
      raise(row, 0, known_kth(row));
    }
    make_room(row);
  }

  // Keeps the survivors with the k largest upper bounds, whatever their scores.
  void keep_largest(int64_t row) {
    raise(row, 0, isa_.kth_largest(upper_.data() + place(row), counts_[row], k_, thresholds_[row]));
    make_room(row);
  }

  // Moves the survivors with the largest upper bounds, at least k, to the front. Returns how many.
  int64_t likeliest_first(int64_t row) {
    const int64_t begin = place(row), count = counts_[row];
    constexpr float kLeast = -std::numeric_limits<float>::infinity();
    const float bar = isa_.kth_largest(upper_.data() + begin, count, k_, kLeast);
    int64_t front = 0;
    for (int64_t j = 0; j < count; ++j)
      if (upper_[begin + j] >= bar) swap(begin + j, begin + front++);
    return front;
  }

  // Drops the survivors behind the first `front` that the exact scores of these rule out.
  void drop_behind(int64_t row, int64_t front) {
    float least = std::numeric_limits<float>::infinity();
    for (int64_t j = 0; j < front; ++j) least = std::min(least, known(score(place(row) + j)));
    raise(row, front, least);
  }

 private:
  static float known(float score) {
    return std::isfinite(score) ? score : -std::numeric_limits<float>::infinity();
  }
  // A list is pruned above this length: a panel may add 32, and vector registers are stored whole.
  int64_t most() const { return capacity_ - kPanel - 16; }
  bool crowded(int64_t row) const { return counts_[row] > most() / 2; }
  void make_room(int64_t row) {
    if (counts_[row] + kPanel > most())
      fail(row);
    else
      set_limit(row);
  }

  // Returns a bound that k survivors reach, or the threshold if that is more.
  float known_kth(int64_t row) const {
    return isa_.kth_largest(lower_.data() + place(row), counts_[row], k_, thresholds_[row]);
  }

  // Replaces unsettled bounds of the first `count` survivors by exact scores; skips non-finite
  // scores.
  template <class Exact>
  void settle_first(int64_t row, int64_t count, const Exact& exact) {
    for (int64_t at = place(row); at < place(row) + count; ++at) {
      if (settled(at)) continue;
      const float score = exact(columns_[at]);
      if (std::isfinite(score)) settle(at, score);
    }
  }

  void set_limit(int64_t row) {
    const int64_t room = std::max<int64_t>({64, k_, counts_[row] / 2});
    limits_[row] = static_cast<int32_t>(std::min(most(), counts_[row] + room));
  }

  void swap(int64_t i, int64_t j) {
    std::swap(upper_[i], upper_[j]);
    std::swap(lower_[i], lower_[j]);
    std::swap(columns_[i], columns_[j]);
  }

  void raise(int64_t row, int64_t first, float threshold) {
    if (!(threshold > thresholds_[row])) return;
    thresholds_[row] = threshold;
    isa_.drop_below(lists(0), row, first, threshold);
  }

  const CodesIsa& isa_;
  int64_t k_, capacity_;
  Scratch<float> upper_, lower_;
  Scratch<int32_t> columns_;
  std::vector<int32_t> counts_, limits_;
  std::vector<float> thresholds_;
};

}  // namespace twinsae
