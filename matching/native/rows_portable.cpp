#include "rows.h"

namespace twinsae {
namespace {

constexpr int64_t kLanes = 2;
#include "rows_loops.inc"

}  // namespace

extern const RowLoops portable_row_loops = kLoops;

}  // namespace twinsae
