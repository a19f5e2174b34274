#include "codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

struct Entry {
  double excess, value;
  int32_t partner;
};

bool better(const Entry& x, const Entry& y) {
  return x.excess > y.excess || (x.excess == y.excess && x.partner < y.partner);
}

// The best entries that each of some lists was offered, as heaps with the worst in front.
class BestLists {
 public:
  BestLists(int64_t count, int64_t most, double floor)
      : most_(most), floor_(floor), needed_(count, floor), sizes_(count), entries_(count * most) {}

  // An entry of lower excess does not enter the list.
  const double* needed() const { return needed_.data(); }

  void offer(int64_t list, const Entry& entry) {
    if (!(entry.excess > floor_)) return;
    Entry* const first = &entries_[list * most_];
    int64_t& size = sizes_[list];
    if (size == most_) {
      if (!better(entry, *first)) return;
      std::pop_heap(first, first + size--, better);
    }
    first[size++] = entry;
    std::push_heap(first, first + size, better);
    if (size == most_) needed_[list] = first->excess;
  }

  void offer_all(const BestLists& other, int64_t list) {
    for (int64_t e = 0; e < other.sizes_[list]; ++e) offer(list, other.entries_[list * most_ + e]);
  }

  // Writes a list, the best first, and empties it.
  void take(int64_t list, int64_t place, const Lists& out) {
    Entry* const first = &entries_[list * most_];
    const int64_t size = sizes_[list];
    std::sort(first, first + size, better);
    for (int64_t e = 0; e < most_; ++e) {
      out.partners[place * most_ + e] = e < size ? first[e].partner : -1;
      out.values[place * most_ + e] = e < size ? first[e].value : 0;
    }
    sizes_[list] = 0;
    needed_[list] = floor_;
  }

 private:
  int64_t most_;
  double floor_;
  std::vector<double> needed_;
  std::vector<int64_t> sizes_;
  std::vector<Entry> entries_;
};

// Calls body(token's row of `s.cols_of_token`, the activation there) for each token of a row.
template <class Body>
void for_each_token(const Similarities& s, int64_t row, const Body& body) {
  constexpr int64_t kAhead = 4, kFarAhead = 8;  // tokens lie anywhere in memory
  const SparseRows &a = s.tokens_of_row, &b = s.cols_of_token;
  const int64_t end = a.offsets[row + 1];
  for (int64_t p = a.offsets[row]; p < end; ++p) {
    if (p + kFarAhead < end) __builtin_prefetch(&b.offsets[a.members[p + kFarAhead]]);
    if (p + kAhead < end) {
      const int64_t next = b.offsets[a.members[p + kAhead]];
      for (int64_t q = 0; q < 32; q += 16) {
        __builtin_prefetch(&b.members[next + q]);
        __builtin_prefetch(&b.values[next + q]);
      }
    }
    body(a.members[p], static_cast<double>(a.values[p]));
  }
}

// One thread's search: d of one row with all columns, and the lists of columns so far.
class Search {
 public:
  Search(const Similarities& s, const Wanted& wanted)
      : s_(s),
        wanted_(wanted),
        dots_(s.cols.count),
        values_(s.cols.count),
        of_row_(1, wanted.most, wanted.floor),
        of_cols_(s.cols.count, wanted.most, wanted.floor),
        col_max_(s.cols.count, kNone) {}

  void look_at(int64_t row, const Best& best) {
    if (s_.rows.scale[row] != 0) {
      add_products(row);
      best.row_max[row] = score(row);
      list(row);
    }
    of_row_.take(0, row, best.of_rows);
  }

  void merge(const Search& other) {
    for (int64_t j = 0; j < s_.cols.count; ++j) {
      of_cols_.offer_all(other.of_cols_, j);
      col_max_[j] = std::max(col_max_[j], other.col_max_[j]);
    }
    worst_ = std::max(worst_, other.worst_);
  }

  double finish(const Best& best) {
    for (int64_t j = 0; j < s_.cols.count; ++j) of_cols_.take(j, j, best.of_cols);
    std::copy(col_max_.begin(), col_max_.end(), best.col_max);
    return worst_;
  }

 private:
  void add_products(int64_t row) {
    const SparseRows& b = s_.cols_of_token;
    double* const dots = dots_.data();
    for_each_token(s_, row, [&](int32_t token, double activation) {
      for (int64_t q = b.offsets[token]; q < b.offsets[token + 1]; ++q)
        dots[b.members[q]] += activation * static_cast<double>(b.values[q]);
    });
  }

  // Turns d into S, empties d, and returns the largest S.
  double score(int64_t row) {
    const double shift = s_.rows.shift[row], scale = s_.rows.scale[row];
    const double *col_shift = s_.cols.shift, *col_scale = s_.cols.scale;
    double *dots = dots_.data(), *values = values_.data(), *col_max = col_max_.data();
    double row_max = kNone;
    for (int64_t j = 0; j < s_.cols.count; ++j) {
      const double value = (dots[j] - shift * col_shift[j]) * (scale * col_scale[j]);
      dots[j] = 0;
      values[j] = value;
      col_max[j] = value > col_max[j] ? value : col_max[j];
      row_max = value > row_max ? value : row_max;
    }
    return row_max;
  }

  void list(int64_t row) {
    const double price = wanted_.row_price[row];
    const double *const col_price = wanted_.col_price, *const needed = of_cols_.needed();
    double worst = worst_;
    for (int64_t j = 0; j < s_.cols.count; ++j) {
      const double value = values_[j], excess = value - price - col_price[j];
      worst = excess > worst ? excess : worst;
      const bool in_row = excess >= *of_row_.needed(), in_col = excess >= needed[j];
      if (!(in_row || in_col)) continue;
      of_row_.offer(0, {excess, value, static_cast<int32_t>(j)});
      of_cols_.offer(j, {excess, value, static_cast<int32_t>(row)});
    }
    worst_ = worst;
  }

  const Similarities& s_;
  const Wanted& wanted_;
  std::vector<double> dots_, values_;  // (columns)
  BestLists of_row_, of_cols_;
  std::vector<double> col_max_;  // (columns)
  double worst_ = kNone;
};

// Calls body(e, sum) for each pair, with the sum of term(activation of the row, of the column) over
// the tokens on which both are active.
template <class Sum, class Term, class Body>
void for_each_pair(const Similarities& s, const int32_t* rows, const int32_t* cols, int64_t pairs,
                   int threads, const Term& term, const Body& body) {
  std::vector<int64_t> starts;  // of the runs of pairs of one row
  for (int64_t e = 0; e < pairs; ++e)
    if (e == 0 || rows[e] != rows[e - 1]) starts.push_back(e);
  const int64_t runs = static_cast<int64_t>(starts.size());
  starts.push_back(pairs);
  const SparseRows& b = s.cols_of_token;
  std::vector<std::vector<Sum>> all_sums(threads, std::vector<Sum>(s.cols.count));
  std::atomic<int64_t> next{0};
  parallel_for(threads, threads, [&](int64_t t) {
    Sum* const sums = all_sums[t].data();
    for (int64_t run; (run = next.fetch_add(1, std::memory_order_relaxed)) < runs;) {
      std::fill_n(sums, s.cols.count, Sum{0});
      for_each_token(s, rows[starts[run]], [&](int32_t token, double activation) {
        for (int64_t q = b.offsets[token]; q < b.offsets[token + 1]; ++q)
          sums[b.members[q]] += term(activation, b.values[q]);
      });
      for (int64_t e = starts[run]; e < starts[run + 1]; ++e) body(e, sums[cols[e]]);
    }
  });
}

}  // namespace

double best_pairs(const Similarities& s, const Wanted& wanted, int threads, const Best& best) {
  std::vector<Search> searches;
  searches.reserve(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t) searches.emplace_back(s, wanted);
  std::fill_n(best.row_max, s.rows.count, kNone);
  std::atomic<int64_t> next{0};
  parallel_for(threads, threads, [&](int64_t t) {
    for (int64_t row; (row = next.fetch_add(1, std::memory_order_relaxed)) < s.rows.count;)
      searches[t].look_at(row, best);
  });
  for (int t = 1; t < threads; ++t) searches[0].merge(searches[t]);
  return searches[0].finish(best);
}

void pair_similarities(const Similarities& s, const int32_t* rows, const int32_t* cols,
                       int64_t pairs, int threads, double* values) {
  const auto product = [](double x, float y) { return x * static_cast<double>(y); };
  for_each_pair<double>(s, rows, cols, pairs, threads, product, [&](int64_t e, double dot) {
    const int32_t i = rows[e], j = cols[e];
    values[e] = (dot - s.rows.shift[i] * s.cols.shift[j]) * (s.rows.scale[i] * s.cols.scale[j]);
  });
}

void pair_counts(const Similarities& s, const int32_t* rows, const int32_t* cols, int64_t pairs,
                 int threads, int64_t* together) {
  const auto one = [](double, float) { return 1; };
  for_each_pair<int32_t>(s, rows, cols, pairs, threads, one,
                         [&](int64_t e, int32_t count) { together[e] = count; });
}

void sum_codes(const SparseRows& latents_of_token, int64_t latents, int64_t* fired, double* total,
               double* squares) {
  const SparseRows& rows = latents_of_token;
  std::fill_n(fired, latents, 0);
  std::fill_n(total, latents, 0.0);
  std::fill_n(squares, latents, 0.0);
  std::vector<int64_t> seen(latents, -1);  // the last token of each latent
  for (int64_t token = 0; token < rows.count; ++token) {
    for (int64_t p = rows.offsets[token]; p < rows.offsets[token + 1]; ++p) {
      const int32_t latent = rows.members[p];
      const double value = rows.values[p];
      const auto refuse = [&](const std::string& why) {
        throw std::invalid_argument("token " + std::to_string(token) + ": " + why);
      };
      if (latent < 0 || latent >= latents)
        refuse("expected latents from 0 to " + std::to_string(latents - 1) + ", got " +
               std::to_string(latent));
      if (seen[latent] == token)
        refuse("expected each latent once, got " + std::to_string(latent) + " twice");
      if (value == 0 || !std::isfinite(value))
        refuse("expected finite activations other than 0, got " + std::to_string(value));
      seen[latent] = token;
      ++fired[latent];
      total[latent] += value;
      squares[latent] += value * value;
    }
  }
}

}  // namespace twinsae
