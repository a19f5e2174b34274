#include "rows.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")

namespace twinsae {
namespace {

constexpr int64_t kLanes = 8;
#include "rows_loops.inc"

}  // namespace

extern const RowLoops avx512_row_loops = kLoops;

}  // namespace twinsae
#endif
