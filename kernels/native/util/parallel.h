// A loop whose iterations are shared among threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace twinsae {

// Calls body(i) once for each i in [0, count), on up to `threads` threads. Each call must write to
// places that no other call touches, so that the result depends neither on the order nor on the
// number of threads, and it must not throw.
template <class Body>
void parallel_for(int64_t count, int threads, const Body& body) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(i);
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<size_t>(threads));
  try {
    for (int64_t t = 1; t < std::min<int64_t>(threads, count); ++t) others.emplace_back(work);
  } catch (const std::system_error&) {
    // The system gives no more threads; those that have started do the work.
  }
  work();
  for (std::thread& other : others) other.join();
}

// As `parallel_for`, in spans of neighbours: calls body(begin, end) for spans that cover [0, count).
template <class Body>
void parallel_spans(int64_t count, int threads, const Body& body) {
  constexpr int64_t kSpan = 4096;
  parallel_for((count + kSpan - 1) / kSpan, threads,
               [&](int64_t span) { body(span * kSpan, std::min(count, (span + 1) * kSpan)); });
}

}  // namespace twinsae
