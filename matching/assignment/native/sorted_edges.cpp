#include "sorted_edges.h"

#include <algorithm>

#include "util/parallel.h"

namespace twinsae {

void find_edges(const SortedEdges& list, const SortedEdges& wanted, int threads, int64_t* places,
                bool* present) {
  parallel_spans(wanted.count, threads, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) {
      const auto row = std::equal_range(list.rows, list.rows + list.count, wanted.rows[e]);
      const int32_t* const end_of_row = list.cols + (row.second - list.rows);
      const int32_t* const found =
          std::lower_bound(list.cols + (row.first - list.rows), end_of_row, wanted.cols[e]);
      places[e] = found - list.cols;
      present[e] = found < end_of_row && *found == wanted.cols[e];
    }
  });
}

void join_edges(const SortedEdges& list, const double* weights, const SortedEdges& added,
                const double* added_weights, const int64_t* places, int threads,
                const Joined& out) {
  constexpr int64_t kPart = 1 << 18;  // edges of the list
  const int64_t parts = list.count / kPart + 1;
  parallel_for(parts, threads, [&](int64_t part) {
    const int64_t end = part + 1 == parts ? list.count + 1 : (part + 1) * kPart;
    int64_t from = part * kPart;
    int64_t e = std::lower_bound(places, places + added.count, from) - places;
    const auto copy_to = [&](int64_t place) {
      std::copy(list.rows + from, list.rows + place, out.rows + from + e);
      std::copy(list.cols + from, list.cols + place, out.cols + from + e);
      std::copy(weights + from, weights + place, out.weights + from + e);
      from = place;
    };
    for (; e < added.count && places[e] < end; ++e) {
      copy_to(places[e]);
      out.rows[from + e] = added.rows[e];
      out.cols[from + e] = added.cols[e];
      out.weights[from + e] = added_weights[e];
    }
    copy_to(std::min(end, list.count));
  });
}

}  // namespace twinsae
