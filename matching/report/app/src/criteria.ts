// Which latents belong to which group: the criteria of `twinsae match`, and what else the list can show alone.

import type { Pair, Side } from "./pair.ts";

export interface Group {
  name: string;
  label: string;
  help: string;
  /** At most one group of a family is chosen. */
  family: "shared" | "criterion" | "other";
}

// A group's place is its bit. Pinned latents have none: they are a list, which changes without the rest.
export const GROUPS: Group[] = [
  {
    name: "and",
    label: "shared",
    family: "shared",
    help: "Criterion and: decoder and encoder cosine both above the threshold, each with its own match",
  },
  {
    name: "and_equal",
    label: "same partner",
    family: "shared",
    help: "Criterion and_equal: shared, and both matchings name the same partner",
  },
  {
    name: "two_partners",
    label: "two partners",
    family: "shared",
    help: "Shared, but decoder and encoder have different partners",
  },
  { name: "one_side", label: "one side", family: "shared", help: "Only one of the two cosines is above the threshold" },
  { name: "neither", label: "neither", family: "shared", help: "Neither cosine is above the threshold" },
  { name: "decoder", label: "decoder", family: "criterion", help: "Decoder cosine above the threshold" },
  { name: "encoder", label: "encoder", family: "criterion", help: "Encoder cosine above the threshold" },
  { name: "mean", label: "mean", family: "criterion", help: "Mean of both cosines above the threshold" },
  {
    name: "max",
    label: "max",
    family: "criterion",
    help: "Best cosine with any latent above the threshold, in decoder and encoder",
  },
  {
    name: "max_decoder",
    label: "max_decoder",
    family: "criterion",
    help: "Best decoder cosine with any latent above the threshold",
  },
  {
    name: "max_encoder",
    label: "max_encoder",
    family: "criterion",
    help: "Best encoder cosine with any latent above the threshold",
  },
  {
    name: "equal",
    label: "equal",
    family: "criterion",
    help: "Both matchings name the same partner, whatever the cosines",
  },
  {
    name: "mutual_nearest",
    label: "mutual nearest",
    family: "other",
    help: "The latent and its most similar one of the other SAE are each other's most similar",
  },
  {
    name: "near_floor",
    label: "near chance",
    family: "other",
    help: "Near the chance floor: no latent of the other SAE is more similar than a random direction would be",
  },
  { name: "never_fired", label: "never fired", family: "other", help: "The latent fired on no token that was counted" },
  { name: "pinned", label: "pinned", family: "other", help: "Latents that you pinned" },
];

export const bitOf = (name: string) => 1 << GROUPS.findIndex((group) => group.name === name);

export interface GroupData {
  pair: Pair;
  numLatents: number;
  /** Fires per million tokens, if counted. */
  fires: Float32Array | null;
  /** Chance floor of the side that mutual_nearest and near_floor look at. */
  floor: number;
}

/** Both take the decoder's cosines if there are any. */
export const mainSide = (pair: Pair): Side => (pair.decoder ?? pair.encoder)!;

/** The groups that can be told from the data, as bits. */
export function knownGroups({ pair, fires }: GroupData): number {
  const { decoder, encoder } = pair;
  const missing = new Set<string>();
  if (!fires) missing.add("never_fired");
  for (const [name, side] of [
    ["decoder", decoder],
    ["encoder", encoder],
  ] as const)
    if (!side) missing.add(name).add(`max_${name}`);
  if (!decoder || !encoder)
    for (const name of ["and", "and_equal", "two_partners", "one_side", "neither", "mean", "max", "equal"])
      missing.add(name);
  return GROUPS.reduce((bits, { name }) => (missing.has(name) ? bits : bits | bitOf(name)), 0);
}

/** What does not depend on the threshold, as bits of each latent. */
export function fixedBits({ pair, numLatents, fires, floor }: GroupData): Uint32Array {
  const { best, bestCosine, backBest } = mainSide(pair);
  const decoder = pair.decoder?.partner;
  const encoder = pair.encoder?.partner;
  const [equal, mutual, near, never] = ["equal", "mutual_nearest", "near_floor", "never_fired"].map(bitOf);
  const bits = new Uint32Array(numLatents);
  for (let i = 0; i < numLatents; i++) {
    if (decoder && encoder && decoder[i] >= 0 && decoder[i] === encoder[i]) bits[i] |= equal;
    if (best[i] >= 0 && backBest[best[i]] === i) bits[i] |= mutual;
    if (bestCosine[i] <= floor) bits[i] |= near;
    if (fires && fires[i] === 0) bits[i] |= never;
  }
  return bits;
}

/** All groups of each latent, except pinned. Cosines are compared as `twinsae match` does it, so that counts are the same. */
export function groupBits(data: GroupData, fixed: Uint32Array, threshold: number): Uint32Array {
  const { decoder, encoder } = data.pair;
  const bit = Object.fromEntries(GROUPS.map(({ name }) => [name, bitOf(name)]));
  const bits = fixed.slice();
  for (let i = 0; i < bits.length; i++) {
    const d = decoder ? decoder.cosine[i] > threshold : false;
    const e = encoder ? encoder.cosine[i] > threshold : false;
    const dBest = decoder ? decoder.bestCosine[i] > threshold : false;
    const eBest = encoder ? encoder.bestCosine[i] > threshold : false;
    let found =
      (d ? bit.decoder : 0) | (e ? bit.encoder : 0) | (dBest ? bit.max_decoder : 0) | (eBest ? bit.max_encoder : 0);
    if (decoder && encoder) {
      if (d && e) found |= bit.and | (bits[i] & bit.equal ? bit.and_equal : bit.two_partners);
      else found |= d || e ? bit.one_side : bit.neither;
      if (dBest && eBest) found |= bit.max;
      if ((decoder.cosine[i] + encoder.cosine[i]) / 2 > threshold) found |= bit.mean;
    }
    bits[i] |= found;
  }
  return bits;
}
