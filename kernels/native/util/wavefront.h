// A grid of cells that threads share, each of which needs the cells before it in its row and in its
// column.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "util/parallel.h"

namespace twinsae {

// Calls body(i, j) once for each cell of `rows` x `cols`, on up to `threads` threads: after those of
// (i, j - 1) and (i - 1, j) have ended, and when no more than `open` rows have begun and not ended.
// So what belongs to a row or to a column is used by one call at a time, always in the same order,
// and row i may take the place of row i - open. The body must not throw.
template <class Body>
void parallel_wavefront(int64_t rows, int64_t cols, int64_t open, int threads, const Body& body) {
  struct Row {
    int64_t ended = 0;  // cells
    bool taken = false;
  };
  std::vector<Row> places(static_cast<size_t>(open));
  std::mutex mutex;
  std::condition_variable changed;
  int64_t first = 0;  // the first row that has not ended; those behind it end in their order
  const auto place = [&](int64_t i) -> Row& { return places[i % open]; };
  // The first row whose next cell can begin, -1 if there is none.
  const auto ready = [&] {
    for (int64_t i = first; i < std::min(rows, first + open); ++i)
      if (!place(i).taken && (i == first || place(i).ended < place(i - 1).ended)) return i;
    return int64_t{-1};
  };
  parallel_for(threads, threads, [&](int64_t) {
    std::unique_lock<std::mutex> lock(mutex);
    while (first < rows) {
      const int64_t i = ready();
      if (i < 0) {
        changed.wait(lock);
        continue;
      }
      Row& row = place(i);
      row.taken = true;
      lock.unlock();
      body(i, row.ended);
      lock.lock();
      row.taken = false;
      if (++row.ended == cols) {
        row.ended = 0;
        ++first;
      }
      changed.notify_all();
    }
  });
}

}  // namespace twinsae
