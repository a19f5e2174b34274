#include "isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace twinsae {
namespace {

bool runs_here(const Isa& isa) {
#ifdef TWINSAE_X86
  if (&isa == &avx512_isa) return __builtin_cpu_supports("avx512f");
  if (&isa == &avx2_isa) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return &isa == &portable_isa;
}

const Isa* const kBestFirst[] = {
#ifdef TWINSAE_X86
    &avx512_isa, &avx2_isa,
#endif
    &portable_isa};

}  // namespace

const Isa& current_isa() {
  const char* forced = std::getenv("TWINSAE_CPU_ISA");
  for (const Isa* isa : kBestFirst) {
    if (forced && *forced ? std::string(forced) == isa->name : runs_here(*isa)) {
      if (runs_here(*isa)) return *isa;
      throw std::invalid_argument(std::string("TWINSAE_CPU_ISA: this machine has no ") + forced);
    }
  }
  throw std::invalid_argument(std::string("TWINSAE_CPU_ISA: expected avx512, avx2 or portable, got ") +
                              forced);
}

}  // namespace twinsae
