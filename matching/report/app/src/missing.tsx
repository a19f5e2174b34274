// What the folder could show but lacks, with the command that makes it.

import { manifest } from "./data.ts";
import type { Missing } from "./manifest.ts";
import { view } from "./view.ts";

/** What the manifest says, and what the chosen pair lacks. */
function missing(): Missing[] {
  if (!view.value) return [];
  const { base, pair } = view.value;
  const { contexts, explanations, path } = manifest().saes[base];
  const sides = [pair.decoder, pair.encoder].filter((side) => side !== null);
  const found: [boolean, string, string][] = [
    [sides.length < 2, "matches of both sides", "twinsae match A B --out MATCH"],
    [
      contexts !== null && !contexts.logit_lens,
      "tokens that latents promote",
      `twinsae contexts ${path} --activations STORE`,
    ],
    [!sides.some((side) => side.sureLow), "how sure each match is", "twinsae certainty MATCH"],
    [
      pair.activations === null,
      "matches by activations",
      "twinsae match A B --by activations --store STORE --out MATCH",
    ],
    [!explanations, "explanations", "twinsae report MATCH --explanations TABLE"],
  ];
  return [
    ...(manifest().missing ?? []),
    ...found.filter(([isMissing]) => isMissing).map(([, what, command]) => ({ what, command })),
  ];
}

export function MissingParts() {
  const found = missing();
  if (found.length === 0) return null;
  return (
    <details class="missing">
      <summary>Not in this folder ({found.length})</summary>
      <ul>
        {found.map(({ what, command }) => (
          <li key={what}>
            {what}: <code>{command}</code>
          </li>
        ))}
      </ul>
      <p class="note">
        After it, run <code>twinsae report</code> again.
      </p>
    </details>
  );
}
