// The list as files: all columns of its latents, with where they come from.

import type { Column } from "./columns.ts";

export interface Provenance {
  [name: string]: string | number;
}

/** Floats with nine digits give the same float32 back. */
const number = (value: number) => (Number.isInteger(value) ? value : Number(value.toPrecision(9)));
const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
/** Spreadsheets run what begins like a formula, and labels are other people's words. */
const asWords = (text: string) => (/^\s*[=+\-@]/.test(text) ? `'${text}` : text);

/** Lines of "# name: value", then a table with a line for each latent; unknown numbers are empty. A label that
 * begins like a formula gets an apostrophe. */
export function csv(
  provenance: Provenance,
  columns: readonly Column[],
  rows: Uint32Array,
  label: (latent: number) => string,
): string {
  const lines = Object.entries(provenance).map(([name, value]) => `# ${name}: ${String(value).replace(/\s+/g, " ")}`);
  lines.push([...columns.map(({ name }) => name), "label"].join());
  for (const latent of rows) {
    const cells = columns.map(({ values }) => (values[latent] !== values[latent] ? "" : number(values[latent])));
    lines.push(`${cells.join()},${quote(asWords(label(latent).replace(/[\r\n]+/g, " ")))}`);
  }
  return lines.join("\n") + "\n";
}

/** One object a latent; null where a number is unknown. */
export function json(
  provenance: Provenance,
  columns: readonly Column[],
  rows: Uint32Array,
  label: (latent: number) => string,
): string {
  const lines = Array.from(rows, (latent) => {
    const cells = columns.map(({ name, values }) => [
      name,
      values[latent] !== values[latent] ? null : number(values[latent]),
    ]);
    return JSON.stringify({ ...Object.fromEntries(cells), label: label(latent) });
  });
  return `{"provenance":${JSON.stringify(provenance)},"latents":[\n${lines.join(",\n")}\n]}\n`;
}

export const idsText = (rows: Uint32Array) => Array.from(rows).join("\n") + "\n";

/** Code that takes the list's latents out of the SAE. */
export function python(path: string, link: string, rows: Uint32Array): string {
  const comment = link.replace(/[\r\n]/g, "");
  return `# ${comment}
from twinsae.sae import load_sae

latents = [${Array.from(rows).join(", ")}]
sae = load_sae(${JSON.stringify(path)})
decoder = sae.W_dec[latents]  # (${rows.length}, d_in)
encoder = sae.W_enc[latents]
`;
}
