#include "dense.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace twinsae {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kBidsPerRow = 2;  // more of them find little
constexpr int64_t kBlock = 64;      // columns whose nearest is kept

// Two numbers at once: loops that take the least of many are not made so by the compiler.
constexpr int64_t kLanes = 2;
typedef double Lanes __attribute__((vector_size(kLanes * 8), aligned(8), may_alias));

Lanes both(double value) { return Lanes{value, value}; }
Lanes load(const double* from) { return *reinterpret_cast<const Lanes*>(from); }
void store(double* to, Lanes values) { *reinterpret_cast<Lanes*>(to) = values; }
Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

// The two largest of the numbers that it is given.
struct TwoBest {
  double first = -kInf, second = -kInf;

  void add(double value) {
    if (value > first) {
      second = first;
      first = value;
    } else if (value > second) {
      second = value;
    }
  }
};

class Dense {
 public:
  Dense(const double* weight, const int64_t* equal, int64_t num_rows, int64_t num_cols)
      : weight_(weight),
        equal_(equal),
        num_rows_(num_rows),
        num_cols_(num_cols),
        row_of_(static_cast<size_t>(num_cols), -1),
        open_price_(row_of_.size()),
        distance_(row_of_.size()),
        nearest_((row_of_.size() + kBlock - 1) / kBlock),
        searched_by_(static_cast<size_t>(num_rows), -1) {
    out_.col_of.assign(static_cast<size_t>(num_rows), -1);
    out_.col_price.assign(row_of_.size(), 0.0);
  }

  DenseSolution run() {
    for (const int32_t i : bid()) search(i);
    return std::move(out_);
  }

 private:
  // A row that a search has reached, and its distance plus its price.
  struct Reached {
    int32_t row;
    double base;
  };
  struct Settled {
    int32_t col;
    double distance;
  };

  const double* row(int64_t i) const { return weight_ + i * num_cols_; }

  void pair(int32_t i, int32_t j) {
    out_.col_of[i] = j;
    row_of_[j] = i;
  }

  // Each row takes its best column and raises the column's price until the second best is as good.
  // The row that had the column bids next. A column that has a row always keeps one, so unmatched
  // columns keep the price 0. Returns the rows that are left.
  std::vector<int32_t> bid() {
    std::vector<int32_t> free, left;
    for (int32_t i = static_cast<int32_t>(num_rows_); i-- > 0;) free.push_back(i);
    double* const price = out_.col_price.data();
    for (int64_t bids = kBidsPerRow * num_rows_; bids > 0 && !free.empty(); --bids) {
      const int32_t i = free.back();
      free.pop_back();
      const TwoBest best = two_best(i);
      const int32_t j = best_column(i, best);
      // If the price does not rise, a bid for a column that is taken would only go round.
      const double raised = price[j] + (best.first - best.second);
      if (row_of_[j] >= 0 && !(raised > price[j])) {
        left.push_back(i);
        continue;
      }
      if (best.second > -kInf) price[j] = raised;
      const int32_t loser = row_of_[j];
      pair(i, j);
      if (loser < 0) continue;
      out_.col_of[loser] = -1;
      free.push_back(loser);
    }
    left.insert(left.end(), free.rbegin(), free.rend());
    return left;
  }

  TwoBest two_best(int32_t i) const {
    const double* const weight = row(i);
    const double* const price = out_.col_price.data();
    Lanes first[2] = {both(-kInf), both(-kInf)}, second[2] = {both(-kInf), both(-kInf)};
    int64_t j = 0;
    for (; j + 2 * kLanes <= num_cols_; j += 2 * kLanes) {
      for (int k = 0; k < 2; ++k) {
        const Lanes value = load(weight + j + k * kLanes) - load(price + j + k * kLanes);
        second[k] = larger(second[k], smaller(first[k], value));
        first[k] = larger(first[k], value);
      }
    }
    TwoBest best;
    for (; j < num_cols_; ++j) best.add(weight[j] - price[j]);
    for (int k = 0; k < 2; ++k) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        best.add(first[k][lane]);
        best.add(second[k][lane]);
      }
    }
    return best;
  }

  // The row's best column; of several, one without a row if there is any.
  int32_t best_column(int32_t i, const TwoBest& best) const {
    const double* const weight = row(i);
    int32_t found = -1;
    for (int32_t j = 0; j < num_cols_; ++j) {
      if (weight[j] - out_.col_price[j] != best.first) continue;
      if (row_of_[j] < 0 || best.first > best.second) return j;
      if (found < 0) found = j;
    }
    return found;
  }

  // Dijkstra from a free row to the nearest free column, by reduced costs
  // (the row's best value) - (weight - price) >= 0. Prices of settled columns then rise by what
  // they are nearer than that column, and pairs along the path change.
  void search(int32_t root) {
    reached_.clear();
    settled_.clear();
    open_price_ = out_.col_price;
    std::fill(distance_.begin(), distance_.end(), kInf);
    Reached next{root, two_best(root).first};
    for (;;) {
      // An equal row that was reached before was no farther away: this one has nothing to add.
      int32_t& searched_by = searched_by_[equal_[next.row]];
      if (searched_by != root) relax(next);
      searched_by = root;
      const double least = *std::min_element(nearest_.begin(), nearest_.end());
      const int32_t j = column_at(least);
      settled_.push_back({j, least});
      const int32_t i = row_of_[j];
      if (i < 0) break;
      next = {i, least + (row(i)[j] - out_.col_price[j])};
      distance_[j] = open_price_[j] = kInf;  // looked at no more
      const auto block = distance_.begin() + j / kBlock * kBlock;
      nearest_[j / kBlock] =
          *std::min_element(block, block + std::min(distance_.end() - block, kBlock));
    }
    apply();
  }

  // Brings the distances up to date with a row just reached.
  void relax(Reached from) {
    reached_.push_back(from);
    const double* const weight = row(from.row);
    for (int64_t start = 0; start < num_cols_; start += kBlock)
      nearest_[start / kBlock] =
          relax_block(from.base, weight + start, &open_price_[start], &distance_[start],
                      std::min(num_cols_ - start, kBlock));
  }

  // Returns the least of these distances.
  static double relax_block(double base, const double* weight, const double* price,
                            double* distance, int64_t size) {
    Lanes nearest[2] = {both(kInf), both(kInf)};
    int64_t j = 0;
    for (; j + 2 * kLanes <= size; j += 2 * kLanes) {
      for (int k = 0; k < 2; ++k) {
        const int64_t at = j + k * kLanes;
        const Lanes through = both(base) + (load(price + at) - load(weight + at));
        const Lanes least = smaller(through, load(distance + at));
        store(distance + at, least);
        nearest[k] = smaller(nearest[k], least);
      }
    }
    const Lanes pair = smaller(nearest[0], nearest[1]);
    double least = std::min(pair[0], pair[1]);
    for (; j < size; ++j) {
      distance[j] = std::min(distance[j], base + (price[j] - weight[j]));
      least = std::min(least, distance[j]);
    }
    return least;
  }

  // An open column at the least distance; one without a row if there is any.
  int32_t column_at(double least) const {
    int32_t found = -1;
    for (int64_t start = 0; start < num_cols_; start += kBlock) {
      if (nearest_[start / kBlock] != least) continue;
      const int64_t stop = std::min(num_cols_, start + kBlock);
      for (int32_t j = static_cast<int32_t>(start); j < stop; ++j) {
        if (distance_[j] != least) continue;
        if (row_of_[j] < 0) return j;
        if (found < 0) found = j;
      }
    }
    if (!(least < kInf)) throw std::logic_error("dense: no column can be reached");
    return found;
  }

  void apply() {
    const Settled end = settled_.back();
    settled_.pop_back();
    Settled at = end;
    for (;;) {
      const int32_t i = row_before(at);
      const int32_t left = out_.col_of[i];
      pair(i, at.col);
      if (left < 0) break;
      at = *std::find_if(settled_.begin(), settled_.end(),
                         [=](const Settled& one) { return one.col == left; });
    }
    for (const Settled& one : settled_) out_.col_price[one.col] += end.distance - one.distance;
  }

  // The first row reached that gave the column its distance: the same sum again, to the last bit.
  int32_t row_before(Settled at) const {
    for (const Reached& from : reached_)
      if (from.base + (out_.col_price[at.col] - row(from.row)[at.col]) == at.distance)
        return from.row;
    throw std::logic_error("dense: no row gave this distance");
  }

  const double* const weight_;
  const int64_t* const equal_;
  const int64_t num_rows_, num_cols_;
  DenseSolution out_;
  std::vector<int32_t> row_of_;       // -1: none
  std::vector<double> open_price_;    // infinite where settled
  std::vector<double> distance_;      // of open columns; infinite where settled
  std::vector<double> nearest_;       // the least distance of each block
  std::vector<int32_t> searched_by_;  // the last search that came to one of these equal rows
  std::vector<Reached> reached_;
  std::vector<Settled> settled_;  // in the order of their distances
};

}  // namespace

DenseSolution solve_dense(const double* weight, const int64_t* equal, int64_t num_rows,
                          int64_t num_cols) {
  return Dense(weight, equal, num_rows, num_cols).run();
}

}  // namespace twinsae
