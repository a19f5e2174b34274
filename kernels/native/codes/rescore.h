// Replaces the bounds of survivors by float32 scores.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "codes/survivors.h"
#include "util/parallel.h"

namespace twinsae {

// Candidates to re-score, grouped by latent (column) so that each latent's row is read once. They
// are those at the places [from(row), to(row)) of each row's list.
struct ByColumn {
  std::vector<int64_t> starts;  // (columns + 1)
  std::vector<uint32_t> places;

  template <class From, class To>
  ByColumn(const Survivors& survivors, int64_t rows, int64_t columns, const From& from,
           const To& to)
      : starts(static_cast<size_t>(columns + 1)) {
    const auto each = [&](const auto& body) {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = from(r); j < to(r); ++j) body(survivors.place(r) + j);
    };
    each([&](int64_t place) { ++starts[survivors.column(place) + 1]; });
    for (int64_t c = 0; c < columns; ++c) starts[c + 1] += starts[c];
    places.resize(static_cast<size_t>(starts[columns]));
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    each([&](int64_t place) {
      places[next[survivors.column(place)]++] = static_cast<uint32_t>(place);
    });
  }
};

// Settles the indexed candidates. left(row) and right(column) are vectors of length `depth`;
// start(column) is added to their product.
template <class Left, class Right, class Start>
void score_places(const ByColumn& index, Survivors& survivors, int threads, const Left& left,
                  const Right& right, const Start& start, const Float32Isa& float32,
                  int64_t depth) {
  constexpr int64_t kColumnsOfTask = 64;
  constexpr int64_t kLine = 64 / sizeof(float);
  const int64_t columns = static_cast<int64_t>(index.starts.size()) - 1;
  parallel_for((columns + kColumnsOfTask - 1) / kColumnsOfTask, threads, [&](int64_t task) {
    const int64_t first = task * kColumnsOfTask, end = std::min(columns, first + kColumnsOfTask);
    for (int64_t c = first; c < end; ++c) {
      for (int64_t at = index.starts[c]; at < index.starts[c + 1]; ++at) {
        const int64_t place = index.places[at];
        if (survivors.settled(place)) continue;
        if (at + 1 < index.starts[end]) {  // no CPU predicts the next row
          const float* next = left(survivors.row(index.places[at + 1]));
          for (int64_t i = 0; i < depth; i += kLine) __builtin_prefetch(next + i);
        }
        survivors.settle(place,
                         float32.dot(left(survivors.row(place)), right(c), depth) + start(c));
      }
    }
  });
}

// Scores all survivors except those that the exact scores of the k likeliest rule out. Returns how
// many it scored.
template <class Left, class Right, class Start>
int64_t rescore_survivors(Survivors& survivors, int64_t rows, int64_t columns, int64_t k,
                          int threads, const Left& left, const Right& right, const Start& start,
                          const Float32Isa& float32, int64_t depth) {
  std::vector<int64_t> front(static_cast<size_t>(rows));
  const auto score = [&](const auto& from, const auto& to) {
    const ByColumn index(survivors, rows, columns, from, to);
    score_places(index, survivors, threads, left, right, start, float32, depth);
    return index.starts[columns];
  };
  bool crowd = false;
  parallel_for(rows, threads, [&](int64_t r) {
    const bool many = survivors.count(r) > k + k / 2;
    front[r] = many ? survivors.likeliest_first(r) : survivors.count(r);
  });
  for (int64_t r = 0; r < rows; ++r) crowd |= front[r] < survivors.count(r);
  int64_t scored = score([](int64_t) { return 0; }, [&](int64_t r) { return front[r]; });
  if (!crowd) return scored;
  parallel_for(rows, threads, [&](int64_t r) {
    if (front[r] < survivors.count(r)) survivors.drop_behind(r, front[r]);
  });
  return scored +
      score([&](int64_t r) { return front[r]; }, [&](int64_t r) { return survivors.count(r); });
}

}  // namespace twinsae
