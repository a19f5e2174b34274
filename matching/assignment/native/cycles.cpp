#include "cycles.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kBlock = 256;  // nodes whose searches share one workspace

// One of the two searches. Of the edges of a settled node, only the next one is in the heap.
class Search {
 public:
  explicit Search(const CheapEdges& edges)
      : edges_(edges),
        distance_(static_cast<size_t>(edges.nodes), kInf),
        settled_(static_cast<size_t>(edges.nodes)) {}

  // Forgets the search before.
  void start(int32_t root) {
    for (const int32_t node : reached_) {
      distance_[node] = kInf;
      settled_[node] = false;
    }
    reached_.assign(1, root);
    root_ = root;
    heap_.clear();
    distance_[root] = 0.0;
    beyond_lists_ = half_beyond_ = kInf;
  }

  // The distance of the nearest node that is reached and not settled; infinity where there is none.
  double frontier() {
    while (!heap_.empty()) {
      const Entry& top = heap_.front();
      const int32_t end = edges_.ends[top.edge];
      if (!settled_[end] && top.distance == distance_[end]) return top.distance;
      take();
    }
    return kInf;
  }

  // Settles that node; `best` falls to the cheapest cycle that its edges close.
  void settle_nearest(const Search& opposite, double& best) {
    const int32_t node = edges_.ends[heap_.front().edge];
    take();
    settle(node, opposite, best);
  }

  void settle_root(const Search& opposite, double& best) { settle(root_, opposite, best); }

  // What no first step is below.
  double first_step() const {
    const int64_t first = root_ * edges_.width;
    const bool listed = edges_.width && edges_.ends[first] >= 0;
    return std::min(listed ? edges_.costs[first] : kInf, edges_.unlisted[root_]);
  }

  double unlisted_at_root() const { return edges_.unlisted[root_]; }
  double beyond_lists() const { return beyond_lists_; }  // min of distance + unlisted
  double half_beyond() const { return half_beyond_; }  // without the root: distance + unlisted / 2

 private:
  struct Entry {
    double distance;  // of its end through it
    int32_t node;     // where it comes from
    int64_t edge;

    bool operator>(const Entry& other) const {
      return distance != other.distance ? distance > other.distance : edge > other.edge;
    }
  };

  void settle(int32_t node, const Search& opposite, double& best) {
    const double distance = distance_[node], unlisted = edges_.unlisted[node];
    settled_[node] = true;
    beyond_lists_ = std::min(beyond_lists_, distance + unlisted);
    if (node != root_) half_beyond_ = std::min(half_beyond_, distance + unlisted / 2);
    const int64_t first = node * edges_.width;
    for (int64_t e = first; e < first + edges_.width && edges_.ends[e] >= 0; ++e) {
      const double through = distance + edges_.costs[e];
      if (through >= best) break;
      const int32_t end = edges_.ends[e];
      if (end != root_ && through >= distance_[end]) continue;
      best = std::min(best, through + opposite.distance_[end]);
      if (end == root_) continue;
      if (distance_[end] == kInf) reached_.push_back(end);
      distance_[end] = through;
    }
    push(node, first);
  }

  // Puts an edge of a settled node into the heap, unless it is past the end of its list.
  void push(int32_t node, int64_t edge) {
    if (edge == (node + int64_t{1}) * edges_.width || edges_.ends[edge] < 0) return;
    heap_.push_back({distance_[node] + edges_.costs[edge], node, edge});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  // Replaces the first edge in the heap by the next one of its node.
  void take() {
    const Entry top = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    push(top.node, top.edge + 1);
  }

  const CheapEdges& edges_;
  std::vector<double> distance_;  // of each node; infinity where it is not reached
  std::vector<char> settled_;
  std::vector<int32_t> reached_;
  std::vector<Entry> heap_;
  int32_t root_ = -1;
  double beyond_lists_ = kInf, half_beyond_ = kInf;
};

// Follow any cycle from the root s forward while its edges are in the lists `leaving` and their ends
// settled, and backward in the same way. Where the two parts meet, or a listed edge joins them, its
// cost is at least `best`, because a cycle no dearer was found. Otherwise they end before two edges:
//
// - If these differ, the part up to the first one's end costs R_f = min(frontier, min over settled
//   nodes p of distance(p) + unlisted(p)) or more: the edge is not listed, or its end is not settled.
//   The part from the second one's start costs R_b or more, likewise, and the sum R_f + R_b.
// - If they are one edge (p, q), no list has it, so that it costs max(unlisted(p), unlisted(q)) or
//   more. It does not both leave and enter s. If p = s, the cycle costs unlisted(s) and a last step
//   or more; likewise if q = s. Otherwise it costs distance(p) + (unlisted(p) + unlisted(q)) / 2 +
//   distance(q) or more.
//
// Edges that were left out because they cannot lead below `best` do not lead below it here either.
double lower(Search& forward, Search& backward, double best) {
  const double two_edges = std::min(forward.frontier(), forward.beyond_lists()) +
      std::min(backward.frontier(), backward.beyond_lists());
  const double from_root = forward.unlisted_at_root() + backward.first_step();
  const double to_root = forward.first_step() + backward.unlisted_at_root();
  const double between = forward.half_beyond() + backward.half_beyond();
  return std::min({best, two_edges, from_root, to_root, between});
}

}  // namespace

void cheapest_cycles(const CheapEdges& leaving, const CheapEdges& entering, int64_t count,
                     int64_t most_settled, int threads, double* lower_bound, double* upper_bound) {
  parallel_for((count + kBlock - 1) / kBlock, threads, [&](int64_t block) {
    Search forward(leaving), backward(entering);
    for (int64_t n = block * kBlock; n < std::min(count, (block + 1) * kBlock); ++n) {
      forward.start(static_cast<int32_t>(n));
      backward.start(static_cast<int32_t>(n));
      double best = kInf;
      forward.settle_root(backward, best);
      backward.settle_root(forward, best);
      for (int64_t settled = 2; settled < most_settled; ++settled) {
        const double ahead = forward.frontier(), behind = backward.frontier();
        if (ahead == kInf && behind == kInf) break;
        // Where one search has no listed edge left, the other may still meet it.
        if ((ahead < kInf ? ahead : 0.0) + (behind < kInf ? behind : 0.0) >= best) break;
        if (ahead <= behind) {
          forward.settle_nearest(backward, best);
        } else {
          backward.settle_nearest(forward, best);
        }
      }
      lower_bound[n] = lower(forward, backward, best);
      upper_bound[n] = best;
    }
  });
}

}  // namespace twinsae
