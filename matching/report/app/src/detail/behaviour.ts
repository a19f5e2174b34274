// What a latent does on the corpus, from its stored contexts.
import type { Context, LatentContexts } from "../contexts.ts";
import { meetings, meetingWords, type Firing } from "./overlap.ts";
import { textOf, type Vocabulary } from "./tokens.ts";
import type { Behaviour, ColumnView, LensToken } from "./view.ts";
import { lineOf } from "./windows.ts";

/** Compares the contexts with `theirs`, those of the latent that is called `them`. The lines are still to come. */
export function behaviourOf(mine: LatentContexts | null, theirs: LatentContexts | null, them: string, words: Vocabulary | null): Behaviour | null {
  if (!mine) return null;
  const found = meetings(mine.contexts.map(firing), theirs ? theirs.contexts.map(firing) : []);
  const { lens } = mine;
  return {
    histogram: mine.histogram,
    histogramEnd: mine.histogramEnd,
    contexts: mine.contexts.map(({ peak, kind }, n) => ({ peak, isRandom: kind === "random", meeting: found[n], line: null })),
    meetings: theirs ? meetingWords(found, them) : "",
    lens: lens && { promoted: lensTokens(lens.topTokens, lens.topLogits, words), suppressed: lensTokens(lens.bottomTokens, lens.bottomLogits, words) },
  };
}

/** Adds the line of each context; `texts` are those of the tokens of each. */
export function withLines(column: ColumnView, mine: LatentContexts | null, texts: string[][]): ColumnView {
  if (!mine || !column.behaviour) return column;
  const contexts = column.behaviour.contexts.map((context, n) => {
    const { levels, before, peak } = mine.contexts[n];
    return { ...context, line: lineOf(texts[n], levels, before, peak) };
  });
  return { ...column, behaviour: { ...column.behaviour, contexts } };
}

function firing({ position, before, after, levels }: Context): Firing {
  const fired: number[] = [];
  levels.forEach((level, place) => level > 0 && fired.push(position - before + place));
  return { position, before, after, fired };
}

function lensTokens(tokens: Uint32Array, logits: Float32Array, words: Vocabulary | null): LensToken[] {
  return Array.from(tokens, (token, rank) => ({ token, text: textOf(token, words), logit: logits[rank] }));
}
