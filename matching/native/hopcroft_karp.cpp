#include "hopcroft_karp.h"

#include <limits>
#include <utility>

namespace twinsae {
namespace {

constexpr int32_t kUnreached = -1;

class Phases {
 public:
  explicit Phases(const Graph& graph)
      : graph_(graph), matching_(graph), level_(matching_.col_of.size()),
        next_(matching_.col_of.size()) {}

  Matching run() {
    take_free_columns();
    while (find_levels()) {
      next_.assign(graph_.start.begin(), graph_.start.end() - 1);
      for (int32_t i = 0; i < graph_.num_rows; ++i)
        if (matching_.col_of[i] < 0) augment(i);
    }
    return std::move(matching_);
  }

 private:
  void take_free_columns() {
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
        if (matching_.row_of[graph_.col[e]] >= 0) continue;
        matching_.pair(i, graph_.col[e]);
        break;
      }
    }
  }

  // Breadth first from the free rows; returns whether a free column can be reached.
  bool find_levels() {
    queue_.clear();
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      level_[i] = matching_.col_of[i] < 0 ? 0 : kUnreached;
      if (level_[i] == 0) queue_.push_back(i);
    }
    int32_t last = std::numeric_limits<int32_t>::max();  // the level from which a path ends
    for (size_t at = 0; at < queue_.size() && level_[queue_[at]] <= last; ++at) {
      const int32_t i = queue_[at];
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
        const int32_t owner = matching_.row_of[graph_.col[e]];
        if (owner < 0) {
          last = level_[i];
        } else if (level_[owner] == kUnreached) {
          level_[owner] = level_[i] + 1;
          queue_.push_back(owner);
        }
      }
    }
    return last != std::numeric_limits<int32_t>::max();
  }

  // Depth first along rising levels. Each edge is looked at once in a phase, whatever comes of it.
  void augment(int32_t root) {
    path_.assign(1, root);
    while (!path_.empty()) {
      const int32_t i = path_.back();
      if (next_[i] == graph_.start[i + 1]) {
        path_.pop_back();
        continue;
      }
      const int32_t owner = matching_.row_of[graph_.col[next_[i]++]];
      if (owner < 0) {
        // The edge looked at last in each row of the path. A row's old column is taken by the row
        // before it.
        for (const int32_t row : path_) matching_.pair(row, graph_.col[next_[row] - 1]);
        return;
      }
      if (level_[owner] == level_[i] + 1) path_.push_back(owner);
    }
  }

  const Graph& graph_;
  Matching matching_;
  std::vector<int32_t> level_, queue_, path_;
  std::vector<int64_t> next_;
};

}  // namespace

Matching maximum_matching(const Graph& graph) { return Phases(graph).run(); }

}  // namespace twinsae
