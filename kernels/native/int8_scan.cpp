// linear_topk by an int8 scan that proposes and a float32 re-score that decides.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <vector>

#include "int8_weight.h"
#include "parallel.h"
#include "scan.h"
#include "select.h"
#include "survivors.h"
#include "tiles.h"

namespace twinsae {
namespace {

constexpr int64_t kStateBytes = 24 << 20;
constexpr int64_t kTilesOfTask = 8;
constexpr int64_t kGrowth = 3;  // latents seen between two looks at the thresholds
constexpr int64_t kColumnsOfTask = 64;

// Quantised rows of x in tiles (quads, 12, 4), with 128 added.
struct TokenTiles {
  std::vector<uint8_t> data;
  std::vector<RowBound> bounds;

  void load(const Int8Isa& isa, const float* x, int64_t rows, int64_t depth, int threads) {
    const int64_t quads = quad_count(depth), tiles = (rows + kTokenTile - 1) / kTokenTile;
    data.resize(static_cast<size_t>(tiles * quads * kTokenTile * kQuad));
    bounds.assign(static_cast<size_t>(tiles * kTokenTile), RowBound{0, 0, 0, 0, 0});
    parallel_for(tiles, threads, [&](int64_t t) {
      std::vector<int8_t> row(static_cast<size_t>(quads * kQuad));
      uint8_t* tile = data.data() + t * quads * kTokenTile * kQuad;
      for (int64_t r = 0; r < kTokenTile; ++r) {
        const int64_t n = t * kTokenTile + r;
        if (n < rows) bounds[n] = isa.quantise(x + n * depth, depth, row.data());
        for (int64_t i = 0; i < quads * kQuad; ++i)
          tile[(i / kQuad * kTokenTile + r) * kQuad + i % kQuad] =
              static_cast<uint8_t>((n < rows ? row[i] : 0) + 128);
      }
    });
  }
};

// The eligible latents of one group, packed. Lane c of panel p is column 32 p + c - shift.
struct Group {
  std::vector<int32_t> names;  // latent of each column within the group, where there is a mask
  int64_t count, shift;
  const int8_t* panels;
  const PanelBounds* bounds;
  const float* weight;  // of the group
  const float* bias;    // of the group, or null
  std::vector<float> offsets, doubts;
  std::vector<int8_t> own_panels;
  std::vector<PanelBounds> own_bounds;

  int64_t panel_total() const { return (shift + count + kPanel - 1) / kPanel; }
  int64_t latent(int64_t column) const { return names.empty() ? column : names[column]; }
  uint32_t lanes(int64_t p) const {
    const int64_t first = p * kPanel - shift;
    uint32_t lanes = ~0u;
    if (first < 0) lanes <<= -first;
    if (count - first < kPanel) lanes &= (1u << (count - first)) - 1;
    return lanes;
  }
  float score(const Isa& isa, const float* x, int64_t column, int64_t depth) const {
    const int64_t l = latent(column);
    return isa.dot(x, weight + l * depth, depth) + (bias ? bias[l] : 0.0f);
  }
  void set_bias() {
    offsets.assign(static_cast<size_t>(panel_total() * kPanel), 0.0f);
    doubts = offsets;
    if (!bias) return;
    for (int64_t c = 0; c < count; ++c) {
      const float value = bias[latent(c)];
      doubts[shift + c] = 4e-6f * std::fabs(value);
      offsets[shift + c] = value + doubts[shift + c];
    }
  }
};

Group open_group(const LinearTopK& q, const Int8Isa& isa, int64_t g, int threads,
                 const Int8Panels& all) {
  const int64_t first = g * q.latents;
  Group group{};
  group.weight = q.weight + first * q.depth;
  group.bias = q.bias ? q.bias + first : nullptr;
  group.count = q.latents;
  if (q.mask) {
    for (int64_t l = 0; l < q.latents; ++l)
      if (q.mask[first + l]) group.names.push_back(static_cast<int32_t>(l));
    group.count = static_cast<int64_t>(group.names.size());
    const int64_t panels = panel_count(group.count);
    group.own_panels.resize(static_cast<size_t>(panels * quad_count(q.depth) * kPanel * kQuad));
    group.own_bounds.resize(static_cast<size_t>(panels));
    pack_int8(isa, group.weight, group.names.data(), group.count, q.depth, threads,
              group.own_panels.data(), group.own_bounds.data());
    group.panels = group.own_panels.data();
    group.bounds = group.own_bounds.data();
  } else {
    group.shift = first % kPanel;
    group.panels = all.panels + first / kPanel * quad_count(q.depth) * kPanel * kQuad;
    group.bounds = all.bounds + first / kPanel;
  }
  group.set_bias();
  return group;
}

void scan_group(const Int8Isa& int8, const Isa& isa, const float* x, const TokenTiles& tokens,
                int64_t rows, const Group& group, int64_t depth, int threads,
                Survivors& survivors) {
  const int64_t quads = quad_count(depth), panel_bytes = quads * kPanel * kQuad;
  const int64_t tiles = (rows + kTokenTile - 1) / kTokenTile, panels = group.panel_total();
  const int64_t height = std::clamp<int64_t>((tiles + threads - 1) / threads, 1, kTilesOfTask);
  const int64_t width = std::max<int64_t>(1, kCacheBytes / std::max<int64_t>(1, panel_bytes));
  const auto prune = [&](int64_t row) {
    survivors.prune(row, [&](int64_t column) {
      return group.score(isa, x + row * depth, column, depth);
    });
  };
  parallel_for((tiles + height - 1) / height, threads, [&](int64_t task) {
    alignas(64) int32_t sums[kTokenTile * kPanel];
    alignas(64) float upper[kTokenTile * kPanel];
    uint32_t bits[kTokenTile];
    const int64_t end_tile = std::min(tiles, (task + 1) * height);
    int64_t pruned = 0;  // panels that the thresholds know of
    for (int64_t block = 0, end_panel; block < panels; block = end_panel) {
      // Short blocks at first: a threshold from few latents lets most of the others pass.
      end_panel = std::min({panels, block + width, std::max<int64_t>(8, kGrowth * block)});
      for (int64_t t = task * height; t < end_tile; ++t) {
        const uint8_t* tile = tokens.data.data() + t * quads * kTokenTile * kQuad;
        const int64_t first = t * kTokenTile, here = std::min<int64_t>(kTokenTile, rows - first);
        for (int64_t p = block; p < end_panel; ++p) {
          const PanelBounds& bounds = group.bounds[p];
          const uint32_t lanes = group.lanes(p);
          int8.tile(tile, group.panels + p * panel_bytes, quads, sums);
          int8.survivors(sums, bounds, group.offsets.data() + p * kPanel, &tokens.bounds[first],
                         survivors.thresholds(first), here, bits, upper);
          for (int64_t r = 0; r < here; ++r) {
            if ((bits[r] & lanes) &&
                survivors.push(first + r, bits[r] & lanes, upper + r * kPanel, bounds,
                               group.doubts.data() + p * kPanel, tokens.bounds[first + r],
                               p * kPanel - group.shift))
              prune(first + r);
          }
        }
      }
      if (end_panel < kGrowth * pruned && end_panel < panels) continue;
      pruned = end_panel;
      const int64_t end_row = std::min(rows, end_tile * kTokenTile);
      for (int64_t row = task * height * kTokenTile; row < end_row; ++row)
        if (!survivors.failed(row)) prune(row);
    }
  });
}

// Replaces the bound of every survivor by its score, latent by latent, so that a latent's row is
// read once for all tokens that want it.
int64_t rescore(const Isa& isa, const LinearTopK& q, const float* x, int64_t rows,
                const Group& group, int threads, Survivors& survivors) {
  std::vector<int64_t> starts(static_cast<size_t>(group.count + 1));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < survivors.count(r); ++j)
      ++starts[survivors.column(survivors.place(r) + j) + 1];
  for (int64_t c = 0; c < group.count; ++c) starts[c + 1] += starts[c];
  std::vector<uint32_t> places(static_cast<size_t>(starts[group.count]));
  {
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < survivors.count(r); ++j) {
        const int64_t place = survivors.place(r) + j;
        places[next[survivors.column(place)]++] = static_cast<uint32_t>(place);
      }
  }
  parallel_for((group.count + kColumnsOfTask - 1) / kColumnsOfTask, threads, [&](int64_t task) {
    const int64_t end = std::min(group.count, (task + 1) * kColumnsOfTask);
    for (int64_t c = task * kColumnsOfTask; c < end; ++c)
      for (int64_t at = starts[c]; at < starts[c + 1]; ++at)
        survivors.score(places[at]) =
            group.score(isa, x + survivors.row(places[at]) * q.depth, c, q.depth);
  });
  return starts[group.count];
}

// Writes the k best of `keys`.
void write_best(std::vector<Key>& keys, const Group& group, int64_t k, float* values,
                int64_t* indices) {
  const int64_t found = std::min<int64_t>(k, static_cast<int64_t>(keys.size()));
  std::partial_sort(keys.begin(), keys.begin() + found, keys.end(), std::greater<Key>());
  for (int64_t j = 0; j < found; ++j) {
    values[j] = key_score(keys[j]);
    indices[j] = group.latent(key_index(keys[j]));
  }
  std::fill(values + found, values + k, 0.0f);
  std::fill(indices + found, indices + k, -1);
}

}  // namespace

ScanCounts linear_topk_int8(const LinearTopK& q, const Int8Isa& int8, Int8Panels packed,
                            int threads) {
  const Isa& isa = current_isa();
  std::vector<int8_t> panels;
  std::vector<PanelBounds> bounds;
  if (!packed.panels && !q.mask) {
    const int64_t count = panel_count(q.groups * q.latents);
    panels.resize(static_cast<size_t>(count * quad_count(q.depth) * kPanel * kQuad));
    bounds.resize(static_cast<size_t>(count));
    pack_int8(int8, q.weight, nullptr, q.groups * q.latents, q.depth, threads, panels.data(),
              bounds.data());
    packed = {panels.data(), bounds.data()};
  }
  const int64_t state = Survivors::capacity(q.k) * Survivors::kBytesEach;
  const int64_t most = std::min(q.rows, std::max<int64_t>(kTokenTile, kStateBytes / state));
  Survivors survivors(most, q.k);
  TokenTiles tokens;
  ScanCounts counts{0, 0};
  std::vector<Group> groups;
  for (int64_t g = 0; g < q.groups; ++g) groups.push_back(open_group(q, int8, g, threads, packed));

  for (int64_t begin = 0; begin < q.rows; begin += most) {
    const int64_t rows = std::min(most, q.rows - begin);
    const float* x = q.x + begin * q.depth;
    tokens.load(int8, x, rows, q.depth, threads);
    for (int64_t g = 0; g < q.groups; ++g) {
      const Group& group = groups[g];
      for (int64_t r = 0; r < rows; ++r) {
        survivors.restart(r, q.floor[begin + r]);
        if (!std::isfinite(tokens.bounds[r].residual)) survivors.fail(r);
      }
      scan_group(int8, isa, x, tokens, rows, group, q.depth, threads, survivors);
      counts.survivors += rescore(isa, q, x, rows, group, threads, survivors);
      std::atomic<int64_t> redone{0};
      parallel_for(rows, threads, [&](int64_t r) {
        std::vector<Key> keys;
        const auto offer = [&](float score, int64_t column) {
          if (!(score <= q.floor[begin + r]))
            keys.push_back(make_key(score, static_cast<uint32_t>(column)));
        };
        if (survivors.failed(r)) {
          ++redone;
          for (int64_t c = 0; c < group.count; ++c)
            offer(group.score(isa, x + r * q.depth, c, q.depth), c);
        } else {
          for (int64_t j = 0; j < survivors.count(r); ++j) {
            const int64_t place = survivors.place(r) + j;
            offer(survivors.score(place), survivors.column(place));
          }
        }
        const int64_t at = ((begin + r) * q.groups + g) * q.k;
        write_best(keys, group, q.k, q.values + at, q.indices + at);
      });
      counts.redone += redone;
    }
  }
  return counts;
}

}  // namespace twinsae
