// What the drivers of the C++ kernels share: random buffers, and expectations that end the program.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "codes/layout.h"
#include "codes/scans.h"
#include "float32/isa.h"

namespace twinsae {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
inline std::mt19937 random_bits(0);

inline int64_t draw(int64_t low, int64_t high) {  // both included
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}

inline bool toss() { return draw(0, 1); }

// Memory of exactly `size` elements. data() is never null, because null stands for None.
template <class T>
struct Buffer {
  explicit Buffer(int64_t count, int64_t low = 0, int64_t high = 0)
      : size(count), memory(new T[static_cast<size_t>(count)]) {
    for (int64_t i = 0; i < size; ++i)
      memory[i] = static_cast<T>(low < high ? draw(low, high) : low);
  }
  T* data() { return memory.get(); }
  const T* data() const { return memory.get(); }
  T& operator[](int64_t i) { return memory[i]; }
  const T& operator[](int64_t i) const { return memory[i]; }
  int64_t size;
  std::unique_ptr<T[]> memory;
};
using Floats = Buffer<float>;
using Ints = Buffer<int64_t>;

inline void expect(bool right, const char* what, int64_t place) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s at %lld\n", what, static_cast<long long>(place));
  std::exit(1);
}

inline const CodesIsa* codes_for(int64_t depth) { return depth ? current_codes_isa() : nullptr; }

// A packed weight, or nothing.
struct PackedCodes {
  std::vector<int8_t> codes;
  std::vector<PanelBounds> bounds;

  PackedCodes(const CodesIsa& isa, const float* weight, int64_t count, int64_t depth, int threads,
              bool packed) {
    if (!packed) return;
    const int64_t panels = panel_count(count);
    codes.resize(static_cast<size_t>(panels * isa.row_bytes(depth) * kPanel));
    bounds.resize(static_cast<size_t>(panels));
    pack_codes(isa, weight, nullptr, count, depth, threads, codes.data(), bounds.data());
  }
  CodePanels panels() const {
    return codes.empty() ? CodePanels{} : CodePanels{codes.data(), bounds.data()};
  }
};

}  // namespace twinsae
