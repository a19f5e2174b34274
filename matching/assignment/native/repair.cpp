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
  Repair(const Graph& graph, const Graph& by_col, const Matching& matching, int threads,
         const std::vector<double>& price)
      : graph_(graph),
        by_col_(by_col),
        threads_(threads),
        price_(price),
        value_(static_cast<size_t>(graph.num_rows), kInf),
        own_(matching.col_of.size()),
        own_end_(static_cast<size_t>(graph.num_rows)),
        waiting_(price.size()) {
    double largest = 0;
    for (const double weight : graph.weight) largest = std::max(largest, std::abs(weight));
    for (const double value : price) largest = std::max(largest, std::abs(value));
    tolerance_ = 8 * std::numeric_limits<double>::epsilon() * largest;
    for_rows(graph_, threads_, [&](int32_t i) { find_own(i, matching); });
  }

  bool run(int64_t limit) {
    // Offers lower prices, and so raise the values of other rows, which get offers in their turn.
    std::vector<double> best(static_cast<size_t>(graph_.num_rows));
    for_rows(graph_, threads_, [&](int32_t i) { best[i] = best_value(graph_, i, price_.data()); });
    for (int32_t i = 0; i < graph_.num_rows; ++i) offer(i, best[i]);
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

  void find_own(int32_t i, const Matching& matching) {
    const auto begin = own_.begin() + graph_.rows.first(i);
    auto end = begin;
    for (int32_t member = graph_.rows.first(i); member < graph_.rows.end(i); ++member)
      *end++ = {graph_.cols.whose(matching.col_of[member]), -kInf};
    const auto before = [](const Own& a, const Own& b) { return a.col < b.col; };
    const auto same = [](const Own& a, const Own& b) { return a.col == b.col; };
    std::sort(begin, end, before);
    end = std::unique(begin, end, same);
    for (auto own = begin; own != end; ++own) {
      for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e)
        if (graph_.col[e] == own->col) own->weight = std::max(own->weight, graph_.weight[e]);
      value_[i] = std::min(value_[i], own->weight - price_[own->col]);
    }
    own_end_[i] = static_cast<int32_t>(end - own_.begin());
  }

  // Row i can have this value elsewhere: its own columns must be as good.
  void offer(int32_t i, double value) {
    if (value - value_[i] <= tolerance_) return;
    value_[i] = value;
    for (int32_t at = graph_.rows.first(i); at < own_end_[i]; ++at) {
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
  const Graph& by_col_;
  const int threads_;
  std::vector<double> price_, value_;  // of columns; of rows, that of their own columns
  std::vector<Own> own_;               // (members of rows): those of row i from its first on
  std::vector<int32_t> own_end_;       // (num_rows): and where they end
  std::vector<char> waiting_;
  std::deque<int32_t> queue_;  // columns whose price fell
  double tolerance_;
};

}  // namespace

bool repair(const Graph& graph, const Graph& by_col, const Matching& matching, int64_t limit,
            int threads, std::vector<double>& price) {
  Repair work(graph, by_col, matching, threads, price);
  if (!work.run(limit)) return false;
  price = std::move(work.price());
  return true;
}

}  // namespace twinsae
