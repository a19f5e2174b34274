// The checks on real numbers, whose float32 sums depend on the order of their terms.
#pragma once

namespace twinsae {

// Ends the program at the first number that float64 sums, and the errors proved for them, rule out.
void check_reals();

}  // namespace twinsae
