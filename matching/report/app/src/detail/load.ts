// Gathers what the detail shows from the folder's chunks.
import { contextsOf, windowOf, type LatentContexts } from "../contexts.ts";
import { explanations, isPair, manifest, pair, saeColumns, vocabulary, type Pair, type SaeColumns } from "../data.ts";
import { behaviourOf, withLines } from "./behaviour.ts";
import { counterpartsOf, factsOf, linkOf, matchesOf, pick, type Choice } from "./facts.ts";
import { shared } from "./marks.ts";
import { textOf, textsOf, type Vocabulary } from "./tokens.ts";
import type { ColumnView, Counterpart, DetailView } from "./view.ts";

// A view without texts is drawn if they take longer than this, in milliseconds.
const PATIENCE = 30;

// A pair seen from its second SAE has to be turned around, which takes some milliseconds: once is enough.
const pairs = new Map<string, Promise<Pair>>();
const loaded = new Set<string>();

function pairOf(base: number, other: number): Promise<Pair> {
  const key = `${base}-${other}`;
  if (!pairs.has(key)) {
    const found = pair(base, other);
    pairs.set(key, found);
    found.then(() => loaded.add(key));
  }
  return pairs.get(key)!;
}

/**
 * Loads the detail of a latent with up to `count` counterparts beside it.
 *
 * @param publish called with the view whenever there is more of it: with the chosen counterpart at first,
 *   and with those in all other SAEs in the end; each time before the texts of the contexts come, and after
 */
export async function loadDetail(sae: number, latent: number, choice: Choice, count: number, publish: (view: DetailView) => void): Promise<void> {
  const others = manifest().saes.map((_, other) => other).filter((other) => isPair(sae, other));
  const areAllLoaded = others.every((other) => loaded.has(`${sae}-${other}`));
  if (!areAllLoaded && others.includes(choice.sae)) await loadWith([choice.sae]);
  // One after the other: the contexts of a latent that is opened meanwhile need not wait behind all of them.
  for (const other of others) await counterpartsIn(other, sae, latent);
  await loadWith(others);

  async function loadWith(known: number[]): Promise<void> {
    const counterparts = (await Promise.all(known.map((other) => counterpartsIn(other, sae, latent)))).flat();
    const pending = others.filter((other) => !known.includes(other));
    const columns = await columnsOf(sae, latent, pick(counterparts, choice, count));
    // Texts that are already there need no view without them before.
    const early = setTimeout(() => publish({ ...columns.view, counterparts, pending }), PATIENCE);
    const complete = await columns.withTexts().finally(() => clearTimeout(early));
    publish({ ...complete, counterparts, pending });
  }
}

async function counterpartsIn(other: number, sae: number, latent: number): Promise<Counterpart[]> {
  const [matched, columns] = await Promise.all([pairOf(sae, other), saeColumns(other)]);
  return counterpartsOf(other, matchesOf(matched, latent), columns.numbers.fires_per_million);
}

/** The view without the strip of counterparts, and a function that adds the texts of the contexts. */
async function columnsOf(sae: number, latent: number, shown: Counterpart[]) {
  const beside = shown.filter((one) => one.latent >= 0);
  const latents = [{ sae, latent }, ...beside];
  const [columns, words, bare, contexts] = await Promise.all([
    saeColumns(sae),
    vocabulary(),
    Promise.all([columnOf(sae, latent, shown[0]?.sae ?? null, null), ...beside.map((one) => columnOf(one.sae, one.latent, sae, one))]),
    Promise.all(latents.map((one) => contextsOf(one.sae, one.latent))),
  ]);
  const view = {
    sae,
    latent,
    label: bare[0].explanation || firstTokens(columns, latent, words),
    sharedWith: columns.sharedWith && columns.sharedWith[latent],
    shown,
    // The base is compared with the first counterpart, and every counterpart with the base.
    columns: bare.map((column, at) => {
      const other = latents[at === 0 ? 1 : 0];
      const them = other ? `latent ${other.latent} of ${manifest().saes[other.sae].name}` : "";
      return { ...column, behaviour: behaviourOf(contexts[at], contexts[at === 0 ? 1 : 0] ?? null, them, words) };
    }),
    inBoth: {
      promoted: shared(contexts.map((one) => one?.lens?.topTokens ?? [])),
      suppressed: shared(contexts.map((one) => one?.lens?.bottomTokens ?? [])),
    },
  };
  const withTexts = async () => {
    const texts = await Promise.all(contexts.map((one) => textsOfContexts(one, words)));
    return { ...view, columns: view.columns.map((column, at) => withLines(column, contexts[at], texts[at])) };
  };
  return { view, withTexts };
}

async function columnOf(sae: number, latent: number, other: number | null, counterpart: Counterpart | null): Promise<ColumnView> {
  const [columns, explained, matched] = await Promise.all([saeColumns(sae), explanations(sae), other === null ? null : pairOf(sae, other)]);
  return {
    sae,
    latent,
    with: other,
    by: counterpart && counterpart.by,
    explanation: explained?.text(latent) ?? "",
    firesPerMillion: columns.numbers.fires_per_million?.[latent] ?? NaN,
    matches: matched ? matchesOf(matched, latent) : {},
    byActivations: linkOf(matched?.activations, latent),
    nearest: linkOf(matched?.nearest, latent),
    facts: factsOf(manifest().saes[sae].columns, columns.numbers, latent),
    behaviour: null,
  };
}

function firstTokens({ firstTokens: tokens }: SaeColumns, latent: number, words: Vocabulary | null): string {
  if (!tokens) return "";
  const texts = Array.from(tokens.subarray(3 * latent, 3 * latent + 3), (token) => textOf(token, words).trim());
  return texts.filter((text) => text !== "").join(" · ");
}

/** Texts of the tokens of each context. */
async function textsOfContexts(contexts: LatentContexts | null, words: Vocabulary | null): Promise<string[][]> {
  if (!contexts) return [];
  return Promise.all(contexts.contexts.map(async (context) => textsOf(await windowOf(context), words)));
}
