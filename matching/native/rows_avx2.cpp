#include "rows.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")

namespace twinsae {
namespace {

constexpr int64_t kLanes = 4;
#include "rows_loops.inc"

}  // namespace

extern const RowLoops avx2_row_loops = kLoops;

}  // namespace twinsae
#endif
