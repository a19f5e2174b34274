// The loops of an instruction set and the scans made of them on real numbers. References are sums in
// float64, written out here; float32 results may be off by what rounding in any order can do.
#include "reals.h"

#include <string>

#include "checks.h"

namespace twinsae {
namespace {

constexpr double kUnit = 0x1p-24;  // the largest relative error of one rounding

float draw_real() { return static_cast<float>(std::normal_distribution<double>()(random_bits)); }

Floats reals(int64_t count, float scale = 1.0f) {
  Floats out(count);
  for (int64_t i = 0; i < count; ++i) out[i] = scale * draw_real();
  return out;
}

// A sum in float64, and how far off a float32 sum of the same terms may be, in whatever order.
struct Sum {
  double value = 0, size = 0;
  int64_t terms = 0;

  void add(double term) {
    value += term;
    size += std::fabs(term);
    ++terms;
  }
  double error() const {
    return 1.01 * static_cast<double>(terms + 2) * kUnit * size +
        static_cast<double>(terms) * 0x1p-126;
  }
  bool allows(double got) const { return std::fabs(got - value) <= error(); }
};

Sum product(const float* a, const float* b, int64_t depth, double start = 0) {
  Sum sum;
  for (int64_t i = 0; i < depth; ++i) sum.add(double{a[i]} * double{b[i]});
  sum.add(start);
  return sum;
}

// Rows of several kinds: ordinary ones, long and short ones, one large entry, equal rows, zeros.
Floats rows_of_all_kinds(int64_t count, int64_t depth) {
  Floats rows = reals(count * depth);
  for (int64_t r = 0; r < count; ++r) {
    float* row = rows.data() + r * depth;
    const int64_t kind = r % 7;
    const float scale = kind == 1 ? 1e6f : kind == 2 ? 1e-6f : 1.0f;
    for (int64_t i = 0; i < depth; ++i) row[i] *= scale;
    if (kind == 3) row[draw(0, depth - 1)] = 300.0f;
    if (kind == 4 && r > 4) std::copy_n(rows.data() + 4 * depth, depth, row);
    if (kind == 5 && toss()) std::fill_n(row, depth, 0.0f);
  }
  return rows;
}

bool has_bound(const RowBound& bound) { return std::isfinite(bound.residual); }

// --- the loops in float32 ---

void check_tile(const Float32Isa& isa, int64_t depth) {
  const int height = isa.tile_rows;
  const Floats rows = reals(depth * height), panel = reals(depth * kPanel), init = reals(kPanel);
  Floats out(height * kPanel, 9);
  isa.tile(rows.data(), panel.data(), init.data(), depth, out.data());
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < kPanel; ++c) {
      Sum sum;
      for (int64_t i = 0; i < depth; ++i)
        sum.add(double{rows[i * height + r]} * double{panel[i * kPanel + c]});
      sum.add(init[c]);
      expect(sum.allows(out[r * kPanel + c]), "tile", r * kPanel + c);
    }
  Floats same(depth * height), again(height * kPanel);
  for (int64_t i = 0; i < depth; ++i)
    for (int64_t r = 0; r < height; ++r) same[i * height + r] = rows[i * height];
  isa.tile(same.data(), panel.data(), init.data(), depth, again.data());
  for (int64_t i = 0; i < again.size; ++i)
    expect(again[i] == out[i % kPanel], "tile: a score depends on its place", i);
}

void check_vectors(const Float32Isa& isa, int64_t depth) {
  const Floats a = reals(depth), b = reals(depth);
  expect(product(a.data(), b.data(), depth).allows(isa.dot(a.data(), b.data(), depth)), "dot",
         depth);
  for (int64_t count = 0; count < 10; ++count) {
    const Floats rows = reals(count * depth), scales = reals(count), before = reals(depth);
    Floats out(depth);
    std::copy_n(before.data(), depth, out.data());
    std::vector<const float*> places;
    for (int64_t j = 0; j < count; ++j) places.push_back(rows.data() + j * depth);
    isa.add_rows(out.data(), places.data(), scales.data(), count, depth);
    for (int64_t d = 0; d < depth; ++d) {
      Sum sum;
      sum.add(before[d]);
      for (int64_t j = 0; j < count; ++j) sum.add(double{scales[j]} * double{rows[j * depth + d]});
      expect(sum.allows(out[d]), "add_rows", d);
    }
  }
}

void check_comparisons(const Float32Isa& isa) {
  Floats scores(kPanel, -2, 2), bars(kPanel, -2, 2);
  scores[draw(0, 31)] = kNan, bars[draw(0, 31)] = kNan;
  scores[draw(0, 31)] = -kInf, bars[draw(0, 31)] = kInf;
  const float bar = draw(0, 5) ? bars[0] : kNan;
  uint32_t all = 0, each = 0;
  for (int c = 0; c < kPanel; ++c) {
    all |= uint32_t{!(scores[c] <= bar)} << c;
    each |= uint32_t{!(scores[c] <= bars[c])} << c;
  }
  expect(isa.not_below(scores.data(), bar) == all, "not_below", all);
  expect(isa.not_below_each(scores.data(), bars.data()) == each, "not_below_each", each);
}

void check_adam(const Float32Isa& isa, int64_t depth) {
  const AdamRule rule{0.5f, 0.1f, 0.999f, 0.001f, 1e-3f, 1.5f, 1e-8f};
  const Floats gradient = reals(depth);
  Floats weight = reals(depth), mean = reals(depth), square(depth), before(depth);
  Buffer<uint16_t> low_mean(depth, 0x3f00, 0x3fff), low_square(depth, 0x3f00, 0x3fff);
  Floats low_weight(depth);
  for (int64_t d = 0; d < depth; ++d) {
    square[d] = std::fabs(draw_real());
    if (d % 5 == 4) mean[d] = square[d] = 1e-45f;
    before[d] = low_weight[d] = weight[d];
  }
  const auto widened = [](uint16_t bits) {
    const uint32_t wide = uint32_t{bits} << 16;
    float number;
    std::memcpy(&number, &wide, sizeof number);
    return double{number};
  };
  struct Moments {
    double mean, square, weight;
  };
  const auto updated = [&](int64_t d, double m, double s) -> Moments {
    const double g = double{rule.scale} * gradient[d];
    m += rule.take * (g - m);
    s = rule.keep_square * s + rule.take_square * g * g;
    return {m, s, before[d] - rule.step * m / (rule.root * std::sqrt(s) + rule.eps)};
  };
  const auto near = [](double got, double wanted, double share, double size) {
    return std::fabs(got - wanted) <= share * size;
  };
  std::vector<Moments> wanted, low_wanted;
  for (int64_t d = 0; d < depth; ++d) {
    wanted.push_back(updated(d, mean[d], square[d]));
    low_wanted.push_back(updated(d, widened(low_mean[d]), widened(low_square[d])));
  }
  isa.adam(rule, gradient.data(), weight.data(), mean.data(), square.data(), depth);
  isa.adam_bfloat16(rule, 7, 3, gradient.data(), low_weight.data(), low_mean.data(),
                    low_square.data(), depth);
  for (int64_t d = 0; d < depth; ++d) {
    expect(near(mean[d], wanted[d].mean, 1e-6, 4), "adam mean", d);
    expect(near(square[d], wanted[d].square, 1e-6, wanted[d].square), "adam square", d);
    expect(near(weight[d], wanted[d].weight, 1e-6, 1 + std::fabs(before[d])), "adam weight", d);
    // bfloat16 keeps 8 bits; rounding is up or down.
    expect(near(widened(low_mean[d]), low_wanted[d].mean, 0x1p-7, 4), "bfloat16 mean", d);
    expect(near(widened(low_square[d]), low_wanted[d].square, 0x1p-7, low_wanted[d].square),
           "bfloat16 square", d);
    expect(near(low_weight[d], low_wanted[d].weight, 1e-6, 1 + std::fabs(before[d])),
           "bfloat16 weight", d);
  }
  Floats tiny(depth), tiny_mean(depth), tiny_square(depth), no_gradient(depth);
  for (int64_t d = 0; d < depth; ++d) tiny_mean[d] = tiny_square[d] = 1.5e-38f;
  const AdamRule half{1, 0.5f, 0.5f, 0.5f, 0, 1, 1};
  isa.adam(half, no_gradient.data(), tiny.data(), tiny_mean.data(), tiny_square.data(), depth);
  for (int64_t d = 0; d < depth; ++d)
    expect(tiny_mean[d] == 0 && tiny_square[d] == 0, "adam: moments below normal numbers", d);
}

// --- the loops on codes ---

// A row's codes as whole numbers, in both planes, and its bound.
struct CodesOfRow {
  std::vector<int64_t> high, low;
  RowBound bound;

  CodesOfRow(const CodesIsa& isa, const float* row, int64_t depth) {
    std::vector<int8_t> bytes(static_cast<size_t>(2 * isa.plane_bytes(depth)));
    std::vector<float> room(static_cast<size_t>(depth));
    int8_t* second = bytes.data() + isa.plane_bytes(depth);
    bound = isa.quantise(row, depth, room.data(), bytes.data(), second);
    for (int64_t i = 0; i < depth; ++i) {
      int16_t wide;
      std::memcpy(&wide, bytes.data() + (isa.code_bytes == 2 ? 2 * i : 0), sizeof wide);
      high.push_back(isa.code_bytes == 2 ? wide : bytes[i]);
      low.push_back(isa.planes == 2 ? second[i] : 0);
    }
  }
};

int64_t whole_product(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// What `quantise` says of a row, by the codes and by float64.
void check_row(const CodesOfRow& codes, const float* row, int64_t depth, const CodesIsa& isa) {
  Sum squares = product(row, row, depth);
  const double norm = std::sqrt(squares.value);
  const RowBound& bound = codes.bound;
  expect(has_bound(bound), "quantise: a row without a bound", depth);
  expect(bound.norm >= norm && bound.norm <= 1.003 * norm, "quantise: norm", depth);
  double length = 0;
  for (int64_t i = 0; i < depth; ++i) length += std::pow(codes.high[i] + codes.low[i] / 254.0, 2);
  length = std::sqrt(length) * bound.scale;
  if (norm > 0) expect(bound.length >= length, "quantise: length", depth);
  expect(std::fabs(length - norm) <= bound.residual || norm == 0, "quantise: residual", depth);
  expect(bound.residual <= (isa.close() ? 0.002 : 0.05) * norm, "quantise: coarse codes", depth);
}

// The sums of `tile`, and the bounds of `collect`, for all pairs of some rows.
void check_bounds(const CodesIsa& isa, const Float32Isa& float32, int64_t depth) {
  const int64_t tokens = isa.tile_tokens + draw(1, 3), latents = kPanel + draw(1, 31);
  const Floats x = rows_of_all_kinds(tokens, depth), weight = rows_of_all_kinds(latents, depth);
  const Floats bias = reals(latents, 3.0f);
  const PackedCodes packed(isa, weight.data(), latents, depth, 1, true);
  TokenTiles tiles(isa, tokens, depth);
  tiles.load(x.data(), tokens, 1);
  std::vector<CodesOfRow> left, right;
  for (int64_t r = 0; r < tokens; ++r) left.emplace_back(isa, x.data() + r * depth, depth);
  for (int64_t c = 0; c < latents; ++c) right.emplace_back(isa, weight.data() + c * depth, depth);
  for (int64_t r = 0; r < tokens; ++r) check_row(left[r], x.data() + r * depth, depth, isa);

  const int64_t chunks = isa.chunks(depth), middle = draw(0, chunks);
  isa.enter();
  for (int64_t t = 0; t < tiles.tiles(); ++t)
    for (int64_t p = 0; p < panel_count(latents); ++p) {
      alignas(64) int32_t sums[kMaxPlanes * kPlaneOfSums];
      const int8_t* panel = packed.codes.data() + p * kPanel * isa.row_bytes(depth);
      if (middle) isa.tile(tiles.tile(t), panel, packed.bounds[p], chunks, 0, middle, sums);
      isa.tile(tiles.tile(t), panel, packed.bounds[p], chunks, middle, chunks, sums);
      const int64_t first = t * isa.tile_tokens, begin = p * kPanel;
      const int64_t rows = std::min<int64_t>(isa.tile_tokens, tokens - first);
      const int64_t cols = std::min<int64_t>(kPanel, latents - begin);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c) {
          const CodesOfRow &a = left[first + r], &b = right[begin + c];
          expect(sums[r * kPanel + c] == whole_product(a.high, b.high), "tile of codes", c);
          if (isa.planes == 2)
            expect(sums[kPlaneOfSums + r * kPanel + c] ==
                       whole_product(a.high, b.low) + whole_product(a.low, b.high),
                   "tile of codes, low planes", c);
        }
      std::vector<float> offsets(kPanel), doubts(kPanel);
      for (int64_t c = 0; c < cols; ++c) {
        doubts[c] = kStartRounding * std::fabs(bias[begin + c]);
        offsets[c] = bias[begin + c] + doubts[c];
      }
      constexpr int64_t kRoom = 64;
      std::vector<float> upper(kMaxTileTokens * kRoom), lower(upper.size());
      std::vector<int32_t> columns(upper.size()), counts(kMaxTileTokens),
          limits(kMaxTileTokens, 32);
      std::vector<float> thresholds(kMaxTileTokens, -kInf);
      Lists lists{};
      lists.upper = upper.data();
      lists.lower = lower.data();
      lists.columns = columns.data();
      lists.capacity = kRoom;
      lists.counts = counts.data();
      lists.limits = limits.data();
      lists.thresholds = thresholds.data();
      const uint32_t lanes = ~0u >> (kPanel - cols);
      isa.collect(sums, packed.bounds[p], offsets.data(), doubts.data(), lanes,
                  static_cast<int32_t>(begin), &tiles.bound(first), rows, lists);
      for (int64_t r = 0; r < rows; ++r) {
        expect(counts[r] == cols, "collect: how many", counts[r]);
        for (int64_t c = 0; c < cols; ++c) {
          const int64_t at = r * kRoom + c;
          expect(columns[at] == begin + c, "collect: columns", c);
          const float *row = x.data() + (first + r) * depth,
                      *col = weight.data() + (begin + c) * depth;
          const double exact = product(row, col, depth, bias[begin + c]).value;
          const float score = float32.dot(row, col, depth) + bias[begin + c];
          expect(lower[at] <= exact && exact <= upper[at], "the bound of a product", c);
          expect(lower[at] <= score && score <= upper[at], "the bound of a score", c);
          const double size = double{left[first + r].bound.norm} * right[begin + c].bound.norm;
          const double widest = (isa.close() ? 0.004 : 0.13) * size;
          expect(upper[at] - lower[at] <= widest + 1e-4 * std::fabs(bias[begin + c]),
                 "a bound that rules little out", c);
        }
      }
    }
  isa.leave();
}

void check_kth_largest(const CodesIsa& isa) {
  const int64_t count = draw(0, 70), k = draw(1, 40);
  Floats values(count, -3, 3);
  if (toss())
    for (int64_t i = 0; i < count; ++i) values[i] = draw_real();
  if (toss() && count) values[draw(0, count - 1)] = -kInf;
  const float least = toss() ? -kInf : static_cast<float>(draw(-4, 3));
  const float got = isa.kth_largest(values.data(), count, k, least);
  std::vector<float> sorted(values.data(), values.data() + count);
  std::sort(sorted.rbegin(), sorted.rend());
  if (count < k || sorted[k - 1] < least) return expect(got == least, "kth_largest: too few", k);
  const int64_t reach =
      std::count_if(sorted.begin(), sorted.end(), [&](float v) { return v >= got; });
  expect(got >= least && reach >= k, "kth_largest", k);
  expect(reach == k || got == sorted[k - 1], "kth_largest: not close", k);
}

// --- the scans ---

// Scores of all pairs, from float64 sums.
struct Scores {
  int64_t rows, cols;
  std::vector<Sum> sums;

  Scores(const Floats& a, const Floats& b, const float* bias, int64_t depth)
      : rows(a.size / depth), cols(b.size / depth) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        sums.push_back(
            product(a.data() + i * depth, b.data() + j * depth, depth, bias ? bias[j] : 0));
  }
  const Sum& at(int64_t i, int64_t j, bool turned) const {
    return turned ? sums[j * cols + i] : sums[i * cols + j];
  }
};

// Expects the k best of each row (of each column, if turned): values that the sums allow, in
// descending order, equal ones by index, and no better score left out.
void check_best(const Scores& scores, bool turned, int64_t k, const Floats& floor,
                const Floats& values, const Ints& indices, const std::string& what) {
  const int64_t rows = turned ? scores.cols : scores.rows,
                cols = turned ? scores.rows : scores.cols;
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<bool> chosen(static_cast<size_t>(cols));
    int64_t found = 0;
    for (; found < k && indices[i * k + found] >= 0; ++found) {
      const int64_t at = i * k + found, j = indices[at];
      expect(j < cols && !chosen[j], (what + ": index").c_str(), at);
      chosen[j] = true;
      expect(scores.at(i, j, turned).allows(values[at]), (what + ": value").c_str(), at);
      expect(values[at] > floor[i], (what + ": floor").c_str(), at);
      if (!found) continue;
      const bool falls = values[at - 1] > values[at], same = values[at - 1] == values[at];
      expect(falls || (same && indices[at - 1] < j), (what + ": order").c_str(), at);
    }
    for (int64_t at = i * k + found; at < (i + 1) * k; ++at)
      expect(indices[at] == -1 && values[at] == 0, (what + ": missing places").c_str(), at);
    const float bar = found == k ? values[i * k + k - 1] : floor[i];
    for (int64_t j = 0; j < cols; ++j) {
      const Sum& sum = scores.at(i, j, turned);
      expect(chosen[j] || sum.value - sum.error() <= bar, (what + ": left out").c_str(), j);
    }
  }
}

void expect_same(const Floats& a, const Floats& b, const char* what) {
  expect(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size) * sizeof(float)) == 0, what,
         0);
}
void expect_same(const Ints& a, const Ints& b, const char* what) {
  expect(std::equal(a.data(), a.data() + a.size, b.data()), what, 0);
}

void check_topk(const Floats& x, const Floats& weight, const Floats& bias, int64_t depth) {
  const Scores scores(x, weight, bias.data(), depth);
  const int64_t k = draw(1, std::min<int64_t>(scores.cols, 9));
  Floats floor(scores.rows);
  for (int64_t i = 0; i < floor.size; ++i) floor[i] = toss() ? -kInf : draw_real();
  Floats values(scores.rows * k, 9), more_values(values.size);
  Ints indices(values.size, 9), more_indices(values.size);
  LinearTopK q{};
  q.rows = scores.rows, q.depth = depth, q.latents = scores.cols, q.groups = 1, q.k = k;
  q.x = x.data(), q.weight = weight.data(), q.bias = bias.data(), q.floor = floor.data();
  const auto run = [&](Floats& to, Ints& indices_to, int threads) {
    q.values = to.data(), q.indices = indices_to.data();
    if (const CodesIsa* isa = codes_for(depth))
      linear_topk_codes(q, *isa, {}, threads);
    else
      linear_topk(q, threads);
  };
  run(values, indices, 1);
  check_best(scores, false, k, floor, values, indices, "linear_topk");
  run(more_values, more_indices, 3);
  expect_same(values, more_values, "linear_topk: values with three threads");
  expect_same(indices, more_indices, "linear_topk: indices with three threads");
}

void check_mutual(const Floats& a, const Floats& b, int64_t depth) {
  const Scores scores(a, b, nullptr, depth);
  const int64_t m = draw(1, std::min<int64_t>({scores.rows, scores.cols, 6}));
  Floats row_floor(scores.rows), col_floor(scores.cols);
  for (int64_t i = 0; i < scores.rows; ++i) row_floor[i] = toss() ? -kInf : 0.5f;
  for (int64_t j = 0; j < scores.cols; ++j) col_floor[j] = toss() ? -kInf : 0.5f;
  Floats row_values(scores.rows * m, 9), col_values(scores.cols * m, 9);
  Ints row_indices(row_values.size, 9), col_indices(col_values.size, 9);
  MutualTopK q{};
  q.a_rows = scores.rows, q.b_rows = scores.cols, q.depth = depth, q.m = m, q.exact = true;
  q.a = a.data(), q.b = b.data(), q.row_floor = row_floor.data(), q.col_floor = col_floor.data();
  q.row_values = row_values.data(), q.row_indices = row_indices.data();
  q.col_values = col_values.data(), q.col_indices = col_indices.data();
  if (const CodesIsa* isa = codes_for(depth))
    mutual_topk_codes(q, *isa, {}, 2);
  else
    mutual_topk(q, 2);
  check_best(scores, false, m, row_floor, row_values, row_indices, "mutual_topk, rows");
  check_best(scores, true, m, col_floor, col_values, col_indices, "mutual_topk, columns");
}

void check_pairs(const Floats& a, const Floats& b, int64_t depth) {
  const Scores scores(a, b, nullptr, depth);
  Buffer<double> row_price(scores.rows), col_price(scores.cols);
  const double size = std::sqrt(static_cast<double>(depth));
  for (int64_t i = 0; i < scores.rows; ++i) row_price[i] = 0.5 * size * draw_real();
  for (int64_t j = 0; j < scores.cols; ++j) col_price[j] = 0.5 * size * draw_real();
  const Block all{0, scores.rows, 0, scores.cols};
  PairsAbove q{};
  q.a_rows = scores.rows, q.b_rows = scores.cols, q.depth = depth;
  q.capacity = scores.rows * scores.cols, q.exact = true;
  q.a = a.data(), q.b = b.data(), q.row_price = row_price.data(), q.col_price = col_price.data();
  q.margin = 0.25, q.tiles = &all, q.tile_count = 1;
  ScanCounts counts{};
  const CodesIsa* isa = codes_for(depth);
  const Pairs pairs = isa ? pairs_above_codes(q, *isa, {}, 2, counts) : pairs_above(q, nullptr, 2);
  size_t next = 0;
  for (int64_t i = 0; i < scores.rows; ++i)
    for (int64_t j = 0; j < scores.cols; ++j) {
      const bool listed =
          next < pairs.rows.size() && pairs.rows[next] == i && pairs.cols[next] == j;
      next += listed;
      const Sum& sum = scores.at(i, j, false);
      const double excess = sum.value - (row_price[i] + col_price[j] - 0.25);
      expect(std::fabs(excess) <= sum.error() + 1e-12 || listed == (excess > 0), "pairs_above", j);
    }
  expect(next == pairs.rows.size(), "pairs_above: order", static_cast<int64_t>(next));
}

void check_above(const Floats& x, const Floats& weight, const Floats& bias, int64_t depth) {
  const Scores scores(x, weight, bias.data(), depth);
  const Floats threshold = reals(scores.cols, std::sqrt(static_cast<float>(depth)));
  LinearAbove q{};
  q.rows = scores.rows, q.depth = depth, q.latents = scores.cols;
  q.x = x.data(), q.weight = weight.data(), q.bias = bias.data(), q.threshold = threshold.data();
  ScanCounts counts{};
  const CodesIsa* isa = codes_for(depth);
  const SparseScores found = isa ? linear_above_codes(q, *isa, {}, 2, counts) : linear_above(q, 2);
  int64_t next = 0;
  for (int64_t i = 0; i < scores.rows; ++i) {
    expect(found.row_offsets[i] == next, "linear_above: offset", i);
    for (int64_t j = 0; j < scores.cols; ++j) {
      const bool listed = next < found.row_offsets[i + 1] && found.indices[next] == j;
      const Sum& sum = scores.at(i, j, false);
      const double excess = sum.value - threshold[j];
      expect(std::fabs(excess) <= sum.error() || listed == (excess > 0), "linear_above", j);
      if (listed) expect(sum.allows(found.values[next]), "linear_above: value", j);
      next += listed;
    }
  }
  expect(found.row_offsets[scores.rows] == next, "linear_above: order", next);
}

}  // namespace

void check_reals() {
  const Float32Isa& float32 = current_float32_isa();
  const CodesIsa* codes = current_codes_isa();
  for (const int64_t depth : {1, 3, 4, 5, 15, 16, 17, 31, 33, 63, 64, 65, 100, 333, 768, 1030}) {
    check_tile(float32, depth);
    check_vectors(float32, depth);
    check_adam(float32, depth);
    if (codes) check_bounds(*codes, float32, depth);
    for (int repeat = 0; repeat < 2; ++repeat) {
      const Floats x = rows_of_all_kinds(draw(1, 40), depth);
      const Floats weight = rows_of_all_kinds(draw(1, 110), depth);
      const Floats bias = reals(weight.size / depth);
      check_topk(x, weight, bias, depth);
      check_mutual(x, weight, depth);
      check_pairs(x, weight, depth);
      check_above(x, weight, bias, depth);
    }
  }
  for (int i = 0; i < 100; ++i) check_comparisons(float32);
  for (int i = 0; codes && i < 400; ++i) check_kth_largest(*codes);
}

}  // namespace twinsae
