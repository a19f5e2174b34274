// A pair of SAEs as the first of them, the base, sees it: which latent of the other belongs to each of its own.

import type { Numbers } from "./chunks.ts";
import type { SideName } from "./manifest.ts";

/** By one side, decoder or encoder. Arrays are (L_base,) except where it says (L_other,). */
export interface Side {
  /** The other's latent that the matching gives, -1 for none. */
  partner: Int32Array;
  /** Cosine with the partner, NaN for none. */
  cosine: Float32Array;
  /** The most similar latent of the other, many to one. */
  best: Int32Array;
  bestCosine: Float32Array;
  /** Matched cosine minus the best cosine with any other latent; negative where another is more similar. */
  lead: Float32Array;
  /** Dual price of the latent in the matching. */
  price: Float32Array;
  /** (L_other,) The base's latent that is most similar to each latent of the other. */
  backBest: Int32Array;
  backBestCosine: Float32Array;
  /** How much the optimum falls without this pair lies between the two; null if it was not computed. */
  sureLow: Float32Array | null;
  sureHigh: Float32Array | null;
}

/** Partners and their cosines, -1 and NaN for none. */
export interface Links {
  latent: Int32Array;
  cosine: Float32Array;
}

export interface Pair {
  decoder: Side | null;
  encoder: Side | null;
  /** (L_base,) The nearest of the other's latents that share with no latent of the base, by the decoder. */
  nearest: Links | null;
  /** (L_base,) The partner by activations. */
  activations: Links | null;
}

type Arrays = Record<string, Numbers>;

/** `arrays` are those of the chunk, whose A is the base if `isFirst`; `numBase` is the base's number of latents. */
export function orient(arrays: Arrays, sides: SideName[], isFirst: boolean, numBase: number): Pair {
  const side = (name: SideName) => {
    if (!sides.includes(name)) return null;
    return isFirst ? forward(arrays, name) : backward(arrays, name, numBase);
  };
  return {
    decoder: side("decoder"),
    encoder: side("encoder"),
    nearest: nearest(arrays, isFirst),
    activations: byActivations(arrays, isFirst, numBase),
  };
}

function forward(arrays: Arrays, name: SideName): Side {
  const get = (column: string) => arrays[`${name}.${column}`] ?? null;
  return {
    partner: get("partner") as Int32Array,
    cosine: get("cosine") as Float32Array,
    best: get("best") as Int32Array,
    bestCosine: get("best_cosine") as Float32Array,
    lead: get("lead") as Float32Array,
    price: get("price") as Float32Array,
    backBest: get("back_best") as Int32Array,
    backBestCosine: get("back_best_cosine") as Float32Array,
    sureLow: get("sure_low") as Float32Array | null,
    sureHigh: get("sure_high") as Float32Array | null,
  };
}

function backward(arrays: Arrays, name: SideName, numBase: number): Side {
  const there = forward(arrays, name);
  const partner = invert(there.partner, numBase);
  const moved = (values: Float32Array | null) => values && through(partner, values);
  const cosine = through(partner, there.cosine);
  return {
    partner,
    cosine,
    best: there.backBest,
    bestCosine: there.backBestCosine,
    lead: arrays[`${name}.back_lead`] as Float32Array,
    // The two prices of a matched pair add up to its cosine; an unmatched latent of the larger SAE is free.
    price: through(partner, there.price).map((price, i) => (partner[i] < 0 ? 0 : cosine[i] - price)),
    backBest: there.best,
    backBestCosine: there.bestCosine,
    sureLow: moved(there.sureLow),
    sureHigh: moved(there.sureHigh),
  };
}

function nearest(arrays: Arrays, isFirst: boolean): Links | null {
  const name = isFirst ? "decoder.nearest" : "decoder.back_nearest";
  return arrays[name] ? { latent: arrays[name] as Int32Array, cosine: arrays[`${name}_cosine`] as Float32Array } : null;
}

function byActivations(arrays: Arrays, isFirst: boolean, numBase: number): Links | null {
  if (!arrays["activations.partner"]) return null;
  const there = {
    latent: arrays["activations.partner"] as Int32Array,
    cosine: arrays["activations.cosine"] as Float32Array,
  };
  if (isFirst) return there;
  const latent = invert(there.latent, numBase);
  return { latent, cosine: through(latent, there.cosine) };
}

function invert(partner: Int32Array, length: number): Int32Array {
  const inverse = new Int32Array(length).fill(-1);
  for (let i = 0; i < partner.length; i++) if (partner[i] >= 0) inverse[partner[i]] = i;
  return inverse;
}

/** values[partner[i]], NaN where there is no partner. */
function through(partner: Int32Array, values: Float32Array): Float32Array {
  // A loop takes a twentieth of the time of Float32Array.from, which goes through an iterator.
  const moved = new Float32Array(partner.length);
  for (let i = 0; i < partner.length; i++) moved[i] = partner[i] < 0 ? NaN : values[partner[i]];
  return moved;
}
