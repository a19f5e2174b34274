// linear_above by a scan of codes that proposes and a float32 re-score that decides.
#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <vector>

#include "codes/scan.h"
#include "codes/scans.h"
#include "codes/slabs.h"
#include "codes/waiting.h"
#include "float32/row_lists.h"
#include "util/parallel.h"

namespace twinsae {
namespace {

constexpr int64_t kTasksOfThread = 4;

float bias_of(const LinearAbove& q, int64_t latent) { return q.bias ? q.bias[latent] : 0.0f; }

// By section 5 of bound.h.
void add_starts(const LinearAbove& q, CodeColumns& columns) {
  for (int64_t l = columns.first; l < columns.end(); ++l) {
    const float bias = bias_of(q, l), threshold = q.threshold[l];
    if (threshold == INFINITY)
      columns.add(l, -FLT_MAX, 0.0f);
    else
      columns.add(l, bias - threshold, std::fabs(bias) + std::fabs(threshold));
  }
}

}  // namespace

SparseScores linear_above_codes(const LinearAbove& q, const CodesIsa& isa, CodePanels packed,
                                int threads, ScanCounts& counts) {
  const Float32Isa& float32 = current_float32_isa();
  const int64_t most = tokens_at_once(isa, q.rows, q.depth, 0);
  TokenTiles tokens(isa, most, q.depth);
  Slabs slabs(isa, q.latents, q.depth, packed, threads);
  RowLists lists(q.rows);
  std::atomic<int64_t> scored{0};
  for (int64_t begin = 0; begin < q.rows; begin += most) {
    const float* x = q.x + begin * q.depth;
    tokens.load(x, std::min(most, q.rows - begin), threads);
    const int64_t height = tiles_of_block(tokens, kTasksOfThread * threads);
    lists.start(begin, tokens.count(), height * isa.tile_tokens);
    slabs.each(q.weight, nullptr, q.latents, 0, [&](CodeColumns& columns) {
      add_starts(q, columns);
      parallel_for((tokens.tiles() + height - 1) / height, threads, [&](int64_t task) {
        const TokenBlock block{task * height, std::min(tokens.tiles(), (task + 1) * height)};
        const int64_t first = block.first_tile * isa.tile_tokens;
        Waiting waiting(std::min(tokens.count(), block.end_tile * isa.tile_tokens) - first);
        const auto flush = [&](int64_t row) {
          const float* left = x + row * q.depth;
          scored += waiting.empty(row - first, [&](int64_t l) {
            const float score = float32.dot(left, q.weight + l * q.depth, q.depth) + bias_of(q, l);
            if (q.above(l, score)) lists.add(task, row, l, score);
          });
        };
        list_survivors(isa, q.depth, tokens, block, columns, columns.first, columns.end(),
                       waiting.lists(), first, flush);
        for (int64_t r = 0; r < waiting.rows(); ++r) flush(first + r);
      });
    });
    lists.finish(threads);
  }
  counts = {scored, 0};
  return lists.take();
}

}  // namespace twinsae
