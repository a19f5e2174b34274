// Ends a scan of codes: selects the k best of each row from the exact scores of its survivors.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "codes/survivors.h"
#include "float32/best.h"
#include "util/parallel.h"

namespace twinsae {

// Selects the k best of the offered scores that are above a floor.
class BestOfRow {
 public:
  explicit BestOfRow(float floor) : floor_(floor) {}
  void offer(float score, int64_t column) {
    if (!(score <= floor_)) keys_.push_back(make_key(score, static_cast<uint32_t>(column)));
  }
  // Missing places get value 0, index -1; name(column) is the index to write for a column.
  template <class Name>
  void write(const Name& name, int64_t k, float* values, int64_t* indices) {
    const int64_t found = std::min<int64_t>(k, static_cast<int64_t>(keys_.size()));
    // Few scores besides the k best are here, so that this is faster than a heap.
    std::nth_element(keys_.begin(), keys_.begin() + found, keys_.end(), std::greater<Key>());
    std::sort(keys_.begin(), keys_.begin() + found, std::greater<Key>());
    for (int64_t j = 0; j < found; ++j) {
      values[j] = key_score(keys_[j]);
      indices[j] = name(key_index(keys_[j]));
    }
    std::fill(values + found, values + k, 0.0f);
    std::fill(indices + found, indices + k, -1);
  }

 private:
  float floor_;
  std::vector<Key> keys_;
};

// Where a scan writes the k results of each row: values and indices are (rows, stride).
struct Results {
  int64_t k, stride;
  float* values;
  int64_t* indices;
};

// Writes the results of the rows. A row that has failed is scored in full, by score(row, column)
// for all columns; the function returns how many these are. Only scores above floor(row) are
// eligible.
template <class Floor, class Score, class Name>
int64_t finish_rows(Survivors& survivors, int64_t rows, int64_t columns, int threads,
                    const Floor& floor, const Score& score, const Name& name, const Results& out) {
  std::vector<int64_t> failed;
  for (int64_t r = 0; r < rows; ++r)
    if (survivors.failed(r)) failed.push_back(r);
  const auto write = [&](BestOfRow& best, int64_t r) {
    best.write(name, out.k, out.values + r * out.stride, out.indices + r * out.stride);
  };
  parallel_for(rows, threads, [&](int64_t r) {
    if (survivors.failed(r)) return;
    BestOfRow best(floor(r));
    const int64_t place = survivors.place(r);
    for (int64_t at = place; at < place + survivors.count(r); ++at)
      best.offer(survivors.score(at), survivors.column(at));
    write(best, r);
  });
  // Several rows are scored together, so that each column's vector is read once for all of them.
  constexpr int64_t kRowsOfTask = 8;
  const int64_t total = static_cast<int64_t>(failed.size());
  parallel_for((total + kRowsOfTask - 1) / kRowsOfTask, threads, [&](int64_t task) {
    const int64_t first = task * kRowsOfTask, count = std::min(kRowsOfTask, total - first);
    std::vector<BestOfRow> best;
    for (int64_t i = 0; i < count; ++i) best.emplace_back(floor(failed[first + i]));
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t i = 0; i < count; ++i) best[i].offer(score(failed[first + i], c), c);
    for (int64_t i = 0; i < count; ++i) write(best[i], failed[first + i]);
  });
  return total;
}

}  // namespace twinsae
