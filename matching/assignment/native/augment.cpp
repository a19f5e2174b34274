#include "augment.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>

namespace twinsae {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

class Augmenter {
 public:
  Augmenter(const Graph& graph, Matching& matching, double* price)
      : graph_(graph),
        matching_(matching),
        price_(price),
        own_weight_(matching.col_of.size()),
        looked_at_(static_cast<size_t>(graph.num_rows), -1),
        reached_(static_cast<size_t>(graph.num_cols)),
        vacant_(graph.cols.firsts()) {}

  int64_t run() {
    keep_tight_pairs();
    take_free_columns();
    int64_t paths = 0;
    for (int32_t member = 0; member < graph_.rows.count(); ++member) {
      if (matching_.col_of[member] >= 0) continue;
      search(member);
      ++paths;
    }
    return paths;
  }

 private:
  // How a column was reached in the search of the member `root`.
  struct Reached {
    int32_t root = -1;
    int32_t from = -1;  // the member of the row that the edge comes from
    double weight = 0;  // of that edge
    double distance = kInf;
  };
  using Entry = std::pair<double, int32_t>;  // distance, column

  double value(int64_t e) const { return graph_.weight[e] - price_[graph_.col[e]]; }

  void keep_tight_pairs() {
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      const double best = best_value(graph_, i, price_);
      for (int32_t member = graph_.rows.first(i); member < graph_.rows.end(i); ++member) {
        if (matching_.col_of[member] < 0) continue;
        const int32_t j = graph_.cols.whose(matching_.col_of[member]);
        bool tight = false;
        for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
          if (graph_.col[e] != j || value(e) != best) continue;
          tight = true;
          own_weight_[member] = graph_.weight[e];
        }
        if (!tight) matching_.part(member);
      }
    }
  }

  void take_free_columns() {
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      const double best = best_value(graph_, i, price_);
      int64_t e = graph_.start[i];
      for (int32_t member = graph_.rows.first(i); member < graph_.rows.end(i); ++member) {
        if (matching_.col_of[member] >= 0) continue;
        while (e < graph_.start[i + 1] && (value(e) != best || vacant(graph_.col[e]) < 0)) ++e;
        if (e == graph_.start[i + 1]) break;
        matching_.pair(member, vacant(graph_.col[e]));
        own_weight_[member] = graph_.weight[e];
      }
    }
  }

  // A member of the column without a row, -1 for none. Once matched, it stays so from here on.
  int32_t vacant(int32_t j) {
    int32_t& member = vacant_[j];
    while (member < graph_.cols.end(j) && matching_.row_of[member] >= 0) ++member;
    return member < graph_.cols.end(j) ? member : -1;
  }

  // Dijkstra from a free member of a row to the nearest column with a free one; entries that are
  // out of date stay in the heap and are passed over.
  void search(int32_t root) {
    heap_.clear();
    settled_.clear();
    end_ = {kInf, -1};
    relax(root, root, best_value(graph_, graph_.rows.whose(root), price_), 0.0);
    while (!heap_.empty()) {
      const auto [distance, j] = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
      if (distance >= end_.first) break;
      if (distance > reached_[j].distance) continue;
      settled_.push_back(j);
      for (int32_t taken = graph_.cols.first(j); taken < graph_.cols.end(j); ++taken) {
        const int32_t member = matching_.row_of[taken];
        relax(root, member, own_weight_[member] - price_[j], distance);
      }
    }
    if (end_.second < 0) throw std::logic_error("augment: there is no full matching");
    for (const int32_t j : settled_) price_[j] += end_.first - reached_[j].distance;
    apply(root);
  }

  // Looks at the edges of a member's row, which stands at `distance` and has the price row_price.
  void relax(int32_t root, int32_t member, double row_price, double distance) {
    const int32_t i = graph_.rows.whose(member);
    if (looked_at_[i] == root) return;  // by an equal member, no farther away
    looked_at_[i] = root;
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
      const int32_t j = graph_.col[e];
      // Below 0 only by rounding.
      const double through = distance + std::max(0.0, row_price - value(e));
      if (through >= end_.first) continue;
      Reached& at = reached_[j];
      if (at.root == root && through >= at.distance) continue;
      at = {root, member, graph_.weight[e], through};
      if (vacant(j) >= 0) {
        end_ = {through, j};
      } else {
        heap_.emplace_back(through, j);
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
      }
    }
  }

  void apply(int32_t root) {
    int32_t taken = vacant(end_.second);
    for (int32_t member = -1; member != root;) {
      const Reached& at = reached_[graph_.cols.whose(taken)];
      member = at.from;
      const int32_t left = matching_.col_of[member];
      matching_.pair(member, taken);
      own_weight_[member] = at.weight;
      taken = left;
    }
  }

  const Graph& graph_;
  Matching& matching_;
  double* const price_;
  std::vector<double> own_weight_;  // of matched members of rows: the weight of their edge
  std::vector<int32_t> looked_at_;  // by row: the last search that did
  std::vector<Reached> reached_;    // by column
  std::vector<int32_t> vacant_;     // of each column: no member before it is free
  std::vector<Entry> heap_;
  std::vector<int32_t> settled_;
  Entry end_;  // the nearest free column so far
};

}  // namespace

int64_t augment(const Graph& graph, Matching& matching, double* price) {
  return Augmenter(graph, matching, price).run();
}

}  // namespace twinsae
