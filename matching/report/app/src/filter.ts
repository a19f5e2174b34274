// Filters are masks over the latents that combine with "and".

export interface Range {
  /** Null: open. Both ends belong to the range. */
  low: number | null;
  high: number | null;
}

export interface Filter {
  /** As the page calls it, where it says which filter hides everything. */
  label: string;
  /** 1 where a latent passes. */
  mask: Uint8Array;
  clear: () => void;
}

/** Latents whose value is unknown (NaN) are in no range. */
export function rangeMask(values: ArrayLike<number>, { low, high }: Range): Uint8Array {
  const mask = new Uint8Array(values.length);
  const from = low ?? -Infinity;
  const to = high ?? Infinity;
  for (let i = 0; i < mask.length; i++) mask[i] = +(values[i] >= from && values[i] <= to);
  return mask;
}

export function listMask(latents: readonly number[], length: number): Uint8Array {
  const mask = new Uint8Array(length);
  for (const latent of latents) if (latent < length) mask[latent] = 1;
  return mask;
}

export function bitsMask(bits: Uint32Array, wanted: number): Uint8Array {
  const mask = new Uint8Array(bits.length);
  for (let i = 0; i < mask.length; i++) mask[i] = +((bits[i] & wanted) === wanted);
  return mask;
}

/** The latents of `order` that pass every mask, in that order. */
export function passing(order: Uint32Array, masks: readonly Uint8Array[]): Uint32Array {
  if (masks.length === 0) return order;
  const all = combined(masks, order.length);
  const rows = new Uint32Array(order.length);
  let found = 0;
  for (let j = 0; j < order.length; j++) {
    rows[found] = order[j];
    found += all[order[j]];
  }
  return rows.subarray(0, found);
}

export function combined(masks: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length).fill(1);
  for (const mask of masks) for (let i = 0; i < length; i++) all[i] &= mask[i];
  return all;
}

/** How many latents of the mask have each bit. */
export function countBits(bits: Uint32Array, mask: Uint8Array, numBits: number): Uint32Array {
  const counts = new Uint32Array(numBits);
  for (let i = 0; i < bits.length; i++) {
    if (!mask[i]) continue;
    for (let rest = bits[i]; rest; rest &= rest - 1) counts[31 - Math.clz32(rest & -rest)]++;
  }
  return counts;
}

/** The filters without any one of which something would be left; all of them if no single one is to blame. */
export function blockers(filters: readonly Filter[]): Filter[] {
  if (filters.length < 2) return [...filters];
  const alone = filters.filter((filter) => {
    const others = filters.filter((other) => other !== filter).map(({ mask }) => mask);
    return combined(others, filter.mask.length).includes(1);
  });
  return alone.length > 0 ? alone : [...filters];
}
