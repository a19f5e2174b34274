// Selects the k best of each of many streams of scores: NaN first, then larger scores, and of equal
// scores the lower index.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

namespace twinsae {

// A score and its index in one integer. A larger key is selected first:
//   bits 63..32  the score's bits, mapped so that they compare as unsigned; all ones for NaN
//   bits 31..0   the complement of the index
using Key = uint64_t;

inline Key make_key(float score, uint32_t index) {
  const float positive_zero = score + 0.0f;  // -0 and 0 are equal
  uint32_t bits;
  std::memcpy(&bits, &positive_zero, sizeof bits);
  bits = std::isnan(score) ? ~0u : bits ^ (bits >> 31 ? ~0u : 0x80000000u);
  return Key{bits} << 32 | ~index;
}

inline float key_score(Key key) {
  uint32_t bits = static_cast<uint32_t>(key >> 32);
  if (bits == ~0u) return std::numeric_limits<float>::quiet_NaN();
  bits ^= bits >> 31 ? 0x80000000u : ~0u;
  float score;
  std::memcpy(&score, &bits, sizeof score);
  return score;
}

inline int64_t key_index(Key key) { return ~static_cast<uint32_t>(key); }

// Keeps a buffer of candidates for each stream. When a buffer is full it is cut to its k best, and
// the least of them becomes the stream's threshold. A later score that is not above the threshold
// cannot be among the k best: the indices of a stream rise, so that an equal score loses the tie.
class Best {
 public:
  Best(int64_t streams, int64_t k)
      : k_(k),
        capacity_(capacity(k)),
        keys_(new Key[static_cast<size_t>(streams * capacity_)]),
        counts_(static_cast<size_t>(streams)),
        thresholds_(static_cast<size_t>(streams)) {}

  static int64_t capacity(int64_t k) { return k + std::max<int64_t>(32, k / 2); }

  const float* thresholds() const { return thresholds_.data(); }

  void restart(int64_t stream, float floor) {
    counts_[stream] = 0;
    thresholds_[stream] = floor;
  }

  // Takes the scores whose bits are set; scores[c] has index first + c.
  void push(int64_t stream, uint32_t bits, const float* scores, int64_t first) {
    for (; bits; bits &= bits - 1) {
      const int c = __builtin_ctz(bits);
      push_one(stream, scores[c], first + c);
    }
  }

  void push_one(int64_t stream, float score, int64_t index) {
    Key* keys = keys_.get() + stream * capacity_;
    int64_t& count = counts_[stream];
    keys[count++] = make_key(score, static_cast<uint32_t>(index));
    if (count == capacity_) {
      cut(keys, count);
      count = k_;
      thresholds_[stream] = key_score(keys[k_ - 1]);  // NaN if k scores are NaN; then all pass
    }
  }

  // Writes the stream's k best. Missing places get value 0, index -1. Where `columns` is not null,
  // it is the index to write for each index of the stream.
  void finish(int64_t stream, const int32_t* columns, float* values, int64_t* indices) {
    Key* keys = keys_.get() + stream * capacity_;
    if (counts_[stream] > k_) cut(keys, counts_[stream]);
    const int64_t found = std::min(k_, counts_[stream]);
    std::sort(keys, keys + found, std::greater<Key>());
    for (int64_t j = 0; j < found; ++j) {
      const int64_t index = key_index(keys[j]);
      values[j] = key_score(keys[j]);
      indices[j] = columns ? columns[index] : index;
    }
    std::fill(values + found, values + k_, 0.0f);
    std::fill(indices + found, indices + k_, -1);
  }

 private:
  // Moves the k best of `count` keys to the front, with the least of them at place k - 1.
  void cut(Key* keys, int64_t count) const {
    std::nth_element(keys, keys + k_ - 1, keys + count, std::greater<Key>());
  }

  int64_t k_, capacity_;
  std::unique_ptr<Key[]> keys_;  // (streams, capacity)
  std::vector<int64_t> counts_;
  std::vector<float> thresholds_;
};

}  // namespace twinsae
