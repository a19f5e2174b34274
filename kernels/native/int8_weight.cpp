#include "int8_weight.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "parallel.h"
#include "scan.h"

namespace twinsae {

void pack_int8(const Int8Isa& isa, const float* weight, const int32_t* names, int64_t count,
               int64_t depth, int threads, int8_t* panels, PanelBounds* bounds) {
  const int64_t quads = quad_count(depth), panel_bytes = quads * kPanel * kQuad;
  // A float32 score is off by at most depth * 2^-24 |x| |w|; the rest covers the sums in `survivors`.
  const float rounding = 4e-6f + static_cast<float>(depth) * 6.6e-8f;
  parallel_for(panel_count(count), threads, [&](int64_t p) {
    std::vector<int8_t> row(static_cast<size_t>(quads * kQuad));
    int8_t* panel = panels + p * panel_bytes;
    PanelBounds& out = bounds[p];
    for (int64_t c = 0; c < kPanel; ++c) {
      const int64_t at = p * kPanel + c;
      RowBound bound{1.0f, 0.0f, 0.0f, 0.0f, 0};
      if (at < count) {
        bound = isa.quantise(weight + (names ? names[at] : at) * depth, depth, row.data());
      } else {
        std::fill(row.begin(), row.end(), int8_t{0});
      }
      for (int64_t i = 0; i < quads; ++i)
        std::memcpy(panel + (i * kPanel + c) * kQuad, row.data() + i * kQuad, kQuad);
      out.scales[c] = bound.scale;
      out.lengths[c] = bound.length;
      out.slacks[c] = bound.residual + rounding * bound.norm;
      out.shifts[c] = 128 * bound.sum;
    }
  });
}

}  // namespace twinsae
