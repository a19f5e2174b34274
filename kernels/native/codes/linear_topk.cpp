// linear_topk by a scan of codes that proposes and a float32 re-score that decides.
#include <algorithm>
#include <cmath>
#include <vector>

#include "codes/finish.h"
#include "codes/rescore.h"
#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/slabs.h"
#include "codes/survivors.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

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
  const int32_t* chosen() const { return names.empty() ? nullptr : names.data(); }
  int64_t latent(int64_t column) const { return names.empty() ? column : names[column]; }
  const float* row(int64_t column) const { return weight + latent(column) * depth; }
  float start(int64_t column) const { return bias ? bias[latent(column)] : 0.0f; }
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
    slabs.each(group.weight, group.chosen(), group.count, g * q.latents, [&](CodeColumns& columns) {
      if (group.bias)
        for (int64_t c = columns.first; c < columns.end(); ++c) columns.add(c, group.start(c));
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
            Slabs(isa, q.latents, q.depth, packed, threads),
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
