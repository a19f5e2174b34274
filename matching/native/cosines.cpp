#include "cosines.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kEdgesOfTask = 4096;
constexpr int64_t kSums = 8;

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Half {
  uint16_t bits;
  operator double() const {
    // Its exponent is 112 less than float32's would be; subnormal numbers come out right, too.
    const float magnitude = from_bits(static_cast<uint32_t>(bits & 0x7fff) << 13) * 0x1p112f;
    return bits & 0x8000 ? -magnitude : magnitude;
  }
};

struct Brain {
  uint16_t bits;
  operator double() const { return from_bits(static_cast<uint32_t>(bits) << 16); }
};

template <class Value>
double dot(const double* a, const Value* b, double scale, int64_t depth) {
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= depth; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) sums[s] += a[i + s] * (static_cast<double>(b[i + s]) * scale);
  for (; i < depth; ++i) sums[0] += a[i] * (static_cast<double>(b[i]) * scale);
  for (int64_t half = kSums / 2; half; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

// Calls body(pointer to the values).
template <class Body>
void with_type(const StoredRows& rows, const Body& body) {
  switch (rows.type) {
    case Stored::float64: return body(static_cast<const double*>(rows.data));
    case Stored::float32: return body(static_cast<const float*>(rows.data));
    case Stored::float16: return body(static_cast<const Half*>(rows.data));
    case Stored::bfloat16: return body(static_cast<const Brain*>(rows.data));
  }
}

}  // namespace

template <class Index>
void edge_cosines(const StoredRows& a, const StoredRows& b, const Index* rows, const Index* cols,
                  int64_t edges, int threads, double* out) {
  const int64_t depth = a.depth;
  parallel_for((edges + kEdgesOfTask - 1) / kEdgesOfTask, threads, [&](int64_t task) {
    std::vector<double> row(static_cast<size_t>(depth));
    int64_t loaded = -1;
    const int64_t end = std::min(edges, (task + 1) * kEdgesOfTask);
    with_type(b, [&](const auto* values) {
      for (int64_t e = task * kEdgesOfTask; e < end; ++e) {
        const int64_t i = rows[e], j = cols[e];
        if (i != loaded)
          with_type(a, [&](const auto* from) {
            for (int64_t d = 0; d < depth; ++d)
              row[d] = static_cast<double>(from[i * depth + d]) * a.scale[i];
          });
        loaded = i;
        const double norms = a.norm[i] * b.norm[j];
        out[e] = norms > 0 ? dot(row.data(), values + j * depth, b.scale[j], depth) / norms : 0.0;
      }
    });
  });
}

template void edge_cosines(const StoredRows&, const StoredRows&, const int32_t*, const int32_t*,
                           int64_t, int, double*);
template void edge_cosines(const StoredRows&, const StoredRows&, const int64_t*, const int64_t*,
                           int64_t, int, double*);

}  // namespace twinsae
