// The columns of a scan, packed some at a time if the call packs them.
#pragma once
#include <algorithm>
#include <cstdint>

#include "codes/scan.h"

namespace twinsae {

// Packs latents a slab at a time, in the same memory. Latents that are packed already are one slab.
class Slabs {
 public:
  Slabs(const CodesIsa& isa, int64_t latents, int64_t depth, CodePanels packed, int threads)
      : isa_(isa),
        packed_(packed),
        threads_(threads),
        depth_(depth),
        bytes_(isa.row_bytes(depth) * kPanel),
        most_(std::min(panel_count(latents), std::max<int64_t>(1, kSlabBytes / bytes_))),
        codes_(packed.panels ? 0 : most_ * bytes_),
        bounds_(packed.panels ? 0 : most_) {}

  // Calls body(columns) for each slab of `count` columns. Column c is row names[c] of weight, or row
  // c where names is null; if it is packed, it is latent `first_packed` + c of all.
  template <class Body>
  void each(const float* weight, const int32_t* names, int64_t count, int64_t first_packed,
            const Body& body) {
    const int64_t step = packed_.panels ? std::max<int64_t>(1, count) : most_ * kPanel;
    for (int64_t first = 0; first < count; first += step) {
      CodeColumns columns = open(weight, names, first, std::min(step, count - first), first_packed);
      body(columns);
    }
  }

 private:
  static constexpr int64_t kSlabBytes = 16 << 20;

  CodeColumns open(const float* weight, const int32_t* names, int64_t first, int64_t count,
                   int64_t first_packed) {
    if (packed_.panels) {
      const int64_t panel = first_packed / kPanel;
      return {packed_.panels + panel * bytes_,
              packed_.bounds + panel,
              bytes_,
              first_packed % kPanel,
              0,
              count};
    }
    pack_codes(isa_, names ? weight : weight + first * depth_, names ? names + first : nullptr,
               count, depth_, threads_, codes_.data(), bounds_.data());
    return {codes_.data(), bounds_.data(), bytes_, 0, first, count};
  }

  const CodesIsa& isa_;
  CodePanels packed_;
  int threads_;
  int64_t depth_, bytes_, most_;  // bytes of a panel, and the most panels of a slab
  Scratch<int8_t> codes_;
  Scratch<PanelBounds> bounds_;
};

}  // namespace twinsae
