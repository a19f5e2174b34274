// What data/manifest.js says of the folder: which SAEs, which pairs, and what there is to show of each.

export type SideName = "decoder" | "encoder";

/** One number of each latent, as data/sae<i>/columns.js carries it under its name. */
export interface ColumnInfo {
  name: string;
  label: string;
  help: string;
  digits: number;
}

export interface SaeInfo {
  name: string;
  num_latents: number;
  d_in: number;
  architecture: string;
  k: number | null;
  sha256: string;
  path: string;
  /** Tokens on which firing was counted. */
  firing_tokens: number | null;
  contexts: { chunks: number; per_chunk: number; tokens: number; logit_lens: boolean } | null;
  explanations: boolean;
  columns: ColumnInfo[];
}

/** Of the SAEs `a` < `b`: their numbers in `Manifest.saes`. */
export interface PairInfo {
  a: number;
  b: number;
  sides: SideName[];
  chance_floor: Partial<Record<SideName, number>>;
  matchings: Partial<Record<SideName, string>>;
  counts: Record<string, { count: number; share: number }>;
}

export interface Missing {
  what: string;
  command: string;
}

export interface Manifest {
  format: string;
  twinsae: string;
  title: string;
  threshold: number;
  saes: SaeInfo[];
  pairs: PairInfo[];
  corpus: { tokens: number; per_chunk: number; chunks: number; model: string; text: string; sha256: string } | null;
  vocabulary: boolean;
  /** What the folder could show, with the command that makes it. */
  missing?: Missing[];
}
