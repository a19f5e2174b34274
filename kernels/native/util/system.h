// What differs between operating systems: each function answers for Linux, macOS and others.
#pragma once
#include <cstddef>

#ifdef __linux__
#include <sys/mman.h>
#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif
#endif

namespace twinsae {

// Asks for huge pages, where the system has them on request. `memory` begins at such a page.
inline void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#ifdef __linux__
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

// Whether this process may use AMX's tile registers. Linux lets a process use them if it asks: see
// Documentation/arch/x86/xstate.rst in the kernel's source.
inline bool amx_permitted() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

// Whether this CPU has the dot products of NEON (FEAT_DotProd): all of Apple's for macOS have them,
// and Linux tells. See Documentation/arch/arm64/elf_hwcaps.rst in the kernel's source.
inline bool has_neon_dotprod() {
#if defined(__aarch64__) && defined(__APPLE__)
  return true;
#elif defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
  return getauxval(AT_HWCAP) & kAsimdDp;
#else
  return false;
#endif
}

}  // namespace twinsae
