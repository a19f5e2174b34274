// What the folder could show but lacks, with the command that makes it.

import { manifest } from "./data.ts";
import { view } from "./view.ts";

export interface Missing {
  what: string;
  command: string;
}

/** Of the chosen base; then `twinsae report` has to run again. */
export function missing(): Missing[] {
  if (!view.value) return [];
  const { base, pair } = view.value;
  const { path, firing_tokens, contexts, explanations } = manifest().saes[base];
  const sides = [pair.decoder, pair.encoder].filter((side) => side !== null);
  const found: [boolean, string, string][] = [
    [sides.length < 2, "Matches of both sides", "twinsae match A B --out MATCH"],
    [firing_tokens === null, "How often latents fire", `twinsae fire ${path} --activations STORE`],
    [contexts === null, "Where latents fire", `twinsae contexts ${path} --store STORE`],
    [contexts !== null && !contexts.logit_lens, "The tokens that latents promote", `twinsae contexts ${path} --store STORE`],
    [!sides.some((side) => side.sureLow), "How sure each match is", "twinsae certainty MATCH"],
    [pair.activations === null, "Matches by activations", "twinsae match A B --by activations --store STORE --out MATCH"],
    [!explanations, "Explanations and their scores", "twinsae report MATCH --explanations TABLE"],
  ];
  return found.filter(([isMissing]) => isMissing).map(([, what, command]) => ({ what, command }));
}
