// What is loaded of the chosen pair: tables first, texts when they arrive.

import { batch, effect, signal } from "@preact/signals";
import { columnsOf, type Column } from "./columns.ts";
import { fixedBits, knownGroups, mainSide, type GroupData } from "./criteria.ts";
import {
  explanations,
  manifest,
  pair,
  saeColumns,
  vocabulary,
  type Pair,
  type SaeColumns,
  type Strings,
} from "./data.ts";
import { base, other } from "./state.ts";

/** A pair's tables; base and other are those of the data, which may still differ from what was just chosen. */
export interface View {
  base: number;
  other: number;
  numLatents: number;
  sae: SaeColumns;
  pair: Pair;
  columns: Map<string, Column>;
  groups: GroupData;
  fixed: Uint32Array;
  /** The groups that can be told, as bits. */
  known: number;
}

export const view = signal<View | null>(null);
export const failure = signal<string | null>(null);
/** Undefined: still under way. Null: the folder has none. */
export const words = signal<Strings | null | undefined>(undefined);
/** Of the base. */
export const texts = signal<Strings | null | undefined>(undefined);

/** Loads whatever pair is chosen. Call it once, when the manifest is there and the address is read. */
export function startLoading(): void {
  effect(() => {
    const chosen = [base.value, other.value];
    loadView(chosen[0], chosen[1]).then(
      (loaded) => {
        if (chosen[0] === base.peek() && chosen[1] === other.peek()) view.value = loaded;
      },
      (error: Error) => (failure.value = error.message),
    );
  });
}

async function loadView(chosen: number, partner: number): Promise<View> {
  const [sae, found] = await Promise.all([saeColumns(chosen), pair(chosen, partner)]);
  const { saes, pairs } = manifest();
  const info = saes[chosen];
  const floors = pairs.find(
    ({ a, b }) => a === Math.min(chosen, partner) && b === Math.max(chosen, partner),
  )!.chance_floor;
  const floor = floors[mainSide(found) === found.decoder ? "decoder" : "encoder"] ?? NaN;
  const groups = { pair: found, numLatents: info.num_latents, fires: sae.numbers.fires_per_million ?? null, floor };
  return {
    base: chosen,
    other: partner,
    numLatents: info.num_latents,
    sae,
    pair: found,
    columns: columnsOf(info, sae, found),
    groups,
    fixed: fixedBits(groups),
    known: knownGroups(groups),
  };
}

/** Loads what the first view can do without: the vocabulary and, at each change of the pair, explanations and the other SAE's columns. */
export function startTexts(): void {
  const give = <T>(to: { value: T | null | undefined }, promise: Promise<T | null>, isWanted = () => true) =>
    promise.then(
      (loaded) => isWanted() && (to.value = loaded),
      (error: Error) => batch(() => ((to.value = null), (failure.value = error.message))),
    );
  give(words, vocabulary());
  effect(() => {
    if (!view.value) return;
    const sae = view.value.base;
    // An opened latent shows them beside its own.
    saeColumns(view.value.other).catch((error: Error) => (failure.value = error.message));
    if (sae === textsOf) return;
    textsOf = sae;
    texts.value = undefined;
    give(texts, explanations(sae), () => sae === textsOf);
  });
}

let textsOf = -1;
