#include "auction.h"

#include <algorithm>
#include <limits>
#include <numeric>

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
  Auction(const Graph& graph, int64_t bid_limit, int threads, Matching& matching, double* price)
      : graph_(graph),
        bid_limit_(bid_limit),
        threads_(threads),
        matching_(matching),
        price_(price),
        best_(static_cast<size_t>(graph.num_rows)),
        own_weight_(matching.col_of.size()),
        far_(matching.col_of.size()),
        cheapest_(matching.row_of.size()),
        paid_(matching.row_of.size()) {
    for_rows(graph_, threads_, [&](int32_t i) {
      look(i);
      for (int32_t member = graph.rows.first(i); member < graph.rows.end(i); ++member)
        if (matching.col_of[member] >= 0) own_weight_[member] = weight_of(member);
    });
    std::iota(cheapest_.begin(), cheapest_.end(), 0);
  }

  int64_t run(Epsilon eps) {
    const double span = weight_span();
    for (double part = eps.first;; part = std::max(part / kFalls, eps.last)) {
      part_far_pairs(part * span);
      level_payments();
      if (!bid_until_matched(part * span, span)) return -1;
      if (part == eps.last) return bids_;
    }
  }

 private:
  double weight_span() const {
    const auto [low, high] = std::minmax_element(graph_.weight.begin(), graph_.weight.end());
    return low == high ? 0.0 : *high - *low;
  }

  // Of the pair that a member of a row is in.
  double weight_of(int32_t member) const {
    const int32_t i = graph_.rows.whose(member);
    const int32_t col = graph_.cols.whose(matching_.col_of[member]);
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
    for_rows(graph_, threads_, [&](int32_t i) {
      for (int32_t member = graph_.rows.first(i); member < graph_.rows.end(i); ++member)
        far_[member] = matching_.col_of[member] >= 0 && is_far(i, member, eps);
    });
    free_.clear();
    for (int32_t member = graph_.rows.count(); member-- > 0;) {
      if (far_[member]) matching_.part(member);
      if (matching_.col_of[member] < 0) free_.push_back(member);
    }
  }

  // May look at the row's edges anew.
  bool is_far(int32_t i, int32_t member, double eps) {
    const int32_t j = graph_.cols.whose(matching_.col_of[member]);
    const double own = own_weight_[member] - price_[j];
    Bid bid = from_cache(i);
    if (bid.value < best_[i].bound && best_[i].bound - own > eps) {
      look(i);
      bid = from_cache(i);
    }
    return bid.value - own > eps;
  }

  // At the start of a phase all members of a column have its price; free ones go first.
  void level_payments() {
    for (int32_t j = 0; j < graph_.num_cols; ++j) {
      if (graph_.cols.lone(j)) continue;
      const auto begin = cheapest_.begin() + graph_.cols.first(j);
      const auto end = cheapest_.begin() + graph_.cols.end(j);
      for (auto at = begin; at != end; ++at) paid_[*at] = price_[j];
      std::partition(begin, end, [&](int32_t member) { return matching_.row_of[member] < 0; });
    }
  }

  bool bid_until_matched(double eps, double span) {
    while (!free_.empty()) {
      const int32_t member = free_.back();
      const int32_t i = graph_.rows.whose(member);
      Bid bid = from_cache(i);
      if (bid.second < best_[i].bound) {
        look(i);
        bid = from_cache(i);
      }
      // A lone edge has no second best. Any rise from eps up to best - second + eps will do.
      const double raised = price_[bid.col] + std::min(bid.value - bid.second, span) + eps;
      if (bids_ == bid_limit_ || !(raised > price_[bid.col])) return false;
      ++bids_;
      free_.pop_back();
      const int32_t taken = pay(bid.col, raised);
      const int32_t loser = matching_.row_of[taken];
      if (loser >= 0) {
        matching_.part(loser);
        free_.push_back(loser);
      }
      matching_.pair(member, taken);
      own_weight_[member] = bid.weight;
    }
    return true;
  }

  // A bid is for the cheapest member of a column, and the next cheapest one is the column's price:
  // of equal objects no row would take another one (Bertsekas and Castanon, Annals of Operations
  // Research 20 (1989), pp. 67-96). Returns that member.
  int32_t pay(int32_t j, double raised) {
    const int32_t first = graph_.cols.first(j);
    if (graph_.cols.lone(j)) {
      price_[j] = raised;
      return first;
    }
    const auto begin = cheapest_.begin() + first;
    const auto end = cheapest_.begin() + graph_.cols.end(j);
    const auto dearer = [&](int32_t a, int32_t b) { return paid_[a] > paid_[b]; };
    std::pop_heap(begin, end, dearer);
    const int32_t member = end[-1];
    paid_[member] = raised;
    std::push_heap(begin, end, dearer);
    price_[j] = paid_[*begin];
    return member;
  }

  const Graph& graph_;
  const int64_t bid_limit_;
  const int threads_;
  Matching& matching_;
  double* const price_;
  ScratchVector<Best> best_;
  std::vector<double> own_weight_;  // of matched members of rows: the weight of their edge
  std::vector<char> far_;           // by member: whether it could do better elsewhere
  std::vector<int32_t> cheapest_;   // the members of each column, as a heap by what they cost
  std::vector<double> paid_;        // what each member of a column costs, where it has several
  std::vector<int32_t> free_;       // the member freed last bids next
  int64_t bids_ = 0;
};

}  // namespace

int64_t auction(const Graph& graph, Epsilon eps, int64_t bid_limit, int threads, Matching& matching,
                double* price) {
  return Auction(graph, bid_limit, threads, matching, price).run(eps);
}

}  // namespace twinsae
