// Chooses the instruction sets of the float32 loops and of the loops on codes: the best ones that
// this machine has, or those that TWINSAE_CPU_ISA names.
#include "codes/isa.h"
#include "float32/isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "util/system.h"

namespace twinsae {
namespace {

bool runs_here(const Float32Isa& isa) {
#ifdef TWINSAE_X86
  if (&isa == &avx512_isa) return __builtin_cpu_supports("avx512f");
  if (&isa == &avx2_isa) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef TWINSAE_NEON
  if (&isa == &neon_isa) return true;
#endif
  return &isa == &portable_isa;
}

const Float32Isa* const kBestFirst[] = {
#ifdef TWINSAE_X86
    &avx512_isa, &avx2_isa,
#endif
#ifdef TWINSAE_NEON
    &neon_isa,
#endif
    &portable_isa};

std::vector<const CodesIsa*> best_codes_first() {
#ifdef TWINSAE_X86
  return {&amx_int8_isa, &avx512_vnni_isa, &avx2_int16_isa};
#elif defined(TWINSAE_NEON)
  return {&neon_dotprod_isa};
#else
  return {};
#endif
}

bool runs_here([[maybe_unused]] const CodesIsa& isa) {
#ifdef TWINSAE_X86
  if (&isa == &avx2_int16_isa) return runs_here(avx2_isa);
  const bool vnni = runs_here(avx512_isa) && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni");
  return &isa == &amx_int8_isa ? vnni && __builtin_cpu_supports("amx-int8") && amx_permitted()
                               : vnni;
#else
  return has_neon_dotprod();
#endif
}

// Whether codes are faster than float32 on a machine that has both, where the shape suits them.
bool pays([[maybe_unused]] const CodesIsa& isa) {
#ifdef TWINSAE_X86
  // Without VNNI, AVX-512 multiplies float32 numbers as fast as AVX2 multiplies int16 codes.
  return &isa != &avx2_int16_isa || !runs_here(avx512_isa);
#else
  return true;
#endif
}

std::string forced_name() {
  const char* forced = std::getenv("TWINSAE_CPU_ISA");
  return forced ? forced : "";
}

[[noreturn]] void refuse_missing(const std::string& forced) {
  throw std::invalid_argument("TWINSAE_CPU_ISA: this machine has no " + forced);
}

[[noreturn]] void refuse_unknown(const std::string& forced) {
  std::string known;
  for (const CodesIsa* isa : best_codes_first()) known += isa->name + std::string(", ");
  for (const Float32Isa* isa : kBestFirst)
    if (isa != &portable_isa) known += isa->name + std::string(", ");
  if (!known.empty()) known += "or ";  // a compiler may make plain C++ alone
  throw std::invalid_argument("TWINSAE_CPU_ISA: expected " + known + portable_isa.name + ", got " +
                              forced);
}

bool names_codes(const std::string& forced) {
  for (const CodesIsa* isa : best_codes_first())
    if (forced == isa->name) return true;
  return false;
}

}  // namespace

const Float32Isa& current_float32_isa() {
  const std::string forced = forced_name();
  const bool codes = names_codes(forced);
  if (codes && !current_codes_isa()) refuse_missing(forced);
  for (const Float32Isa* isa : kBestFirst) {
    if (forced.empty() || codes ? !runs_here(*isa) : forced != isa->name) continue;
    if (!runs_here(*isa)) refuse_missing(forced);
    return *isa;
  }
  refuse_unknown(forced);
}

const CodesIsa* current_codes_isa() {
  const std::string forced = forced_name();
  for (const CodesIsa* isa : best_codes_first())
    if ((forced.empty() ? pays(*isa) : forced == isa->name) && runs_here(*isa)) return isa;
  return nullptr;
}

}  // namespace twinsae
