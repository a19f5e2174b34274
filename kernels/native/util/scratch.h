// Memory for large arrays that a call needs while it runs.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "util/system.h"

namespace twinsae {

// Returns memory that std::free takes back. Large arrays lie in huge pages where the system has
// them: to touch new memory in pages of 4 KiB took longer than to quantise a weight into it.
inline void* scratch_memory(size_t bytes) {
  constexpr size_t kHuge = 2 << 20;
  const size_t page = bytes >= 2 * kHuge ? kHuge : 64;
  const size_t whole = (bytes / page + 1) * page;
  void* memory = nullptr;  // std::aligned_alloc is missing on macOS before 10.15
  if (posix_memalign(&memory, page, whole) != 0) throw std::bad_alloc();
  if (page == kHuge) prefer_huge_pages(memory, whole);
  return memory;
}

// An array of `count` elements without values.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : data_(static_cast<T*>(scratch_memory(static_cast<size_t>(count) * sizeof(T)))) {}
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_;
};

// Of vectors whose new elements have no values, so that the threads that fill them are the first to
// touch their memory.
template <class T>
struct ScratchAllocator {
  using value_type = T;

  ScratchAllocator() = default;
  template <class U>
  ScratchAllocator(const ScratchAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(scratch_memory(count * sizeof(T))); }
  void deallocate(T* memory, size_t) { std::free(memory); }
  template <class U>
  void construct(U* element) {
    ::new (static_cast<void*>(element)) U;
  }
  template <class U, class... Values>
  void construct(U* element, Values&&... values) {
    ::new (static_cast<void*>(element)) U(std::forward<Values>(values)...);
  }
  bool operator==(const ScratchAllocator&) const { return true; }
  bool operator!=(const ScratchAllocator&) const { return false; }
};

template <class T>
using ScratchVector = std::vector<T, ScratchAllocator<T>>;

}  // namespace twinsae
