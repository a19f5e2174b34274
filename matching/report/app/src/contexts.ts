// Where a latent fires: its contexts, and the text around each.

import { load, type Numbers } from "./chunks.ts";
import { manifest } from "./data.ts";

export interface Context {
  kind: "top" | "random";
  peak: number;
  /** Position of the peak in the corpus. */
  position: number;
  /** Tokens of the window before and after the peak. */
  before: number;
  after: number;
  /** For each token of the window, its activation as a share of the context's peak, 0 to 1. */
  levels: Float32Array;
}

export interface LatentContexts {
  /** Tokens on which the latent fired. */
  count: number;
  /** The strongest first, then a random sample; both by falling peak. */
  contexts: Context[];
  /** Counts of activations in equal bins from 0 to `histogramEnd`. */
  histogram: Uint32Array;
  histogramEnd: number;
  /** What the logit lens promotes and suppresses most; null if it was not collected. */
  lens: {
    topTokens: Uint32Array;
    topLogits: Float32Array;
    bottomTokens: Uint32Array;
    bottomLogits: Float32Array;
  } | null;
}

/** Null if no contexts of the SAE were collected. */
export async function contextsOf(sae: number, latent: number): Promise<LatentContexts | null> {
  const collected = manifest().saes[sae].contexts;
  if (!collected) return null;
  const { arrays } = await load(`sae${sae}/contexts-${Math.floor(latent / collected.per_chunk)}`);
  return read(arrays, latent % collected.per_chunk);
}

/** `row` is the latent's place in the chunk. */
export function read(arrays: Record<string, Numbers>, row: number): LatentContexts {
  const contexts = [];
  for (let c = arrays.context_offsets[row]; c < arrays.context_offsets[row + 1]; c++) contexts.push(context(arrays, c));
  const bins = arrays.histogram.length / arrays.count.length;
  const rowOf = <T extends Numbers>(name: string, width: number) =>
    arrays[name].subarray(row * width, (row + 1) * width) as T;
  const width = (arrays.top_tokens?.length ?? 0) / arrays.count.length;
  return {
    count: arrays.count[row],
    contexts,
    histogram: rowOf<Uint32Array>("histogram", bins),
    histogramEnd: arrays.histogram_end[row],
    lens: arrays.top_tokens
      ? {
          topTokens: rowOf("top_tokens", width),
          topLogits: rowOf("top_logits", width),
          bottomTokens: rowOf("bottom_tokens", width),
          bottomLogits: rowOf("bottom_logits", width),
        }
      : null,
  };
}

function context(arrays: Record<string, Numbers>, c: number): Context {
  const before = arrays.before[c];
  const after = arrays.after[c];
  const levels = new Float32Array(before + 1 + after);
  for (let f = arrays.fire_offsets[c]; f < arrays.fire_offsets[c + 1]; f++)
    levels[arrays.fire_place[f]] = arrays.fire_level[f] / 255;
  return {
    kind: arrays.kind[c] === 0 ? "top" : "random",
    peak: arrays.peak[c],
    position: arrays.position[c],
    before,
    after,
    levels,
  };
}

/** The tokens of a context's window, as numbers of the vocabulary; the window may cross the end of a chunk. */
export async function windowOf({ position, before, after }: Context): Promise<Uint32Array> {
  const { per_chunk } = manifest().corpus!;
  const first = position - before;
  const last = position + after;
  const tokens = new Uint32Array(last - first + 1);
  for (let n = Math.floor(first / per_chunk); n <= Math.floor(last / per_chunk); n++) {
    const chunk = (await load(`corpus-${n}`)).arrays.tokens;
    const start = n * per_chunk;
    for (let at = Math.max(first, start); at <= Math.min(last, start + chunk.length - 1); at++)
      tokens[at - first] = chunk[at - start];
  }
  return tokens;
}
