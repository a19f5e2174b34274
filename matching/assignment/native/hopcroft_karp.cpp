#include "hopcroft_karp.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace twinsae {
namespace {

constexpr int32_t kUnreached = -1;

class Phases {
 public:
  explicit Phases(const Graph& graph)
      : graph_(graph),
        matching_(graph),
        level_(static_cast<size_t>(graph.num_rows)),
        col_level_(static_cast<size_t>(graph.num_cols)) {}

  Matching run() {
    begin_phase();
    for (int32_t member = 0; member < graph_.rows.count(); ++member) take_free_column(member);
    while (find_levels()) {
      begin_phase();
      for (int32_t member = 0; member < graph_.rows.count(); ++member)
        if (matching_.col_of[member] < 0) augment(member);
    }
    return std::move(matching_);
  }

 private:
  // A member of a row, and the member of a column that it would take.
  struct Step {
    int32_t row, col;
  };

  void begin_phase() {
    next_edge_.assign(graph_.start.begin(), graph_.start.end() - 1);
    next_member_ = graph_.cols.firsts();
  }

  void take_free_column(int32_t member) {
    const int32_t i = graph_.rows.whose(member);
    for (int64_t& e = next_edge_[i]; e < graph_.start[i + 1]; ++e) {
      const int32_t j = graph_.col[e];
      if (next_member_[j] == graph_.cols.end(j)) continue;
      matching_.pair(member, next_member_[j]++);
      return;
    }
  }

  // Breadth first from the rows that have free members; returns whether a free column can be
  // reached.
  bool find_levels() {
    queue_.clear();
    std::fill(level_.begin(), level_.end(), kUnreached);
    std::fill(col_level_.begin(), col_level_.end(), kUnreached);
    for (int32_t member = 0; member < graph_.rows.count(); ++member)
      if (matching_.col_of[member] < 0) reach(graph_.rows.whose(member), 0);
    int32_t last = std::numeric_limits<int32_t>::max();  // the level from which a path ends
    for (size_t at = 0; at < queue_.size() && level_[queue_[at]] <= last; ++at) {
      const int32_t i = queue_[at];
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
        const int32_t j = graph_.col[e];
        if (col_level_[j] != kUnreached) continue;
        col_level_[j] = level_[i];
        for (int32_t member = graph_.cols.first(j); member < graph_.cols.end(j); ++member) {
          const int32_t owner = matching_.row_of[member];
          if (owner < 0) {
            last = level_[i];
          } else {
            reach(graph_.rows.whose(owner), level_[i] + 1);
          }
        }
      }
    }
    return last != std::numeric_limits<int32_t>::max();
  }

  void reach(int32_t i, int32_t level) {
    if (level_[i] != kUnreached) return;
    level_[i] = level;
    queue_.push_back(i);
  }

  // Depth first along rising levels. Each edge, and each member of a column, is passed once in a
  // phase, whatever comes of it.
  void augment(int32_t root) {
    path_.assign(1, {root, -1});
    while (!path_.empty()) {
      Step& step = path_.back();
      const int32_t i = graph_.rows.whose(step.row);
      step.col = next_column_member(i);
      if (step.col < 0) {
        path_.pop_back();
        continue;
      }
      const int32_t owner = matching_.row_of[step.col];
      if (owner < 0) {
        // A row's old column is taken by the row before it.
        for (const Step& taken : path_) matching_.pair(taken.row, taken.col);
        return;
      }
      if (level_[graph_.rows.whose(owner)] == level_[i] + 1) path_.push_back({owner, -1});
    }
  }

  // The next member of a column on the row's level, or a free one of any: longer paths are as good.
  // -1 if there is none left.
  int32_t next_column_member(int32_t i) {
    for (int64_t& e = next_edge_[i]; e < graph_.start[i + 1]; ++e) {
      const int32_t j = graph_.col[e];
      if (next_member_[j] == graph_.cols.end(j)) continue;
      if (col_level_[j] == level_[i] || matching_.row_of[next_member_[j]] < 0)
        return next_member_[j]++;
    }
    return -1;
  }

  const Graph& graph_;
  Matching matching_;
  std::vector<int32_t> level_, col_level_, queue_;
  std::vector<int64_t> next_edge_;    // of each row, in this phase
  std::vector<int32_t> next_member_;  // of each column
  std::vector<Step> path_;
};

}  // namespace

Matching maximum_matching(const Graph& graph) { return Phases(graph).run(); }

}  // namespace twinsae
