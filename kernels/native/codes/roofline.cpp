// Measures how fast the instructions on codes are when nothing waits for memory.
#include <atomic>
#include <chrono>

#include "codes/isa.h"
#include "util/parallel.h"

namespace twinsae {

double codes_roofline(const CodesIsa& isa, int threads) {
  constexpr int64_t kRounds = 2000000;  // some 20 ms with AMX
  std::atomic<int64_t> products{0};
  const auto started = std::chrono::steady_clock::now();
  parallel_for(threads, threads, [&](int64_t) {
    isa.enter();
    products += isa.spin(kRounds);
    isa.leave();
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
  return 2e-9 * static_cast<double>(products) / taken.count();
}

}  // namespace twinsae
