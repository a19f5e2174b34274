// AVX2: int16 codes, since it multiplies those as fast as int8 and sums them in int32 at once.
//
// A code's size is such that no sum leaves int32: rows of codes are no longer than kLongest, so
// that by Cauchy and Schwarz no partial sum of products is more than kLongest^2. That leaves some
// 12 to 13 bits of a number. A tile is 6 tokens x 16 latents, 12 of the 16 registers, twice.
#include "codes/isa.h"

#ifdef TWINSAE_X86
#include <immintrin.h>
#pragma GCC target("avx2,fma,popcnt")

namespace twinsae {
namespace {

#include "codes/bisect.inc"

constexpr int kTokens = 6, kLanes = 8;
constexpr int kQuads = kChunk / kQuad;
constexpr float kInfinity = __builtin_inff();
// Beyond these a square may overflow, or the product of two scales lose its precision.
constexpr float kLargest = 1e15f, kSmallest = 1e-13f;
// Covers the rounding of float32 sums below, in which every term is positive, and of what is
// summed.
constexpr float kUp = 1.0f + 1e-3f;
constexpr float kRounding = 2e-7f;
constexpr float kMost = 32767.0f, kLongest = 46340.0f;

// The first count - i lanes, at most 8.
__m256i lanes_from(int64_t i, int64_t count) {
  const __m256i places = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  const int64_t here = count - i < kLanes ? count - i : kLanes;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(here)), places);
}

__m256 absolute(__m256 values) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), values); }

float sum_of(__m256 values) {
  float lanes[kLanes], sum = 0.0f;
  _mm256_storeu_ps(lanes, values);
  for (float lane : lanes) sum += lane;
  return sum;
}

float root_of(__m256 squares) { return kUp * __builtin_sqrtf(sum_of(squares)); }

struct Size {
  float most, norm;  // infinite where it is too much; the norm rounded up
};

Size size_of(const float* row, int64_t depth) {
  __m256 most = _mm256_setzero_ps(), squares = _mm256_setzero_ps(), bad = _mm256_setzero_ps();
  for (int64_t i = 0; i < depth; i += kLanes) {
    const __m256 part = absolute(_mm256_maskload_ps(row + i, lanes_from(i, depth)));
    bad = _mm256_or_ps(bad, _mm256_cmp_ps(part, _mm256_set1_ps(kLargest), _CMP_NLE_UQ));
    most = _mm256_max_ps(most, part);
    squares = _mm256_fmadd_ps(part, part, squares);
  }
  float lanes[kLanes], largest = _mm256_movemask_ps(bad) ? kInfinity : 0.0f;
  _mm256_storeu_ps(lanes, most);
  for (float lane : lanes) largest = lane > largest ? lane : largest;
  return {largest, root_of(squares)};
}

RowBound quantise(const float* row, int64_t depth, int /*planes: always one*/, float* /*room*/,
                  int8_t* codes, int8_t* /*no second plane*/) {
  const Size size = size_of(row, depth);
  if (!(size.most <= kLargest && size.most >= kSmallest)) {
    for (int64_t i = 0; i < 2 * depth; ++i) codes[i] = 0;
    return {1.0f, 0.0f, 0.0f, size.most == 0.0f ? 0.0f : kInfinity, 0.0f, {0, 0}};
  }
  // Each code is rounded by half a unit at most; the 8 covers the rounding of float32 here.
  const float longest = kLongest - 8.0f - 0.5f * __builtin_sqrtf(static_cast<float>(depth));
  const float by_most = size.most / kMost, by_norm = size.norm / longest;
  const float scale = by_most > by_norm ? by_most : by_norm, inverse = 1.0f / scale;
  __m256 residual = _mm256_setzero_ps();
  for (int64_t i = 0; i < depth; i += kLanes) {
    const __m256 values = _mm256_maskload_ps(row + i, lanes_from(i, depth));
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(values, _mm256_set1_ps(inverse)));
    const __m256 left =
        _mm256_fnmadd_ps(_mm256_cvtepi32_ps(rounded), _mm256_set1_ps(scale), values);
    residual = _mm256_fmadd_ps(left, left, residual);
    const __m128i narrow =
        _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    // A row's codes end on a whole chunk, so that there is room for zeros past its end.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 2 * i), narrow);
  }
  const float rest = root_of(residual) + kRounding * size.norm;
  return {scale, size.norm, size.norm + rest, rest, 0.0f, {0, 0}};
}

// 8 x 8 numbers of 32 bits.
void transpose_block(const int8_t* rows, int64_t stride, int8_t* to, int64_t to_stride) {
  __m256i r[8], t[8];
  for (int i = 0; i < 8; ++i)
    r[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + i * stride));
  for (int i = 0; i < 8; i += 4) {
    const __m256i low01 = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    const __m256i high01 = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    const __m256i low23 = _mm256_unpacklo_epi32(r[i + 2], r[i + 3]);
    const __m256i high23 = _mm256_unpackhi_epi32(r[i + 2], r[i + 3]);
    t[i] = _mm256_unpacklo_epi64(low01, low23);
    t[i + 1] = _mm256_unpackhi_epi64(low01, low23);
    t[i + 2] = _mm256_unpacklo_epi64(high01, high23);
    t[i + 3] = _mm256_unpackhi_epi64(high01, high23);
  }
  for (int i = 0; i < 4; ++i) {
    const __m256i first = _mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
    const __m256i second = _mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * to_stride), first);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (i + 4) * to_stride), second);
  }
}

void transpose(const int8_t* rows, int64_t stride, int8_t* to) {
  constexpr int64_t kRow = kHalf * kQuad;  // of the result
  for (int row = 0; row < kHalf; row += 8)
    for (int quad = 0; quad < kQuads; quad += 8)
      transpose_block(
          rows + row * stride + quad * kQuad, stride, to + quad * kRow + row * kQuad, kRow);
}

// sums[r, c] = start[r * stride + c] + the products of some chunks of tokens and half a panel.
void multiply(const uint8_t* tokens, const int8_t* half, int64_t chunks, const int32_t* start,
              int stride, int32_t* sums) {
  __m256i low[kTokens], high[kTokens];
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r) {
    low[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + r * stride));
    high[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + r * stride + kLanes));
  }
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int8_t* quads = half + chunk * kChunk * kPanel;
    for (int quad = 0; quad < kQuads; ++quad) {
      const auto* latents = reinterpret_cast<const __m256i*>(quads + quad * kHalf * kQuad);
      const __m256i first = _mm256_loadu_si256(latents), second = _mm256_loadu_si256(latents + 1);
#pragma GCC unroll 6
      for (int r = 0; r < kTokens; ++r) {
        int32_t two;
        __builtin_memcpy(&two, tokens + r * kQuad, sizeof two);
        const __m256i token = _mm256_set1_epi32(two);
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(token, first));
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(token, second));
      }
      tokens += kTokens * kQuad;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kTokens; ++r) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * kPanel), low[r]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * kPanel + kLanes), high[r]);
  }
}

void tile(const uint8_t* tokens, const int8_t* panel, const PanelBounds& bounds, int64_t /*chunks*/,
          int64_t begin, int64_t end, int /*planes*/, int32_t* sums) {
  tokens += begin * kChunk * kTokens;
  panel += begin * kChunk * kPanel;
  const int32_t* start = begin ? sums : bounds.starts[0];
  const int stride = begin ? kPanel : 0;  // 0: the same start for all tokens
  for (int c = 0; c < kPanel; c += kHalf)
    multiply(tokens, panel + c * kChunk, end - begin, start + c, stride, sums + c);
}

constexpr float kNothing[kPanel] = {};

// A panel's bounds.
struct Bounds {
  const PanelBounds& panel;
  const float *offsets, *doubts;

  __m256 add_error(const RowBound& token, int c, __m256 to) const {
    to = _mm256_fmadd_ps(_mm256_set1_ps(token.norm), _mm256_loadu_ps(panel.slacks + c), to);
    return _mm256_fmadd_ps(_mm256_set1_ps(token.residual), _mm256_loadu_ps(panel.lengths + c), to);
  }
  __m256 upper(const int32_t* sums, const RowBound& token, int c) const {
    const __m256 product =
        _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + c)));
    const __m256 scale =
        _mm256_mul_ps(_mm256_set1_ps(token.scale), _mm256_loadu_ps(panel.scales + c));
    return add_error(token, c, _mm256_fmadd_ps(product, scale, _mm256_loadu_ps(offsets + c)));
  }
};

// One token's bounds on all scores of a panel, for the few tokens that have survivors.
struct Scores {
  float uppers[kPanel], errors[kPanel];

  Scores(const Bounds& bounds, const int32_t* sums, const RowBound& token) {
    for (int c = 0; c < kPanel; c += kLanes) {
      _mm256_storeu_ps(uppers + c, bounds.upper(sums, token, c));
      _mm256_storeu_ps(errors + c, bounds.add_error(token, c, _mm256_loadu_ps(bounds.doubts + c)));
    }
  }
  void append(int c, const Lists& lists, int64_t list, int32_t name) const {
    const int64_t at = list * lists.capacity + lists.counts[list]++;
    const float above = uppers[c], below = above - 2.0f * errors[c];
    lists.upper[at] = above == above ? above : kInfinity;
    lists.lower[at] = __builtin_fabsf(below) < kInfinity ? below : -kInfinity;
    lists.columns[at] = name;
  }
};

uint32_t collect(const int32_t* sums, int /*planes*/, const PanelBounds& panel,
                 const float* offsets, const float* doubts, uint32_t lanes, int32_t column,
                 const RowBound* tokens, int64_t rows, const Lists& lists) {
  const Bounds bounds{panel, offsets, doubts};
  uint32_t full = 0;
  for (int64_t r = 0; r < rows; ++r, sums += kPanel) {
    const __m256 bar = _mm256_set1_ps(lists.thresholds[r]);
    uint32_t kept = 0;
    for (int c = 0; c < kPanel; c += kLanes) {
      const __m256 there = _mm256_cmp_ps(bounds.upper(sums, tokens[r], c), bar, _CMP_NLT_UQ);
      kept |= static_cast<uint32_t>(_mm256_movemask_ps(there)) << c;
    }
    kept &= lanes;
    if (!kept || lists.limits[r] < 0) continue;
    const Scores scores(bounds, sums, tokens[r]);
    for (; kept; kept &= kept - 1) {
      const int c = __builtin_ctz(kept);
      scores.append(c, lists, r, column + c);
    }
    full |= uint32_t{lists.counts[r] > lists.limits[r]} << r;
  }
  return full;
}

uint32_t collect_columns(const int32_t* sums, int /*planes*/, const PanelBounds& panel,
                         uint32_t lanes, const RowBound* tokens, int64_t rows, int32_t token,
                         const Lists& columns) {
  const Bounds bounds{panel, kNothing, kNothing};
  uint32_t full = 0;
  // Lanes past the matrix's end have lists of their own, which take nothing.
  for (int64_t r = 0; r < rows; ++r, sums += kPanel) {
    uint32_t kept = 0;
    for (int c = 0; c < kPanel; c += kLanes) {
      const __m256 bars = _mm256_loadu_ps(columns.thresholds + c);
      const __m256 there = _mm256_cmp_ps(bounds.upper(sums, tokens[r], c), bars, _CMP_NLT_UQ);
      kept |= static_cast<uint32_t>(_mm256_movemask_ps(there)) << c;
    }
    kept &= lanes;
    if (!kept) continue;
    const Scores scores(bounds, sums, tokens[r]);
    for (; kept; kept &= kept - 1) {
      const int c = __builtin_ctz(kept);
      if (columns.limits[c] < 0) continue;
      scores.append(c, columns, c, token + static_cast<int32_t>(r));
      full |= uint32_t{columns.counts[c] > columns.limits[c]} << c;
    }
  }
  return full;
}

__m256i ordered_lanes(const float* values, int64_t i, int64_t count) {
  const __m256i bits = _mm256_castps_si256(_mm256_maskload_ps(values + i, lanes_from(i, count)));
  return _mm256_xor_si256(bits, _mm256_srli_epi32(_mm256_srai_epi32(bits, 31), 1));
}

int64_t count_at_least(const float* values, int64_t count, int32_t bar) {
  const __m256i bars = _mm256_set1_epi32(bar);
  int64_t found = 0;
  for (int64_t i = 0; i < count; i += kLanes) {
    const __m256i below = _mm256_cmpgt_epi32(bars, ordered_lanes(values, i, count));
    const __m256i there = _mm256_andnot_si256(below, lanes_from(i, count));
    found += __builtin_popcount(_mm256_movemask_ps(_mm256_castsi256_ps(there)));
  }
  return found;
}

int32_t largest_key(const float* values, int64_t count, int32_t least) {
  __m256i most = _mm256_set1_epi32(least);
  for (int64_t i = 0; i < count; i += kLanes) {
    const __m256i keys =
        _mm256_blendv_epi8(most, ordered_lanes(values, i, count), lanes_from(i, count));
    most = _mm256_max_epi32(most, keys);
  }
  int32_t lanes[kLanes];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), most);
  for (int32_t key : lanes) least = key > least ? key : least;
  return least;
}

float kth_largest(const float* values, int64_t count, int64_t k, float least) {
  return bisect(values, count, k, least, count_at_least, largest_key);
}

void drop_below(const Lists& lists, int64_t row, int64_t first, float threshold) {
  const int64_t begin = row * lists.capacity, end = begin + lists.counts[row];
  int64_t to = begin + first;
  for (int64_t from = to; from < end; ++from) {
    lists.upper[to] = lists.upper[from];
    lists.lower[to] = lists.lower[from];
    lists.columns[to] = lists.columns[from];
    to += !(lists.upper[to] < threshold);
  }
  lists.counts[row] = static_cast<int32_t>(to - begin);
}

int64_t spin(int64_t rounds) {
  constexpr int kSums = 12;
  __m256i sums[kSums], factors[kSums / 4];
#pragma GCC unroll 12
  for (int s = 0; s < kSums; ++s) sums[s] = _mm256_set1_epi32(s);  // equal ones would be made once
  for (int f = 0; f < kSums / 4; ++f) factors[f] = _mm256_set1_epi16(static_cast<int16_t>(f));
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s)
      sums[s] = _mm256_add_epi32(sums[s], _mm256_madd_epi16(sums[s], factors[s / 4]));
#pragma GCC unroll 12
  for (int s = 1; s < kSums; ++s) sums[0] = _mm256_add_epi32(sums[0], sums[s]);
  volatile int32_t sink = _mm256_extract_epi32(sums[0], 0);  // or the loop is none
  static_cast<void>(sink);
  return rounds * kSums * 16;
}

void nothing() {}

}  // namespace

const CodesIsa avx2_int16_isa = {"avx2_int16", kTokens,         kQuad,       2,          1,
                                 nothing,      nothing,         quantise,    transpose,  tile,
                                 collect,      collect_columns, kth_largest, drop_below, spin};

}  // namespace twinsae
#endif
