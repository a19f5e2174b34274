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
      : graph_(graph), matching_(matching), price_(price), own_weight_(matching.col_of.size()),
        reached_(matching.row_of.size()) {}

  int64_t run() {
    keep_tight_pairs();
    take_free_columns();
    int64_t paths = 0;
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      if (matching_.col_of[i] >= 0) continue;
      search(i);
      ++paths;
    }
    return paths;
  }

 private:
  // How a column was reached in the search of `row_searched`.
  struct Reached {
    int32_t root = -1;
    int32_t from = -1;     // the row that the edge comes from
    double weight = 0;     // of that edge
    double distance = kInf;
  };
  using Entry = std::pair<double, int32_t>;  // distance, column

  double value(int64_t e) const { return graph_.weight[e] - price_[graph_.col[e]]; }

  double best_value(int32_t i) const {
    double best = -kInf;
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) best = std::max(best, value(e));
    return best;
  }

  void keep_tight_pairs() {
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      const int32_t j = matching_.col_of[i];
      if (j < 0) continue;
      const double best = best_value(i);
      bool tight = false;
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
        if (graph_.col[e] != j || value(e) != best) continue;
        tight = true;
        own_weight_[i] = graph_.weight[e];
      }
      if (!tight) matching_.part(i);
    }
  }

  void take_free_columns() {
    for (int32_t i = 0; i < graph_.num_rows; ++i) {
      if (matching_.col_of[i] >= 0) continue;
      const double best = best_value(i);
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
        if (value(e) != best || matching_.row_of[graph_.col[e]] >= 0) continue;
        matching_.pair(i, graph_.col[e]);
        own_weight_[i] = graph_.weight[e];
        break;
      }
    }
  }

  // Dijkstra from a free row to the nearest free column; entries that are out of date stay in the
  // heap and are passed over.
  void search(int32_t root) {
    heap_.clear();
    settled_.clear();
    end_ = {kInf, -1};
    relax(root, root, best_value(root), 0.0);
    while (!heap_.empty()) {
      const auto [distance, j] = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
      if (distance >= end_.first) break;
      if (distance > reached_[j].distance) continue;
      settled_.push_back(j);
      const int32_t i = matching_.row_of[j];
      relax(root, i, own_weight_[i] - price_[j], distance);
    }
    if (end_.second < 0) throw std::logic_error("augment: there is no full matching");
    for (const int32_t j : settled_) price_[j] += end_.first - reached_[j].distance;
    apply(root);
  }

  // Looks at the edges of a row that stands at `distance` and has the price row_price.
  void relax(int32_t root, int32_t i, double row_price, double distance) {
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
      const int32_t j = graph_.col[e];
      // Below 0 only by rounding.
      const double through = distance + std::max(0.0, row_price - value(e));
      if (through >= end_.first) continue;
      Reached& at = reached_[j];
      if (at.root == root && through >= at.distance) continue;
      at = {root, i, graph_.weight[e], through};
      if (matching_.row_of[j] < 0) {
        end_ = {through, j};
      } else {
        heap_.emplace_back(through, j);
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
      }
    }
  }

  void apply(int32_t root) {
    int32_t j = end_.second;
    for (int32_t i = -1; i != root;) {
      i = reached_[j].from;
      const int32_t left = matching_.col_of[i];
      matching_.pair(i, j);
      own_weight_[i] = reached_[j].weight;
      j = left;
    }
  }

  const Graph& graph_;
  Matching& matching_;
  double* const price_;
  std::vector<double> own_weight_;  // of matched rows: the weight of their edge
  std::vector<Reached> reached_;
  std::vector<Entry> heap_;
  std::vector<int32_t> settled_;
  Entry end_;  // the nearest free column so far
};

}  // namespace

int64_t augment(const Graph& graph, Matching& matching, double* price) {
  return Augmenter(graph, matching, price).run();
}

}  // namespace twinsae
