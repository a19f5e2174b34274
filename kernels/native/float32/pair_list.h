// A list of the pairs that several threads find, up to a capacity.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "float32/scans.h"

namespace twinsae {

class PairList {
 public:
  explicit PairList(int64_t capacity) : capacity_(capacity) {}

  // Adds the pairs that one thread has found, and empties its list.
  void take(std::vector<uint64_t>& found) {
    const int64_t count = static_cast<int64_t>(found.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    total_ += count;
    if (total_ <= capacity_) keys_.insert(keys_.end(), found.begin(), found.end());
    found.clear();
  }
  static uint64_t key(int64_t row, int64_t col) {
    return static_cast<uint64_t>(row) << 32 | static_cast<uint64_t>(col);
  }

  Pairs sorted() {
    Pairs pairs{{}, {}, std::max<int64_t>(0, total_ - capacity_)};
    if (pairs.overflow) return pairs;
    std::sort(keys_.begin(), keys_.end());
    for (const uint64_t key : keys_) {
      pairs.rows.push_back(static_cast<int64_t>(key >> 32));
      pairs.cols.push_back(static_cast<int64_t>(key & 0xffffffff));
    }
    return pairs;
  }

 private:
  int64_t capacity_, total_ = 0;
  std::vector<uint64_t> keys_;
  std::mutex mutex_;
};

// Consecutive rows, and the parts of the tiles that lie in them.
struct Stripe {
  int64_t begin, end;
  std::vector<Block> pieces;
};

// Calls body(stripe) for each `height` consecutive rows that some tile has a part in.
template <class Body>
void for_stripes(const PairsAbove& q, int64_t height, const Body& body) {
  for (int64_t begin = 0; begin < q.a_rows; begin += height) {
    Stripe stripe{begin, std::min(q.a_rows, begin + height), {}};
    for (int64_t t = 0; t < q.tile_count; ++t) {
      Block piece = q.tiles[t];
      piece.row_start = std::max(piece.row_start, stripe.begin);
      piece.row_stop = std::min(piece.row_stop, stripe.end);
      if (piece.row_start < piece.row_stop && piece.col_start < piece.col_stop)
        stripe.pieces.push_back(piece);
    }
    if (!stripe.pieces.empty()) body(stripe);
  }
}

}  // namespace twinsae
