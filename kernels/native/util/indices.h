// Checks indices before memory is read by them.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace twinsae {

// Throws std::invalid_argument, naming the entry, unless each of `count` indices is in [0, limit).
template <class Index>
void check_indices(const char* name, const Index* indices, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i) {
    if (indices[i] >= 0 && indices[i] < limit) continue;
    throw std::invalid_argument(std::string(name) + ": entry " + std::to_string(i) + " is " +
                                std::to_string(indices[i]) + ", expected 0 to " +
                                std::to_string(limit - 1));
  }
}

}  // namespace twinsae
