// Lists scores that several threads find, and lays them out in compressed rows.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "float32/scans.h"
#include "util/parallel.h"

namespace twinsae {

// Takes the scores of consecutive rows in parts: a part has a fixed number of rows, and one thread
// at a time adds to it. A row's scores must come by latent.
class RowLists {
 public:
  explicit RowLists(int64_t rows) { result_.row_offsets.reserve(static_cast<size_t>(rows + 1)); }

  // Begins the rows [first, first + count), in parts of `rows_of_part` rows.
  void start(int64_t first, int64_t count, int64_t rows_of_part) {
    first_ = first;
    rows_of_part_ = rows_of_part;
    counts_.assign(static_cast<size_t>(count), 0);
    parts_.resize(static_cast<size_t>((count + rows_of_part - 1) / rows_of_part));
  }
  // Adds a score; `row` counts from the first one of `start`.
  void add(int64_t part, int64_t row, int64_t latent, float score) {
    parts_[part].push_back({static_cast<int32_t>(row), static_cast<int32_t>(latent), score});
    ++counts_[row];
  }
  // Appends all that was added since `start` to the result.
  void finish(int threads) {
    std::vector<int64_t>& offsets = result_.row_offsets;
    for (const int64_t count : counts_) {
      offsets.push_back(total_);
      total_ += count;
    }
    result_.indices.resize(static_cast<size_t>(total_));
    result_.values.resize(static_cast<size_t>(total_));
    parallel_for(static_cast<int64_t>(parts_.size()), threads, [&](int64_t p) {
      const int64_t first = p * rows_of_part_;
      std::vector<int64_t> next(static_cast<size_t>(rows_of_part_));
      for (int64_t r = 0; r < rows_of_part_ && first + r < int64_t(counts_.size()); ++r)
        next[r] = offsets[first_ + first + r];
      for (const Entry& entry : parts_[p]) {
        const int64_t place = next[entry.row - first]++;
        result_.indices[place] = entry.latent;
        result_.values[place] = entry.score;
      }
      parts_[p] = {};
    });
  }
  // Returns the result. Every row must have been in a `start`.
  SparseScores take() {
    result_.row_offsets.push_back(total_);
    return std::move(result_);
  }

 private:
  struct Entry {
    int32_t row, latent;
    float score;
  };
  int64_t first_ = 0, rows_of_part_ = 1, total_ = 0;
  std::vector<std::vector<Entry>> parts_;
  std::vector<int64_t> counts_;
  SparseScores result_;
};

}  // namespace twinsae
