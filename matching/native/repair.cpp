#include "repair.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

namespace twinsae {
namespace {

class Repair {
 public:
  Repair(const Graph& graph, const Matching& matching, const std::vector<double>& price)
      : graph_(graph), by_col_(transposed(graph)), matching_(matching), price_(price),
        own_weight_(matching.col_of.size()), waiting_(price.size()) {
    double largest = 0;
    for (const double weight : graph.weight) largest = std::max(largest, std::abs(weight));
    for (const double value : price) largest = std::max(largest, std::abs(value));
    tolerance_ = 8 * std::numeric_limits<double>::epsilon() * largest;
  }

  bool run(int64_t limit) {
    for (int32_t i = 0; i < graph_.num_rows; ++i) check_row(i);
    for (; !queue_.empty(); --limit) {
      if (limit == 0) return false;
      const int32_t j = queue_.front();
      queue_.pop_front();
      waiting_[j] = false;
      for (int64_t e = by_col_.start[j]; e < by_col_.start[j + 1]; ++e)
        offer(by_col_.col[e], by_col_.weight[e] - price_[j]);
    }
    return true;
  }

  std::vector<double>& price() { return price_; }

 private:
  void check_row(int32_t i) {
    double best = -std::numeric_limits<double>::infinity(), own = best;
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
      best = std::max(best, graph_.weight[e] - price_[graph_.col[e]]);
      if (graph_.col[e] == matching_.col_of[i]) own = std::max(own, graph_.weight[e]);
    }
    own_weight_[i] = own;
    offer(i, best);
  }

  // Row i can have this value elsewhere: its own column must be as good.
  void offer(int32_t i, double value) {
    const int32_t j = matching_.col_of[i];
    if (value - (own_weight_[i] - price_[j]) <= tolerance_) return;
    price_[j] = own_weight_[i] - value;
    if (waiting_[j]) return;
    waiting_[j] = true;
    queue_.push_back(j);
  }

  const Graph& graph_;
  const Graph by_col_;
  const Matching& matching_;
  std::vector<double> price_, own_weight_;
  std::vector<char> waiting_;
  std::deque<int32_t> queue_;  // columns whose price fell
  double tolerance_;
};

}  // namespace

bool repair(const Graph& graph, const Matching& matching, int64_t limit,
            std::vector<double>& price) {
  Repair work(graph, matching, price);
  if (!work.run(limit)) return false;
  price = std::move(work.price());
  return true;
}

}  // namespace twinsae
