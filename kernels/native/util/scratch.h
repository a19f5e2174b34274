// Memory for large arrays that a call needs while it runs.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>

#include "util/system.h"

namespace twinsae {

// An array of `count` elements without values. Large arrays lie in huge pages where the system has
// them: to touch new memory in pages of 4 KiB took longer than to quantise a weight into it.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const size_t page = bytes >= 2 * kHuge ? kHuge : 64;
    const size_t whole = (bytes / page + 1) * page;
    void* memory = nullptr;  // std::aligned_alloc is missing on macOS before 10.15
    if (posix_memalign(&memory, page, whole) != 0) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
    if (page == kHuge) prefer_huge_pages(memory, whole);
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  static constexpr size_t kHuge = 2 << 20;
  T* data_;
};

}  // namespace twinsae
