// The numbers of each latent that the list can show, sort and filter by, and the plot can draw.

import type { SaeColumns } from "./data.ts";
import type { SaeInfo } from "./manifest.ts";
import type { Pair, Side } from "./pair.ts";
import { isSkewed, scaleOf, type Scale } from "./scale.ts";

export interface Column {
  /** In the address, and as the head of an exported column. */
  name: string;
  /** As the list's head. */
  short: string;
  label: string;
  help: string;
  digits: number;
  /** Whether the numbers are those of latents, which are compared but not measured. */
  isLatent: boolean;
  values: Float32Array | Int32Array;
  /** From the values at the first use. */
  readonly scale: Scale;
  readonly skewed: boolean;
}

type Described = Omit<Column, "scale" | "skewed" | "isLatent">;

function column(described: Described, isLatent = false): Column {
  let scale: Scale | null = null;
  let skewed: boolean | null = null;
  return {
    ...described,
    isLatent,
    get scale() {
      return (scale ??= scaleOf(described.values, this.skewed));
    },
    get skewed() {
      return (skewed ??= isSkewed(described.values));
    },
  };
}

const SHORT: Record<string, string> = {
  fires_per_million: "fires / M",
  max_active: "strongest",
  mean_active: "mean act.",
  own_cosine: "enc · dec",
  seeds: "shared by",
  reappearance: "reappears",
};

/** Latent numbers are the first column. */
export function columnsOf(sae: SaeInfo, { numbers }: SaeColumns, pair: Pair): Map<string, Column> {
  const ids = Int32Array.from({ length: sae.num_latents }, (_, i) => i);
  const columns = [column({ name: "id", short: "latent", label: "latent", help: "The latent's number.", digits: 0, values: ids }, true)];
  if (pair.decoder) columns.push(...sideColumns("decoder", pair.decoder));
  if (pair.encoder) columns.push(...sideColumns("encoder", pair.encoder));
  if (pair.nearest) {
    columns.push(
      column({ name: "nearest", short: "nearest", label: "nearest unshared latent", help: "The most similar of the other SAE's latents that are not shared, by the decoder.", digits: 0, values: pair.nearest.latent }, true),
      column({ name: "nearest.cosine", short: "nearest cos.", label: "cosine with the nearest unshared latent", help: "Decoder cosine with it.", digits: 3, values: pair.nearest.cosine }),
    );
  }
  if (pair.activations) {
    columns.push(
      column({ name: "activations.partner", short: "by act.", label: "partner by activations", help: "The partner when latents are matched by what they do, not by their weights.", digits: 0, values: pair.activations.latent }, true),
      column({ name: "activations", short: "act. cos.", label: "cosine of activations", help: "Cosine of the activations with that partner's.", digits: 3, values: pair.activations.cosine }),
    );
  }
  for (const { name, label, help, digits } of sae.columns) {
    if (!numbers[name]) continue;
    const short = SHORT[name] ?? (name.startsWith("score.") ? name.slice(6) : label);
    columns.push(column({ name, short, label, help, digits, values: numbers[name] }));
  }
  return new Map(columns.map((each) => [each.name, each]));
}

function sideColumns(name: "decoder" | "encoder", side: Side): Column[] {
  const abbreviated = name.slice(0, 3);
  const add = (suffix: string, short: string, label: string, help: string, values: Float32Array) =>
    column({ name: `${name}${suffix}`, short, label: `${name} ${label}`, help, digits: 3, values });
  const columns = [
    add("", name, "cosine", `Cosine of the ${name} weights with those of the partner.`, side.cosine),
    column({ name: `${name}.partner`, short: `${abbreviated}. partner`, label: `${name} partner`, help: `The partner that the matching of the ${name}s gives.`, digits: 0, values: side.partner }, true),
    add(".best", `best ${abbreviated}.`, "best cosine", "Cosine with the most similar latent of the other SAE, many to one.", side.bestCosine),
    add(".lead", `lead ${abbreviated}.`, "lead", "Matched cosine minus the best cosine with any other latent. Negative: another latent is more similar.", side.lead),
    add(".price", `price ${abbreviated}.`, "price", "Dual price of the latent in the matching.", side.price),
  ];
  if (side.sureLow) columns.push(add(".sure_low", `sure ${abbreviated}. ≥`, "certainty, at least", "How much the optimum falls without this pair: at least this.", side.sureLow));
  if (side.sureHigh) columns.push(add(".sure_high", `sure ${abbreviated}. ≤`, "certainty, at most", "How much the optimum falls without this pair: at most this.", side.sureHigh));
  return columns;
}

export function format(value: number, digits: number): string {
  if (value !== value) return "–";
  if (digits === 0 || Math.abs(value) >= 1e5) return Math.round(value).toLocaleString("en");
  return value >= 1000 ? value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : value.toFixed(digits);
}
