#include "isa.h"

#include "int8.h"

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

bool runs_int8() {
#ifdef TWINSAE_X86
  return runs_here(avx512_isa) && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

std::string forced_name() {
  const char* forced = std::getenv("TWINSAE_CPU_ISA");
  return forced ? forced : "";
}

}  // namespace

const Isa& current_isa() {
  const std::string forced = forced_name();
  const std::string wanted = forced == "avx512_vnni" ? "avx512" : forced;
  for (const Isa* isa : kBestFirst) {
    if (wanted.empty() ? runs_here(*isa) : wanted == isa->name) {
      if (runs_here(*isa) && (forced == wanted || runs_int8())) return *isa;
      throw std::invalid_argument("TWINSAE_CPU_ISA: this machine has no " + forced);
    }
  }
  throw std::invalid_argument(
      "TWINSAE_CPU_ISA: expected avx512_vnni, avx512, avx2 or portable, got " + forced);
}

const Int8Isa* current_int8_isa() {
#ifdef TWINSAE_X86
  const std::string forced = forced_name();
  if ((forced.empty() || forced == "avx512_vnni") && runs_int8()) return &avx512_vnni_isa;
#endif
  return nullptr;
}

}  // namespace twinsae
