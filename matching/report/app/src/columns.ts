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
  mean_active: "mean act.",
};

/** A column of similarities and the like. */
const measure = (name: string, short: string, label: string, help: string, values: Float32Array) =>
  column({ name, short, label, help, digits: 3, values });

/** A column of latents, -1 for none. */
const latents = (name: string, short: string, label: string, help: string, values: Int32Array) =>
  column({ name, short, label, help, digits: 0, values }, true);

/** Latents' own numbers are the first column. */
export function columnsOf(sae: SaeInfo, { numbers }: SaeColumns, pair: Pair): Map<string, Column> {
  const ids = Int32Array.from({ length: sae.num_latents }, (_, i) => i);
  const columns = [
    latents("id", "latent", "latent", "The latent's number.", ids),
    ...(pair.decoder ? sideColumns("decoder", pair.decoder) : []),
    ...(pair.encoder ? sideColumns("encoder", pair.encoder) : []),
    ...linkColumns(pair),
    ...sae.columns
      .filter(({ name }) => numbers[name])
      .map(({ name, label, help, digits }) => {
        const short = SHORT[name] ?? (name.startsWith("score.") ? name.slice(6) : label);
        return column({ name, short, label, help, digits, values: numbers[name] });
      }),
  ];
  return new Map(columns.map((each) => [each.name, each]));
}

const HELP = {
  best: "Cosine with the most similar latent of the other SAE, many to one.",
  lead: "Matched cosine minus the best cosine with any other latent. Negative: another latent is more similar.",
  price: "Dual price of the latent in the matching.",
  sure: "How much the optimum falls without this pair: ",
};

function sideColumns(name: "decoder" | "encoder", side: Side): Column[] {
  const brief = `${name.slice(0, 3)}.`;
  const { partner, cosine, bestCosine, lead, price, sureLow, sureHigh } = side;
  const columns = [
    measure(name, name, `${name} cosine`, `Cosine of the ${name} weights with those of the partner.`, cosine),
    latents(
      `${name}.partner`,
      `${brief} partner`,
      `${name} partner`,
      `The partner by the matching of the ${name}s.`,
      partner,
    ),
    measure(`${name}.best`, `best ${brief}`, `${name} best cosine`, HELP.best, bestCosine),
    measure(`${name}.lead`, `lead ${brief}`, `${name} lead`, HELP.lead, lead),
    measure(`${name}.price`, `price ${brief}`, `${name} price`, HELP.price, price),
  ];
  if (sureLow)
    columns.push(
      measure(
        `${name}.sure_low`,
        `sure ${brief} ≥`,
        `${name} certainty, at least`,
        `${HELP.sure}at least this.`,
        sureLow,
      ),
    );
  if (sureHigh)
    columns.push(
      measure(
        `${name}.sure_high`,
        `sure ${brief} ≤`,
        `${name} certainty, at most`,
        `${HELP.sure}at most this.`,
        sureHigh,
      ),
    );
  return columns;
}

function linkColumns({ nearest, activations }: Pair): Column[] {
  const columns = [];
  if (nearest) {
    const help = "The most similar of the other SAE's latents that are not shared, by the decoder.";
    columns.push(latents("nearest", "nearest", "nearest unshared latent", help, nearest.latent));
    columns.push(
      measure(
        "nearest.cosine",
        "nearest cos.",
        "cosine with the nearest unshared latent",
        "Decoder cosine with it.",
        nearest.cosine,
      ),
    );
  }
  if (activations) {
    const help = "The partner when latents are matched by what they do, not by their weights.";
    columns.push(latents("activations.partner", "by act.", "partner by activations", help, activations.latent));
    columns.push(
      measure(
        "activations",
        "act. cos.",
        "cosine of activations",
        "Cosine of the activations with that partner's.",
        activations.cosine,
      ),
    );
  }
  return columns;
}

export function format(value: number, digits: number): string {
  if (value !== value) return "–";
  // Numbers below 1,000 are most, and have a quicker way.
  if (Math.abs(value) < 999) return value.toFixed(digits);
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
