// A latent's label: its explanation, else the tokens that the logit lens promotes, else the token at its peak.

import { computed } from "@preact/signals";
import { texts, view, words } from "./view.ts";

export type Label = { kind: "explanation"; text: string } | { kind: "tokens"; tokens: string[] } | null;

export function labelOf(latent: number): Label {
  const explanation = texts.value?.text(latent);
  if (explanation) return { kind: "explanation", text: explanation };
  const tokens = tokensOf(latent);
  return tokens.length > 0 && words.value
    ? { kind: "tokens", tokens: tokens.map((token) => visible(words.value!.text(token))) }
    : null;
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
  return token
    .replace(/^ (?=\S)/, "")
    .replaceAll("\n", "↵")
    .replaceAll("\t", "⇥")
    .replace(/^\s+$/, "␣");
}

/** (L,) The place of the label's first word or of its explanation in alphabetical order; NaN without a label. */
export const labelRanks = computed(() => {
  const explained = texts.value?.all();
  const tokens = words.value?.all();
  const all = Array.from({ length: view.value!.numLatents }, (_, i) =>
    (explained?.[i] || visible(tokens?.[tokensOf(i)[0]] ?? "")).toLowerCase(),
  );
  const rank = new Map([...new Set(all)].sort().map((text, place) => [text, place]));
  return Float32Array.from(all, (text) => (text ? rank.get(text)! : NaN));
});
