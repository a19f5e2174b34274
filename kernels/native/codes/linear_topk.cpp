// linear_topk by a scan of codes that proposes and a float32 re-score that decides.
#include <algorithm>
#include <cmath>
#include <vector>

#include "codes/finish.h"
#include "codes/rescore.h"
#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/survivors.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kSlabBytes = 16 << 20;  // of latents' codes at a time, where the call packs them

// The eligible latents of one group.
struct Group {
  std::vector<int32_t> names;  // of each column, if there is a mask: its latent in the group
  int64_t count, depth;
  const float* weight;  // of the group
  const float* bias;    // of the group, or null

  Group(const LinearTopK& q, int64_t g)
      : count(q.latents),
        depth(q.depth),
        weight(q.weight + g * q.latents * q.depth),
        bias(q.bias ? q.bias + g * q.latents : nullptr) {
    if (!q.mask) return;
    names = eligible(q.mask + g * q.latents, q.latents);
    count = static_cast<int64_t>(names.size());
  }
  int64_t latent(int64_t column) const { return names.empty() ? column : names[column]; }
  const float* row(int64_t column) const { return weight + latent(column) * depth; }
  float start(int64_t column) const { return bias ? bias[latent(column)] : 0.0f; }
};

// The columns of a group, a slab at a time. All of them are one slab if they are packed already.
class Slabs {
 public:
  Slabs(const LinearTopK& q, const CodesIsa& float32, CodePanels packed, int threads)
      : float32_(float32),
        packed_(packed),
        threads_(threads),
        bytes_(float32.row_bytes(q.depth) * kPanel),
        most_(std::min(panel_count(q.latents), std::max<int64_t>(1, kSlabBytes / bytes_))),
        codes_(packed.panels ? 0 : most_ * bytes_),
        bounds_(packed.panels ? 0 : most_) {}

  // Calls body(columns) for each slab of group g.
  template <class Body>
  void each(const Group& group, int64_t g, int64_t latents, const Body& body) {
    const int64_t step = packed_.panels ? latents : most_ * kPanel;
    for (int64_t first = 0; first < group.count; first += step) {
      CodeColumns columns = open(group, g * latents, first, std::min(step, group.count - first));
      if (group.bias)
        for (int64_t c = first; c < columns.end(); ++c) columns.add(c, group.start(c));
      body(columns);
    }
  }

 private:
  CodeColumns open(const Group& group, int64_t stacked, int64_t first, int64_t count) {
    if (packed_.panels) {
      const int64_t panel = stacked / kPanel;
      return {packed_.panels + panel * bytes_,
              packed_.bounds + panel,
              bytes_,
              stacked % kPanel,
              0,
              count};
    }
    const bool named = !group.names.empty();
    pack_codes(float32_, named ? group.weight : group.row(first),
               named ? group.names.data() + first : nullptr, count, group.depth, threads_,
               codes_.data(), bounds_.data());
    return {codes_.data(), bounds_.data(), bytes_, 0, first, count};
  }

  const CodesIsa& float32_;
  CodePanels packed_;
  int threads_;
  int64_t bytes_, most_;  // bytes of a panel, and the most panels of a slab
  Scratch<int8_t> codes_;
  Scratch<PanelBounds> bounds_;
};

// The working memory of one call, and the steps of its scan.
struct Work {
  const LinearTopK& q;
  const CodesIsa& isa;
  const Float32Isa& float32;
  int threads;
  Slabs slabs;
  TokenTiles tokens;
  Survivors survivors;

  float score(const Group& group, const float* x, int64_t row, int64_t column) const {
    return float32.dot(x + row * q.depth, group.row(column), q.depth) + group.start(column);
  }

  // Lists the survivors of one group for the rows x that `tokens` hold.
  void scan(const Group& group, int64_t g, const float* x) {
    const auto prune = [&](int64_t row) {
      survivors.prune(row, [&](int64_t column) { return score(group, x, row, column); });
    };
    slabs.each(group, g, q.latents, [&](const CodeColumns& columns) {
      const int64_t height = tiles_of_block(tokens, threads);
      parallel_for((tokens.tiles() + height - 1) / height, threads, [&](int64_t task) {
        const TokenBlock block{task * height, std::min(tokens.tiles(), (task + 1) * height)};
        list_survivors(isa, q.depth, tokens, block, columns, columns.first, columns.end(),
                       survivors.lists(0), 0, prune);
      });
    });
    parallel_for(tokens.count(), threads, [&](int64_t row) {
      if (!survivors.failed(row)) prune(row);
    });
  }

  int64_t rescore(const Group& group, const float* x) {
    return rescore_survivors(
        survivors, tokens.count(), group.count, q.k, threads,
        [&](int64_t row) { return x + row * q.depth; },
        [&](int64_t column) { return group.row(column); },
        [&](int64_t column) { return group.start(column); }, float32, q.depth);
  }

  // Writes the results of the rows from `begin` on. Returns how many were redone.
  int64_t finish(const Group& group, int64_t g, int64_t begin, const float* x) {
    const int64_t at = (begin * q.groups + g) * q.k;
    return finish_rows(
        survivors, tokens.count(), group.count, threads,
        [&](int64_t row) { return q.floor[begin + row]; },
        [&](int64_t row, int64_t column) { return score(group, x, row, column); },
        [&](int64_t column) { return group.latent(column); },
        {q.k, q.groups * q.k, q.values + at, q.indices + at});
  }
};

}  // namespace

ScanCounts linear_topk_codes(const LinearTopK& q, const CodesIsa& isa, CodePanels packed,
                             int threads) {
  if (q.mask) packed = {};  // packing the few latents that are left takes less than scanning all
  std::vector<Group> groups;
  for (int64_t g = 0; g < q.groups; ++g) groups.emplace_back(q, g);
  const int64_t room = Survivors::capacity(q.k, isa.close());
  const int64_t most = tokens_at_once(isa, q.rows, q.depth, room * Survivors::kBytesEach);
  Work work{q,
            isa,
            current_float32_isa(),
            threads,
            Slabs(q, isa, packed, threads),
            TokenTiles(isa, most, q.depth),
            Survivors(isa, most, q.k, room)};
  ScanCounts counts{0, 0};
  for (int64_t begin = 0; begin < q.rows; begin += most) {
    const float* x = q.x + begin * q.depth;
    work.tokens.load(x, std::min(most, q.rows - begin), threads);
    for (int64_t g = 0; g < q.groups; ++g) {
      for (int64_t r = 0; r < work.tokens.count(); ++r) {
        work.survivors.restart(r, q.floor[begin + r]);
        if (!std::isfinite(work.tokens.bound(r).residual)) work.survivors.fail(r);
      }
      work.scan(groups[g], g, x);
      counts.survivors += work.rescore(groups[g], x);
      counts.redone += work.finish(groups[g], g, begin, x);
    }
  }
  return counts;
}

}  // namespace twinsae
