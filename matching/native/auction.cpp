#include "auction.h"

#include <algorithm>
#include <limits>

namespace twinsae {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kFalls = 8;  // eps from phase to phase
constexpr int kCache = 8;

// The best edges of a row, by value (weight - price), at its last look at all of them. Since prices
// only rise, no other edge has more value than `bound` ever after.
struct alignas(64) Best {
  double weight[kCache];
  int32_t col[kCache];
  double bound;
};

struct Bid {
  int32_t col;
  double weight, value, second;  // second: the value of the second best edge
};

class Auction {
 public:
  Auction(const Graph& graph, int64_t bid_limit, Matching& matching, double* price)
      : graph_(graph), bid_limit_(bid_limit), matching_(matching), price_(price),
        best_(matching.col_of.size()), own_weight_(matching.col_of.size()) {
    for (int32_t i = 0; i < graph.num_rows; ++i) {
      look(i);
      if (matching.col_of[i] >= 0) own_weight_[i] = weight_to(i, matching.col_of[i]);
    }
  }

  int64_t run(Epsilon eps) {
    const double span = weight_span();
    for (double part = eps.first;; part = std::max(part / kFalls, eps.last)) {
      part_far_pairs(part * span);
      if (!bid_until_matched(part * span, span)) return -1;
      if (part == eps.last) return bids_;
    }
  }

 private:
  double weight_span() const {
    const auto [low, high] = std::minmax_element(graph_.weight.begin(), graph_.weight.end());
    return low == high ? 0.0 : *high - *low;
  }

  double weight_to(int32_t i, int32_t col) const {
    double weight = -kInf;
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e)
      if (graph_.col[e] == col) weight = std::max(weight, graph_.weight[e]);
    return weight;
  }

  // Chooses the row's best edges anew.
  void look(int32_t i) {
    double values[kCache + 1];
    std::fill(values, values + kCache + 1, -kInf);
    Best& best = best_[i];
    std::fill(best.weight, best.weight + kCache, -kInf);
    std::fill(best.col, best.col + kCache, 0);
    for (int64_t e = graph_.start[i]; e < graph_.start[i + 1]; ++e) {
      const double value = graph_.weight[e] - price_[graph_.col[e]];
      if (value <= values[kCache]) continue;
      int at = kCache;
      for (; at > 0 && value > values[at - 1]; --at) {
        values[at] = values[at - 1];
        if (at == kCache) continue;
        best.weight[at] = best.weight[at - 1];
        best.col[at] = best.col[at - 1];
      }
      values[at] = value;
      if (at == kCache) continue;
      best.weight[at] = graph_.weight[e];
      best.col[at] = graph_.col[e];
    }
    best.bound = values[kCache];
  }

  Bid from_cache(int32_t i) const {
    const Best& best = best_[i];
    Bid bid{best.col[0], best.weight[0], -kInf, -kInf};
    for (int at = 0; at < kCache; ++at) {
      const double value = best.weight[at] - price_[best.col[at]];
      if (value > bid.value) {
        bid = {best.col[at], best.weight[at], value, bid.value};
      } else if (value > bid.second) {
        bid.second = value;
      }
    }
    return bid;
  }

  // At the start of a phase: the matched rows that could do better by more than eps become free.
  void part_far_pairs(double eps) {
    free_.clear();
    for (int32_t i = graph_.num_rows; i-- > 0;) {
      const int32_t j = matching_.col_of[i];
      if (j >= 0) {
        const double own = own_weight_[i] - price_[j];
        Bid bid = from_cache(i);
        if (bid.value < best_[i].bound && best_[i].bound - own > eps) {
          look(i);
          bid = from_cache(i);
        }
        if (bid.value - own <= eps) continue;
        matching_.part(i);
      }
      free_.push_back(i);
    }
  }

  bool bid_until_matched(double eps, double span) {
    while (!free_.empty()) {
      const int32_t i = free_.back();
      Bid bid = from_cache(i);
      if (bid.second < best_[i].bound) {
        look(i);
        bid = from_cache(i);
      }
      // A lone edge has no second best. Any rise from eps up to best - second + eps will do.
      const double raised = price_[bid.col] + std::min(bid.value - bid.second, span) + eps;
      if (bids_ == bid_limit_ || !(raised > price_[bid.col])) return false;
      ++bids_;
      price_[bid.col] = raised;
      free_.pop_back();
      const int32_t loser = matching_.row_of[bid.col];
      if (loser >= 0) {
        matching_.part(loser);
        free_.push_back(loser);
      }
      matching_.pair(i, bid.col);
      own_weight_[i] = bid.weight;
    }
    return true;
  }

  const Graph& graph_;
  const int64_t bid_limit_;
  Matching& matching_;
  double* const price_;
  std::vector<Best> best_;
  std::vector<double> own_weight_;  // of matched rows: the weight of their edge
  std::vector<int32_t> free_;       // the row freed last bids next
  int64_t bids_ = 0;
};

}  // namespace

int64_t auction(const Graph& graph, Epsilon eps, int64_t bid_limit, Matching& matching,
                double* price) {
  return Auction(graph, bid_limit, matching, price).run(eps);
}

}  // namespace twinsae
