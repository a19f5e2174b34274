// Runs the C++ kernels without Python, for the sanitizers (`make sanitize`) and for other CPUs (`make
// aarch64`), on buffers of exactly the documented sizes. Contents are small whole numbers, so that
// sums are exact in any order and naive loops must give the same results to the bit; reals.cpp has
// the checks on real numbers. With --choice it says which instruction set this machine gets.
#include <exception>
#include <string>

#include "checks.h"
#include "reals.h"
#include "sparse/latent_adam.h"
#include "sparse/products.h"

using namespace twinsae;

namespace {

void sprinkle(Floats& floats, float value) {
  if (floats.size) floats[draw(0, floats.size - 1)] = value;
}

void expect_equal(Floats& got, Floats& wanted, const char* what) {
  for (int64_t i = 0; i < wanted.size; ++i)
    expect(got[i] == wanted[i] || (std::isnan(got[i]) && std::isnan(wanted[i])), what, i);
}

void expect_equal(Ints& got, Ints& wanted, const char* what) {
  for (int64_t i = 0; i < wanted.size; ++i) expect(got[i] == wanted[i], what, i);
}

// The sum in float64, which is exact here, and fits float32.
float dot(const float* a, const float* b, int64_t depth, float start = 0.0f) {
  double sum = start;
  for (int64_t i = 0; i < depth; ++i) sum += double{a[i]} * double{b[i]};
  return static_cast<float>(sum);
}

// Selects the k best of the eligible scores: NaN first, then larger ones, then lower indices.
void choose(const std::vector<float>& scores, const std::vector<int64_t>& eligible, int64_t k,
            float* values, int64_t* indices) {
  std::vector<int64_t> order = eligible;
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    if (std::isnan(scores[i]) || std::isnan(scores[j]))
      return std::isnan(scores[i]) && !std::isnan(scores[j]);
    return scores[i] > scores[j];
  });
  for (int64_t j = 0; j < k; ++j) {
    const bool found = j < static_cast<int64_t>(order.size());
    values[j] = found ? scores[order[j]] : 0.0f;
    indices[j] = found ? order[j] : -1;
  }
}

void check_linear_topk(int64_t rows, int64_t depth, int64_t groups, int64_t latents, int64_t k) {
  const int64_t all = groups * latents;
  Floats x(rows * depth, -3, 3), weight(all * depth, -3, 3), bias(all, -5, 5), floor(rows, -4, 4);
  if (toss()) sprinkle(x, kNan), sprinkle(weight, kNan), sprinkle(bias, kNan);
  if (toss()) sprinkle(floor, -kInf);
  if (toss()) sprinkle(bias, kInf), sprinkle(bias, -kInf);
  Buffer<bool> mask(all, 0, 1);
  Floats panels(panel_count(all) * depth * kPanel);
  const bool has_bias = toss(), has_mask = toss(), packed = !has_mask && toss();
  const int threads = static_cast<int>(draw(1, 4));
  if (packed) pack_panels(weight.data(), all, depth, threads, panels.data());

  const int64_t places = rows * groups * k;
  Floats values(places, 9), wanted_values(places);
  Ints indices(places, 9), wanted_indices(places);
  LinearTopK problem{};
  problem.rows = rows;
  problem.depth = depth;
  problem.latents = latents;
  problem.groups = groups;
  problem.k = k;
  problem.x = x.data();
  problem.weight = packed ? nullptr : weight.data();
  problem.panels = packed ? panels.data() : nullptr;
  problem.bias = has_bias ? bias.data() : nullptr;
  problem.floor = floor.data();
  problem.mask = has_mask ? mask.data() : nullptr;
  problem.values = values.data();
  problem.indices = indices.data();
  if (const CodesIsa* codes_isa = codes_for(depth)) {
    const PackedCodes codes(*codes_isa, weight.data(), all, depth, threads, packed);
    problem.weight = weight.data();
    linear_topk_codes(problem, *codes_isa, codes.panels(), threads);
  } else {
    linear_topk(problem, threads);
  }

  for (int64_t at = 0; at < rows * groups; ++at) {
    const int64_t n = at / groups, first = at % groups * latents;
    std::vector<float> scores;
    std::vector<int64_t> eligible;
    for (int64_t l = 0; l < latents; ++l) {
      scores.push_back(dot(x.data() + n * depth, weight.data() + (first + l) * depth, depth,
                           has_bias ? bias[first + l] : 0.0f));
      if (!(scores[l] <= floor[n]) && (!has_mask || mask[first + l])) eligible.push_back(l);
    }
    choose(scores, eligible, k, wanted_values.data() + at * k, wanted_indices.data() + at * k);
  }
  expect_equal(values, wanted_values, "linear_topk values");
  expect_equal(indices, wanted_indices, "linear_topk indices");
}

void check_pairs_above(int64_t a_rows, int64_t b_rows, int64_t depth) {
  Floats a(a_rows * depth, -3, 3), b(b_rows * depth, -3, 3);
  if (toss()) sprinkle(a, kNan), sprinkle(b, kInf);
  Buffer<double> row_price(a_rows, -2, 3), col_price(b_rows, -2, 3);
  const int64_t row_cut = draw(0, a_rows), col_cut = draw(0, b_rows);
  const Block tiles[] = {{0, row_cut, 0, b_rows}, {row_cut, a_rows, col_cut, b_rows}};
  const int64_t capacity = toss() ? a_rows * b_rows : 3;
  PairsAbove problem{};
  problem.a_rows = a_rows;
  problem.b_rows = b_rows;
  problem.depth = depth;
  problem.capacity = capacity;
  problem.exact = true;
  problem.a = a.data();
  problem.b = b.data();
  problem.row_price = row_price.data();
  problem.col_price = col_price.data();
  problem.margin = 0.5;
  problem.tiles = tiles;
  problem.tile_count = 2;
  const bool packed = toss();
  const int threads = static_cast<int>(draw(1, 4));
  Pairs pairs;
  if (const CodesIsa* codes_isa = codes_for(depth)) {
    const PackedCodes codes(*codes_isa, b.data(), b_rows, depth, threads, packed);
    ScanCounts counts{};
    pairs = pairs_above_codes(problem, *codes_isa, codes.panels(), threads, counts);
    problem.exact = false;
    problem.capacity = a_rows * b_rows;
    const Pairs more = pairs_above_codes(problem, *codes_isa, codes.panels(), threads, counts);
    expect(more.rows.size() >= pairs.rows.size(), "pairs_above, not exact", a_rows);
  } else {
    Floats panels(panel_count(b_rows) * depth * kPanel);
    pack_panels(b.data(), b_rows, depth, threads, panels.data());
    pairs = pairs_above(problem, packed ? panels.data() : nullptr, threads);
  }

  std::vector<int64_t> rows, cols;
  for (int64_t i = 0; i < a_rows; ++i)
    for (int64_t j = i < row_cut ? 0 : col_cut; j < b_rows; ++j) {
      const float score = dot(a.data() + i * depth, b.data() + j * depth, depth);
      if (!(double{score} > row_price[i] + col_price[j] - 0.5)) continue;
      rows.push_back(i);
      cols.push_back(j);
    }
  const int64_t count = static_cast<int64_t>(rows.size());
  expect(pairs.overflow == std::max<int64_t>(0, count - capacity), "pairs_above overflow", count);
  if (pairs.overflow) rows.clear(), cols.clear();
  expect(pairs.rows == rows && pairs.cols == cols, "pairs_above", count);
}

void check_linear_above(int64_t rows, int64_t latents, int64_t depth) {
  Floats x(rows * depth, -3, 3), weight(latents * depth, -3, 3), bias(latents, -3, 3);
  Floats threshold(latents, -3, 3);
  if (toss()) sprinkle(x, kNan), sprinkle(bias, kInf);
  if (toss()) sprinkle(threshold, kInf), sprinkle(threshold, -kInf);
  const bool packed = toss(), has_bias = toss();
  const int threads = static_cast<int>(draw(1, 4));
  LinearAbove problem{};
  problem.rows = rows;
  problem.depth = depth;
  problem.latents = latents;
  problem.x = x.data();
  problem.weight = weight.data();
  problem.bias = has_bias ? bias.data() : nullptr;
  problem.threshold = threshold.data();
  SparseScores found;
  if (const CodesIsa* codes_isa = current_codes_isa(); codes_isa && depth > 0 && toss()) {
    const PackedCodes codes(*codes_isa, weight.data(), latents, depth, threads, packed);
    ScanCounts counts{};
    found = linear_above_codes(problem, *codes_isa, codes.panels(), threads, counts);
  } else {
    Floats panels(panel_count(latents) * depth * kPanel);
    pack_panels(weight.data(), latents, depth, threads, panels.data());
    if (packed) problem.weight = nullptr, problem.panels = panels.data();
    found = linear_above(problem, threads);
  }
  int64_t place = 0;
  for (int64_t i = 0; i < rows; ++i) {
    expect(found.row_offsets[i] == place, "linear_above, offset", i);
    for (int64_t j = 0; j < latents; ++j) {
      const float product = dot(x.data() + i * depth, weight.data() + j * depth, depth);
      const float score = product + (has_bias ? bias[j] : 0.0f);
      if (score <= threshold[j]) continue;
      const bool named = place < int64_t(found.indices.size()) && found.indices[place] == j;
      expect(named, "linear_above, latent", i);
      expect(found.values[place] == score || std::isnan(score), "linear_above, score", i);
      ++place;
    }
  }
  expect(found.row_offsets[rows] == place && int64_t(found.values.size()) == place,
         "linear_above, places", place);
}

void check_mutual_topk(int64_t a_rows, int64_t b_rows, int64_t depth, int64_t m) {
  Floats a(a_rows * depth, -3, 3), b(b_rows * depth, -3, 3);
  if (toss()) sprinkle(a, kNan), sprinkle(b, kNan);
  Floats panels(panel_count(b_rows) * depth * kPanel);
  const bool packed = toss();
  const int threads = static_cast<int>(draw(1, 4));
  if (packed) pack_panels(b.data(), b_rows, depth, threads, panels.data());
  Floats row_floor(a_rows, -3, 3), col_floor(b_rows, -3, 3);
  if (toss()) sprinkle(row_floor, -kInf), sprinkle(col_floor, -kInf);
  Floats row_values(a_rows * m, 9), col_values(b_rows * m, 9);
  Ints row_indices(a_rows * m, 9), col_indices(b_rows * m, 9);
  MutualTopK problem{};
  problem.a_rows = a_rows;
  problem.b_rows = b_rows;
  problem.depth = depth;
  problem.m = m;
  problem.exact = true;
  problem.a = a.data();
  problem.b = packed ? nullptr : b.data();
  problem.panels = packed ? panels.data() : nullptr;
  problem.row_floor = row_floor.data();
  problem.col_floor = col_floor.data();
  problem.row_values = row_values.data();
  problem.row_indices = row_indices.data();
  problem.col_values = col_values.data();
  problem.col_indices = col_indices.data();
  if (const CodesIsa* codes_isa = codes_for(depth)) {
    const PackedCodes codes(*codes_isa, b.data(), b_rows, depth, threads, packed);
    problem.b = b.data();
    problem.exact = false;  // the Python tests check these results
    mutual_topk_codes(problem, *codes_isa, codes.panels(), threads);
    problem.exact = true;
    mutual_topk_codes(problem, *codes_isa, codes.panels(), threads);
  } else {
    mutual_topk(problem, threads);
  }

  const auto check_side = [&](Floats& left, Floats& right, Floats& floor, Floats& values,
                              Ints& indices) {
    const int64_t count = values.size / m, others = depth ? right.size / depth : 0;
    Floats wanted_values(values.size);
    Ints wanted_indices(indices.size);
    for (int64_t i = 0; i < count; ++i) {
      std::vector<float> scores;
      std::vector<int64_t> above;
      for (int64_t j = 0; j < others; ++j) {
        scores.push_back(dot(left.data() + i * depth, right.data() + j * depth, depth));
        if (!(scores[j] <= floor[i])) above.push_back(j);
      }
      choose(scores, above, m, wanted_values.data() + i * m, wanted_indices.data() + i * m);
    }
    expect_equal(values, wanted_values, "mutual_topk values");
    expect_equal(indices, wanted_indices, "mutual_topk indices");
  };
  check_side(a, b, row_floor, row_values, row_indices);
  check_side(b, a, col_floor, col_values, col_indices);
}

void check_sparse(int64_t rows, int64_t k, int64_t latents, int64_t depth) {
  Ints indices(rows * k, -1, std::max<int64_t>(0, latents - 1));
  if (latents == 0) std::fill(indices.data(), indices.data() + indices.size, -1);
  Floats values(rows * k, -3, 3), d_values(rows * k, -3, 3), weight(latents * depth, -3, 3);
  Floats x(rows * depth, -3, 3), g(rows * depth, -3, 3), bias(depth, -3, 3);
  for (int64_t i = 0; i < indices.size; ++i)
    if (indices[i] < 0) values[i] = d_values[i] = kNan;  // must not be read
  const int threads = static_cast<int>(draw(1, 4));
  const bool has_bias = toss();
  Ints row_offsets(rows + 1, 0);
  for (int64_t n = 0; n <= rows; ++n) row_offsets[n] = n * k;
  const Sparse s{rows, k, latents, depth, indices.data(), toss() ? row_offsets.data() : nullptr};

  Floats decoded(rows * depth, 9), wanted(rows * depth), dots(rows * k, 9), wanted_dots(rows * k);
  const int64_t d_in = draw(0, 40);  // the encoder of a transcoder has a width of its own
  Floats inputs(rows * d_in, -3, 3);
  Floats dW_dec(latents * depth, 1), dW_enc(latents * d_in, 2), db_enc(latents, 3);
  Floats want_dec(latents * depth, 1), want_enc(latents * d_in, 2), want_db(latents, 3);
  Ints fired(latents, 4), want_fired(latents, 4);
  sparse_decode(s, values.data(), weight.data(), has_bias ? bias.data() : nullptr, threads,
                decoded.data());
  gather_dot(s, g.data(), weight.data(), threads, dots.data());
  const float scale = static_cast<float>(draw(-2, 2));
  Floats squares(rows, 9), error(rows * depth, 9), error_dots(rows * k, 9);
  decode_error(s, values.data(), weight.data(), has_bias ? bias.data() : nullptr, x.data(), scale,
               threads, {squares.data(), error.data(), error_dots.data()});
  Floats centre(depth, -3, 3), recon(rows * depth, 9), offs(rows, 9), deviations(rows, 9);
  decode_squares(s, values.data(), weight.data(), has_bias ? bias.data() : nullptr, x.data(),
                 centre.data(), threads, {recon.data(), offs.data(), deviations.data()});
  const bool accumulate = toss();
  LatentGrads grads{};
  latent_grads(s, grads, accumulate, threads);  // all outputs are null
  grads.d_in = d_in;
  grads.d_out = depth;
  grads.values = values.data();
  grads.d_values = d_values.data();
  grads.x = inputs.data();
  grads.g = g.data();
  grads.dW_dec = dW_dec.data();
  grads.dW_enc = dW_enc.data();
  grads.db_enc = db_enc.data();
  grads.fired = fired.data();
  latent_grads(s, grads, accumulate, threads);
  if (!accumulate) {
    want_dec = Floats(latents * depth), want_enc = Floats(latents * d_in);
    want_db = Floats(latents), want_fired = Ints(latents);
  }

  for (int64_t n = 0; n < rows; ++n) {
    std::vector<bool> seen(static_cast<size_t>(latents));
    for (int64_t d = 0; d < depth; ++d) wanted[n * depth + d] = has_bias ? bias[d] : 0.0f;
    for (int64_t i = n * k; i < (n + 1) * k; ++i) {
      const int64_t l = indices[i];
      if (l < 0) continue;
      wanted_dots[i] = dot(g.data() + n * depth, weight.data() + l * depth, depth);
      want_db[l] += d_values[i];
      want_fired[l] += !seen[l];
      seen[l] = true;
      for (int64_t d = 0; d < depth; ++d) {
        wanted[n * depth + d] += values[i] * weight[l * depth + d];
        want_dec[l * depth + d] += values[i] * g[n * depth + d];
      }
      for (int64_t d = 0; d < d_in; ++d)
        want_enc[l * d_in + d] += d_values[i] * inputs[n * d_in + d];
    }
  }
  Floats want_deviations(rows), want_squares(rows), want_error(rows * depth),
      want_error_dots(rows * k);
  for (int64_t n = 0; n < rows; ++n) {
    float* e = want_error.data() + n * depth;
    for (int64_t d = 0; d < depth; ++d) e[d] = x[n * depth + d] - centre[d];
    want_deviations[n] = dot(e, e, depth);
    for (int64_t d = 0; d < depth; ++d) e[d] = wanted[n * depth + d] - x[n * depth + d];
    want_squares[n] = dot(e, e, depth);
    for (int64_t d = 0; d < depth; ++d) e[d] *= scale;
    for (int64_t i = n * k; i < (n + 1) * k; ++i)
      if (indices[i] >= 0) want_error_dots[i] = dot(e, weight.data() + indices[i] * depth, depth);
  }
  expect_equal(squares, want_squares, "decode_error squares");
  expect_equal(offs, want_squares, "decode_squares squares");
  expect_equal(deviations, want_deviations, "decode_squares deviations");
  expect_equal(recon, wanted, "decode_squares out");
  expect_equal(error, want_error, "decode_error g");
  expect_equal(error_dots, want_error_dots, "decode_error d_values");
  expect_equal(decoded, wanted, "sparse_decode");
  expect_equal(dots, wanted_dots, "gather_dot");
  expect_equal(dW_dec, want_dec, "dW_dec");
  expect_equal(dW_enc, want_enc, "dW_enc");
  expect_equal(db_enc, want_db, "db_enc");
  expect_equal(fired, want_fired, "fired");
}

// One term in rows of k places, and one of a single row with all latents.
void check_adam(int64_t rows, int64_t k, int64_t latents, int64_t depth) {
  Ints indices(rows * k, -1, std::max<int64_t>(0, latents - 1)), all(latents), offsets(2);
  if (latents == 0) std::fill(indices.data(), indices.data() + indices.size, -1);
  for (int64_t l = 0; l < latents; ++l) all[l] = l;
  offsets[1] = latents;
  Floats scales(rows * k, -3, 3), x(rows * depth, -3, 3), factors(latents, -3, 3), z(depth, -3, 3);
  Floats weight(latents * depth, -3, 3), decay(latents, -3, 3);
  Floats mean(latents * depth, -3, 3), square(latents * depth, -3, 3);
  Floats sums(latents, 9), weighted(depth, 9), gradient(latents * depth);
  Ints fired(latents, 9), want_fired(latents);
  Floats want_weight(weight.size), want_square(weight.size), want_sums(latents), total(depth);
  for (int64_t n = 0; n < rows; ++n) {
    std::vector<bool> seen(static_cast<size_t>(latents));
    for (int64_t i = n * k; i < (n + 1) * k; ++i) {
      const int64_t l = indices[i];
      if (l < 0) continue;
      want_fired[l] += !seen[l];
      seen[l] = true;
      want_sums[l] += scales[i];
      for (int64_t d = 0; d < depth; ++d) gradient[l * depth + d] += scales[i] * x[n * depth + d];
    }
  }
  for (int64_t l = 0; l < latents; ++l) {
    want_sums[l] += factors[l];
    for (int64_t d = 0; d < depth; ++d) {
      float& g = gradient[l * depth + d];
      g += factors[l] * z[d] + decay[l] * weight[l * depth + d];
      want_weight[l * depth + d] = weight[l * depth + d] - g;
      want_square[l * depth + d] = g * g;
      total[d] += want_sums[l] * weight[l * depth + d];
    }
  }
  const int threads = static_cast<int>(draw(1, 4));
  RowGradients g{latents, depth, {}, weight.data(), decay.data(), false};
  g.terms.push_back({{rows, k, latents, depth, indices.data(), nullptr}, scales.data(), x.data()});
  g.terms.push_back({{1, 0, latents, depth, all.data(), offsets.data()}, factors.data(), z.data()});
  AdamRows adam{};
  adam.rule = {1, 1, 0, 1, 1, 0, 1};  // mean = g, square = g^2, weight -= g
  adam.weight = weight.data();
  adam.mean = mean.data();
  adam.square = square.data();
  latent_squares(g, threads);
  latent_adam(g, adam, threads, {sums.data(), weighted.data(), fired.data()});
  expect_equal(weight, want_weight, "latent_adam weight");
  expect_equal(mean, gradient, "latent_adam mean");
  expect_equal(square, want_square, "latent_adam square");
  expect_equal(sums, want_sums, "latent_adam sums");
  expect_equal(weighted, total, "latent_adam weighted");
  expect_equal(fired, want_fired, "latent_adam fired");
  g.unit_rows = true;  // the Python tests check these results
  Buffer<uint16_t> low_mean(weight.size), low_square(weight.size);
  adam.bfloat16 = true;
  adam.mean = low_mean.data();
  adam.square = low_square.data();
  latent_adam(g, adam, threads, {sums.data(), weighted.data(), fired.data()});
}

void check_everything() {
  for (int i = 0; i < 150; ++i) {
    const int64_t latents = draw(1, 90), k = i % 5 ? draw(1, latents) : latents;
    check_linear_topk(draw(0, 40), draw(0, 40), draw(1, 3), latents, i % 7 ? k : 1);
    const int64_t a_rows = draw(1, 60), b_rows = draw(1, 90), shorter = std::min(a_rows, b_rows);
    check_mutual_topk(a_rows, b_rows, draw(1, 40), i % 5 ? draw(1, shorter) : shorter);
    check_pairs_above(a_rows, b_rows, draw(0, 40));
    check_linear_above(a_rows, b_rows, draw(0, 40));
    check_sparse(draw(0, 40), draw(0, 9), draw(0, 200), draw(0, 40));
    check_adam(draw(0, 40), draw(0, 9), draw(0, 300), draw(0, 40));
  }
  check_linear_topk(9, 4, 1, 5000, 3);  // more survivors than a row has room for
  // More rows than one load takes, more panels, and more of both.
  check_linear_topk(720, 1, 1, 2000, 2000);
  check_linear_topk(20, 2048, 1, 2100, 32);
  check_mutual_topk(1600, 50, 3, 5);
  check_mutual_topk(33, 2100, 2048, 7);
  check_pairs_above(1600, 50, 3);
  check_pairs_above(33, 2100, 2048);
  check_linear_above(1600, 50, 3);
  check_linear_above(33, 2100, 2048);
  check_sparse(700, 33, 3, 17);  // heavy latents, in many pieces
  check_adam(700, 33, 3, 17);
  for (const int64_t rows : {kPiece - 1, kPiece, kPiece + 1, 2 * kPiece, 2 * kPiece + 1})
    check_sparse(rows, 1, 0, 5), check_sparse(rows, 1, 1, 5), check_sparse(rows, 2, 1, 5);
}

}  // namespace

int main(int count, char** words) {
  std::string name;
  try {
    name = current_float32_isa().name;
    if (const CodesIsa* codes_isa = current_codes_isa()) name = codes_isa->name;
  } catch (const std::exception& error) {
    std::printf("skipped: %s\n", error.what());
    return 0;
  }
  if (count == 2 && std::string(words[1]) == "--choice") return std::puts(name.c_str()) < 0;
  check_reals();
  check_everything();
  std::printf("%s: ok\n", name.c_str());
}
