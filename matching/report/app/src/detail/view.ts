// What the detail shows, as plain facts: no chunk and no promise is left in it.
import type { SideName } from "../data.ts";
import type { Meeting } from "./overlap.ts";
import type { Match } from "./sure.ts";
import type { Line } from "./windows.ts";

/** By which side a latent is the counterpart: by both, or by one where they disagree. */
export type By = SideName | "both";

/** A latent that another SAE has for the open one. */
export interface Counterpart {
  sae: number;
  /** -1 if that SAE has none. */
  latent: number;
  by: By;
  /** Cosine of the pair by each side that chose it. */
  cosines: Partial<Record<SideName, number>>;
  firesPerMillion: number;
}

/** A token of the logit lens, with what the latent adds to its logit. */
export interface LensToken {
  token: number;
  text: string;
  logit: number;
}

/** A context; its line is null until the corpus is loaded. */
export interface ContextView {
  peak: number;
  isRandom: boolean;
  meeting: Meeting;
  line: Line | null;
}

/** What a latent does on the corpus. */
export interface Behaviour {
  histogram: Uint32Array;
  histogramEnd: number;
  contexts: ContextView[];
  /** Where its contexts meet those of the other columns, in words. */
  meetings: string;
  lens: { promoted: LensToken[]; suppressed: LensToken[] } | null;
}

/** A labelled number of a latent. */
export interface Fact {
  label: string;
  help: string;
  text: string;
}

/** One column: a latent, beside a latent of the SAE `with`; null if its own SAE was not matched with any. */
export interface ColumnView {
  sae: number;
  latent: number;
  with: number | null;
  /** Null for the base. */
  by: By | null;
  explanation: string;
  /** NaN if it is not known. */
  firesPerMillion: number;
  matches: Partial<Record<SideName, Match>>;
  /** Its match by activations instead of weights, if there is one. */
  byActivations: { latent: number; cosine: number } | null;
  /** Nearest latent of the other SAE among those that share with none of this one. */
  nearest: { latent: number; cosine: number } | null;
  facts: Fact[];
  /** Null if no contexts were collected. */
  behaviour: Behaviour | null;
}

export interface DetailView {
  sae: number;
  latent: number;
  label: string;
  /** SAEs that share the latent, as a bit mask; null if that is not known. */
  sharedWith: number | null;
  counterparts: Counterpart[];
  /** SAEs whose counterparts are not known yet. */
  pending: number[];
  /** The counterparts that have a column beside the base. */
  shown: Counterpart[];
  columns: ColumnView[];
  /** Tokens that at least two columns promote, or suppress. */
  inBoth: { promoted: Set<number>; suppressed: Set<number> };
}
