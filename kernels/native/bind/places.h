// Checks the places of a sparse matrix before the kernels read them.
#pragma once
#include <string>

#include "bind/arrays.h"
#include "sparse/products.h"

namespace twinsae {

// The places of a sparse matrix: indices (rows, k), or (places) with row offsets.
struct Places {
  Array<const int64_t> indices, row_offsets;
  size_t dims;

  Places(const pybind11::object& indices_, const pybind11::object& row_offsets_)
      : indices(array<const int64_t>(indices_, "indices", row_offsets_.is_none() ? 2 : 1)),
        row_offsets(optional_array<const int64_t>(row_offsets_, "row_offsets", 1)),
        dims(indices.shape.size()) {}

  Sparse sparse(int64_t latents, int64_t depth) const {
    int64_t count = 1;
    for (const int64_t size : indices.shape) count *= size;
    for (int64_t i = 0; i < count; ++i) {
      if (indices.data[i] >= -1 && indices.data[i] < latents) continue;
      require(false,
              "indices: expected -1 to " + std::to_string(latents - 1) + ", got " +
                  std::to_string(indices.data[i]));
    }
    if (!row_offsets.data)
      return {indices.shape[0], indices.shape[1], latents, depth, indices.data, nullptr};
    const int64_t rows = row_offsets.shape[0] - 1;
    bool ascends = rows >= 0 && row_offsets.data[0] == 0 && row_offsets.data[rows] == count;
    for (int64_t n = 0; ascends && n < rows; ++n)
      ascends = row_offsets.data[n] <= row_offsets.data[n + 1];
    require(ascends,
            "row_offsets: expected numbers that ascend from 0 to " + std::to_string(count) +
                ", the number of indices");
    return {rows, 0, latents, depth, indices.data, row_offsets.data};
  }
};

}  // namespace twinsae
