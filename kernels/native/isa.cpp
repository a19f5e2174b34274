#include "isa.h"

#include "int8.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

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

std::vector<const Int8Isa*> best_int8_first() {
#ifdef TWINSAE_X86
  return {&amx_int8_isa, &avx512_vnni_isa, &avx2_int16_isa};
#else
  return {};
#endif
}

#ifdef TWINSAE_X86
bool runs_here(const Int8Isa& isa) {
  if (&isa == &avx2_int16_isa) return runs_here(avx2_isa);
  const bool vnni = runs_here(avx512_isa) && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512vnni");
  return &isa == &amx_int8_isa ? vnni && __builtin_cpu_supports("amx-int8") && amx_permitted()
                               : vnni;
}
#endif

std::string forced_name() {
  const char* forced = std::getenv("TWINSAE_CPU_ISA");
  return forced ? forced : "";
}

[[noreturn]] void refuse_missing(const std::string& forced) {
  throw std::invalid_argument("TWINSAE_CPU_ISA: this machine has no " + forced);
}

[[noreturn]] void refuse_unknown(const std::string& forced) {
  std::string known;
  for (const Int8Isa* isa : best_int8_first()) known += isa->name + std::string(", ");
  for (const Isa* isa : kBestFirst)
    if (isa != &portable_isa) known += isa->name + std::string(", ");
  throw std::invalid_argument("TWINSAE_CPU_ISA: expected " + known + "or " + portable_isa.name +
                              ", got " + forced);
}

bool names_int8(const std::string& forced) {
  for (const Int8Isa* isa : best_int8_first())
    if (forced == isa->name) return true;
  return false;
}

}  // namespace

const Isa& current_isa() {
  const std::string forced = forced_name();
  const bool int8 = names_int8(forced);
  if (int8 && !current_int8_isa()) refuse_missing(forced);
  for (const Isa* isa : kBestFirst) {
    if (forced.empty() || int8 ? !runs_here(*isa) : forced != isa->name) continue;
    if (!runs_here(*isa)) refuse_missing(forced);
    return *isa;
  }
  refuse_unknown(forced);
}

const Int8Isa* current_int8_isa() {
#ifdef TWINSAE_X86
  const std::string forced = forced_name();
  for (const Int8Isa* isa : best_int8_first()) {
    // AVX-512 without VNNI multiplies float32 as fast as AVX2 multiplies int16.
    const bool pays = isa != &avx2_int16_isa || !runs_here(avx512_isa);
    if ((forced.empty() ? pays : forced == isa->name) && runs_here(*isa)) return isa;
  }
#endif
  return nullptr;
}

}  // namespace twinsae
