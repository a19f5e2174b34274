#include "repair.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

namespace twinsae {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

class Repair {
 public:
  Repair(const Graph& graph, const Matching& matching, const std::vector<double>& price)
      : graph_(graph),
        by_col_(transposed(graph)),
        price_(price),
        value_(static_cast<size_t>(graph.num_rows), kInf),
        waiting_(price.size()) {
    double largest = 0;
    for (const double weight : graph.weight) largest = std::max(largest, std::abs(weight));
    for (const double value : price) largest = std::max(largest, std::abs(value));
    tolerance_ = 8 * std::numeric_limits<double>::epsilon() * largest;
    own_start_.push_back(0);
    own_.reserve(static_cast<size_t>(graph.num_rows));
    for (int32_t i = 0; i < graph.num_rows; ++i) add_own(i, matching);
  }

  bool run(int64_t limit) {
    for (int32_t i = 0; i < graph_.num_rows; ++i) offer(i, best_value(i));
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
  // A column that members of a row are matched to.
  struct Own {
    int32_t col;
    double weight;
  };

  void add_own(int32_t i, const Matching& matching) {
    const auto begin = static_cast<std::ptrdiff_t>(own_.size());
    for (int32_t member = graph_.rows.first(i); member < graph_.rows.end(i); ++member)
      own_.push_back({graph_.cols.whose(matching.col_of[member]), -kInf});
    const auto before = [](const Own& a, const Own& b) { return a.col < b.col; };
    const auto same = [](const Own& a, const Own& b) { return a.col == b.col; };
    std::sort(own_.begin() + begin, own_.end(), before);
    own_.erase(std::unique(own_.begin() + begin, own_.end(), same), own_.end());
    for (auto own = own_.begin() + begin; own != own_.end(); ++own) {
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e)
        if (graph_.col[e] == own->col) own->weight = std::max(own->weight, graph_.weight[e]);
      value_[i] = std::min(value_[i], own->weight - price_[own->col]);
    }
    own_start_.push_back(static_cast<int64_t>(own_.size()));
  }

  double best_value(int32_t i) const {
    double best = -kInf;
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e)
      best = std::max(best, graph_.weight[e] - price_[graph_.col[e]]);
    return best;
  }

  // Row i can have this value elsewhere: its own columns must be as good.
  void offer(int32_t i, double value) {
    if (value - value_[i] <= tolerance_) return;
    value_[i] = value;
    for (int64_t at = own_start_[i]; at < own_start_[i + 1]; ++at) {
      const auto [j, weight] = own_[at];
      // Another row has lowered it more, and will offer that.
      if (price_[j] <= weight - value) continue;
      price_[j] = weight - value;
      if (waiting_[j]) continue;
      waiting_[j] = true;
      queue_.push_back(j);
    }
  }

  const Graph& graph_;
  const Graph by_col_;
  std::vector<double> price_, value_;  // of columns; of rows, that of their own columns
  std::vector<int64_t> own_start_;     // (num_rows + 1): the places in `own_` of each row
  std::vector<Own> own_;
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
