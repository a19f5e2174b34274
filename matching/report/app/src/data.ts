// Typed access to the chunks of the folder.

import { load } from "./chunks.ts";
import type { Manifest } from "./manifest.ts";
import { orient, type Pair } from "./pair.ts";

export type { ColumnInfo, Manifest, PairInfo, SaeInfo, SideName } from "./manifest.ts";
export type { Pair, Side } from "./pair.ts";

const FORMAT = "twinsae-report/1";
let opened: Manifest | null = null;

/** Loads the manifest; nothing else of this file may be called before. */
export async function openManifest(): Promise<Manifest> {
  const { facts } = await load<Manifest>("manifest");
  if (facts.format !== FORMAT)
    throw new Error(`data/manifest.js is of the format ${facts.format}, and this page reads ${FORMAT}.`);
  opened = facts;
  return facts;
}

export function manifest(): Manifest {
  if (!opened) throw new Error("the manifest is not loaded yet");
  return opened;
}

/** The columns of an SAE: those of its manifest, and shared_with, peak_token, first_tokens where they exist. */
export interface SaeColumns {
  numbers: Record<string, Float32Array>;
  /** (L,) Bit j is set where SAE j shares the latent; null if there are too many SAEs. */
  sharedWith: Uint32Array | null;
  /** (L,) The vocabulary's number of the token at the strongest context's peak, -1 unknown. */
  peakToken: Int32Array | null;
  /** (L, 3) What the logit lens promotes most. */
  firstTokens: Int32Array | null;
}

export async function saeColumns(sae: number): Promise<SaeColumns> {
  const { arrays } = await load(`sae${sae}/columns`);
  const names = manifest().saes[sae].columns.map((column) => column.name);
  return {
    numbers: Object.fromEntries(names.map((name) => [name, arrays[name] as Float32Array])),
    sharedWith: (arrays.shared_with as Uint32Array) ?? null,
    peakToken: (arrays.peak_token as Int32Array) ?? null,
    firstTokens: (arrays.first_tokens as Int32Array) ?? null,
  };
}

/** Whether the two SAEs were matched. */
export function isPair(base: number, other: number): boolean {
  return manifest().pairs.some(({ a, b }) => (a === base && b === other) || (a === other && b === base));
}

/** The pair as SAE `base` sees it, whichever of the two has the lower number. */
export async function pair(base: number, other: number): Promise<Pair> {
  const [low, high] = base < other ? [base, other] : [other, base];
  const info = manifest().pairs.find(({ a, b }) => a === low && b === high);
  if (!info) throw new Error(`SAEs ${low} and ${high} were not matched`);
  const { arrays } = await load(`pair-${low}-${high}`);
  return orient(arrays, info.sides, base < other, manifest().saes[base].num_latents);
}

const utf8 = new TextDecoder();
const bytewise = new TextDecoder("latin1");

/** Byte strings one after another. */
export class Strings {
  constructor(
    private readonly bytes: Uint8Array,
    private readonly offsets: Uint32Array,
  ) {}

  get length(): number {
    return this.offsets.length - 1;
  }

  /** The bytes of a string: join those of neighbouring tokens before decoding, as a letter may be split. */
  bytesOf(index: number): Uint8Array {
    return this.bytes.subarray(this.offsets[index], this.offsets[index + 1]);
  }

  text(index: number): string {
    return index < 0 || index >= this.length ? "" : utf8.decode(this.bytesOf(index));
  }

  /** All of them, without a decoder's call for each: most strings are ASCII, where a byte is a letter. */
  all(): string[] {
    const letters = bytewise.decode(this.bytes);
    const { offsets } = this;
    const isAscii = (text: string) => /^[\x00-\x7f]*$/.test(text);
    if (isAscii(letters))
      return Array.from({ length: this.length }, (_, i) => letters.slice(offsets[i], offsets[i + 1]));
    return Array.from({ length: this.length }, (_, i) => {
      const text = letters.slice(offsets[i], offsets[i + 1]);
      return isAscii(text) ? text : this.text(i);
    });
  }
}

async function strings(name: string): Promise<Strings> {
  const { arrays } = await load(name);
  return new Strings(arrays.bytes as Uint8Array, arrays.offsets as Uint32Array);
}

/** Text of each token; null if the folder has none. */
export async function vocabulary(): Promise<Strings | null> {
  return manifest().vocabulary ? strings("vocabulary") : null;
}

/** Explanation of each latent, empty where there is none; null if the SAE has none. */
export async function explanations(sae: number): Promise<Strings | null> {
  return manifest().saes[sae].explanations ? strings(`sae${sae}/text`) : null;
}
