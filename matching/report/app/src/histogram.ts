// How the numbers of a column are spread.

import { position, type Scale } from "./scale.ts";

/** Places of a slider; a bar of the histogram covers some of them. */
export const STEPS = 200;
const BARS = 50;
const NONE = 255;

/** The bar of each latent, NONE where the number is unknown. */
export function binsOf(values: ArrayLike<number>, scale: Scale): Uint8Array {
  const bins = new Uint8Array(values.length);
  for (let i = 0; i < bins.length; i++) {
    const place = position(scale, values[i]);
    bins[i] = place !== place ? NONE : Math.min(BARS - 1, Math.floor(place * BARS));
  }
  return bins;
}

/** `rows` are the latents to count; null: all. */
export function countBins(bins: Uint8Array, rows: Uint32Array | null): Uint32Array {
  const counts = new Uint32Array(NONE + 1);
  if (rows) for (let j = 0; j < rows.length; j++) counts[bins[rows[j]]]++;
  else for (let i = 0; i < bins.length; i++) counts[bins[i]]++;
  return counts.subarray(0, BARS);
}
