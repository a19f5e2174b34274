// A latent's label: its explanation, else the tokens that the logit lens promotes, else the token at its peak.

import { computed } from "@preact/signals";
import { texts, view, words } from "./view.ts";

export type Label = { kind: "explanation"; text: string } | { kind: "tokens"; tokens: string[] } | null;

export function labelOf(latent: number): Label {
  const explanation = texts.value?.text(latent);
  if (explanation) return { kind: "explanation", text: explanation };
  const tokens = tokensOf(latent);
  return tokens.length > 0 && words.value ? { kind: "tokens", tokens: tokens.map((token) => visible(words.value!.text(token))) } : null;
}

export function labelText(latent: number): string {
  const label = labelOf(latent);
  return label === null ? "" : label.kind === "explanation" ? label.text : label.tokens.join(" · ");
}

function tokensOf(latent: number): number[] {
  const { firstTokens, peakToken } = view.value!.sae;
  const first = firstTokens ? [...firstTokens.subarray(3 * latent, 3 * latent + 3)].filter((token) => token >= 0) : [];
  if (first.length > 0) return first;
  return peakToken && peakToken[latent] >= 0 ? [peakToken[latent]] : [];
}

/** A token on one line, without the space before a word. */
function visible(token: string): string {
  return token.replace(/^ (?=\S)/, "").replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^\s+$/, "␣");
}

/** (L,) The label's rank in alphabetical order, whatever the case; NaN for none. */
export const labelRanks = computed(() => {
  const all = Array.from({ length: view.value!.numLatents }, (_, i) => labelText(i).toLowerCase());
  const sorted = [...new Set(all)].sort();
  const rank = new Map(sorted.map((text, i) => [text, i]));
  return Float32Array.from(all, (text) => (text ? rank.get(text)! : NaN));
});
