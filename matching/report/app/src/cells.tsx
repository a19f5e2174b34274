// What the list's columns show of a latent.

import { computed } from "@preact/signals";
import { format, type Column } from "./columns.ts";
import { manifest } from "./data.ts";
import { labelOf } from "./labels.ts";
import { columnNames } from "./state.ts";
import { view } from "./view.ts";

export interface ListColumn {
  name: string;
  short: string;
  help: string;
  kind: "id" | "label" | "dots" | "partner" | "number";
  /** The column that a click on the head sorts by. */
  sortsBy: string | null;
  /** In the page's pixels; of the label the least, as it takes what is left. */
  width: number;
  numbers?: Column;
}

const LABEL: ListColumn = {
  name: "label",
  short: "label",
  help: "Its explanation, else the tokens that it promotes most, else the token at its peak.",
  kind: "label",
  sortsBy: "label",
  width: 120,
};

/** All columns that the list could show, latents' numbers first. */
export const possibleColumns = computed<ListColumn[]>(() => {
  if (!view.value) return [];
  const { columns, sae, pair } = view.value;
  const numbers = [...columns.values()].map((column): ListColumn => ({
    name: column.name,
    short: column.short,
    help: column.help || column.label,
    kind: column.name === "id" ? "id" : "number",
    sortsBy: column.name,
    width: column.name === "id" ? 62 : Math.max(64, 28 + 7 * column.short.length),
    numbers: column,
  }));
  const [id, ...rest] = numbers;
  const count = manifest().saes.length;
  const dots: ListColumn[] =
    count > 2 && sae.sharedWith
      ? [
          {
            name: "dots",
            short: "SAEs",
            help: "The SAEs, in order; filled: it shares this latent, by the criterion and.",
            kind: "dots",
            sortsBy: columns.has("seeds") ? "seeds" : null,
            width: Math.max(54, 16 + 10 * count),
          },
        ]
      : [];
  const both = pair.decoder && pair.encoder;
  const partner: ListColumn = {
    name: "partner",
    short: "partner",
    help: "The partner in the other SAE; two where decoder and encoder disagree.",
    kind: "partner",
    sortsBy: pair.decoder ? "decoder.partner" : "encoder.partner",
    width: both ? 104 : 70,
  };
  return [id, LABEL, ...dots, partner, ...rest];
});

const USUAL = ["dots", "seeds", "decoder", "encoder", "partner", "fires_per_million", "decoder.lead"];

export const usualNames = computed(() => {
  const names = new Set(possibleColumns.value.map(({ name }) => name));
  // Dots say more than their number; one other SAE needs neither.
  if (names.has("dots") || manifest().saes.length < 3) names.delete("seeds");
  const scores = [...names].filter((name) => name.startsWith("score.")).slice(0, 2);
  return [...USUAL.filter((name) => names.has(name)), ...scores];
});
export const chosenNames = computed(() => columnNames.value ?? usualNames.value);

/** The number and the label are always there. */
export const shownColumns = computed(() => {
  const chosen = new Map(possibleColumns.value.map((column) => [column.name, column]));
  const names = ["id", "label", ...chosenNames.value.filter((name) => name !== "id" && name !== "label")];
  return names.flatMap((name) => chosen.get(name) ?? []);
});

export const templateOf = (columns: readonly ListColumn[]) =>
  columns.map(({ kind, width }) => (kind === "label" ? `minmax(${width}px, 1fr)` : `${width}px`)).join(" ");
export const widthOf = (columns: readonly ListColumn[]) => columns.reduce((sum, { width }) => sum + width, 0);

export function Cell({ column, latent }: { column: ListColumn; latent: number }) {
  if (column.kind === "label") return <LabelText latent={latent} />;
  if (column.kind === "dots") return <Dots latent={latent} />;
  if (column.kind === "partner") return <>{partnerText(latent)}</>;
  const { values, digits, isLatent } = column.numbers!;
  if (isLatent) return <>{values[latent] < 0 ? "–" : values[latent]}</>;
  return <>{format(values[latent], digits)}</>;
}

function LabelText({ latent }: { latent: number }) {
  const label = labelOf(latent);
  if (label === null) return null;
  if (label.kind === "explanation") return <>{label.text}</>;
  return (
    <>
      {label.tokens.map((token, i) => (
        <code key={i}>{token}</code>
      ))}
    </>
  );
}

function Dots({ latent }: { latent: number }) {
  const { sae, base } = view.value!;
  const mask = sae.sharedWith![latent];
  const isShared = (other: number) => (mask >>> other) & 1;
  const others = manifest()
    .saes.map((_, i) => i)
    .filter((i) => i !== base);
  return (
    <span class="dots" role="img" aria-label={`shared with ${others.filter(isShared).length} of ${others.length}`}>
      {manifest().saes.map((_, i) => (
        <i key={i} class={i === base ? "own" : isShared(i) ? "shared" : ""} />
      ))}
    </span>
  );
}

export function partnerText(latent: number): string {
  const { decoder, encoder } = view.value!.pair;
  const found = [decoder, encoder].flatMap((side) => (side ? [side.partner[latent]] : []));
  const text = (partner: number) => (partner < 0 ? "–" : String(partner));
  return found.length === 2 && found[0] !== found[1] ? `${text(found[0])} / ${text(found[1])}` : text(found[0]);
}
