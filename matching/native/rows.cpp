#include "rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "util/parallel.h"

namespace twinsae {

extern const RowLoops portable_row_loops;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
extern const RowLoops avx2_row_loops, avx512_row_loops;

const RowLoops& row_loops() {
  const char* const forced = std::getenv("TWINSAE_CPU_ISA");  // as for the kernels
  const std::string name = forced ? forced : "";
  if (name == "portable") return portable_row_loops;
  if (name == "avx2") return avx2_row_loops;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return avx512_row_loops;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2_row_loops;
  return portable_row_loops;
}
#else
const RowLoops& row_loops() { return portable_row_loops; }
#endif

namespace {

constexpr int64_t kEdgesOfTask = 4096, kRowsOfTask = 64;

// Calls body(begin, end) for parts of [0, count).
template <class Body>
void parallel_parts(int64_t count, int64_t size, int threads, const Body& body) {
  parallel_for((count + size - 1) / size, threads,
               [&](int64_t task) { body(task * size, std::min(count, (task + 1) * size)); });
}

}  // namespace

int64_t measure_rows(const StoredRows& rows, int threads, double* scale, double* norm) {
  const RowLoops& loops = row_loops();
  std::atomic<int64_t> first{rows.count};
  parallel_parts(rows.count, kRowsOfTask, threads, [&](int64_t begin, int64_t end) {
    std::vector<double> scaled(static_cast<size_t>(rows.depth + 8));
    for (int64_t i = begin; i < end; ++i) {
      const double largest = loops.largest[rows.type](rows.row(i), rows.depth);
      if (!std::isfinite(largest)) {
        int64_t known = first;
        while (i < known && !first.compare_exchange_weak(known, i)) {
        }
        return;
      }
      int exponent;
      std::frexp(largest, &exponent);
      scale[i] = std::ldexp(1.0, -std::clamp(exponent, -kLargestExponent, kLargestExponent));
      loops.widen[rows.type](rows.row(i), scale[i], rows.depth, scaled.data());
      norm[i] = std::sqrt(loops.dot[rows.type](scaled.data(), rows.row(i), scale[i], rows.depth));
    }
  });
  return first == rows.count ? -1 : first.load();
}

void edge_cosines(const StoredRows& a, const StoredRows& b, const int32_t* rows,
                  const int32_t* cols, int64_t edges, int threads, double* out) {
  const RowLoops& loops = row_loops();
  parallel_parts(edges, kEdgesOfTask, threads, [&](int64_t begin, int64_t end) {
    std::vector<double> row(static_cast<size_t>(a.depth + 8));
    int32_t loaded = -1;
    for (int64_t e = begin; e < end; ++e) {
      const int32_t i = rows[e], j = cols[e];
      if (i != loaded) loops.widen[a.type](a.row(i), a.scale[i], a.depth, row.data());
      loaded = i;
      const double norms = a.norm[i] * b.norm[j];
      out[e] = norms > 0 ? loops.dot[b.type](row.data(), b.row(j), b.scale[j], b.depth) / norms : 0;
    }
  });
}

void unit_rows(const StoredRows& rows, const int64_t* names, int64_t count, int threads,
               float* out) {
  const RowLoops& loops = row_loops();
  parallel_parts(count, kRowsOfTask, threads, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const double norm = rows.norm[names[n]] > 0 ? rows.norm[names[n]] : 1;
      loops.unit[rows.type](rows.row(names[n]), rows.scale[names[n]], norm, rows.depth,
                            out + n * rows.depth);
    }
  });
}

}  // namespace twinsae
