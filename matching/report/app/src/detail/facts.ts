// What the tables of a pair say of one latent.
import type { ColumnInfo, Pair, SideName } from "../data.ts";
import type { Links } from "../pair.ts";
import { number } from "./numbers.ts";
import type { Match } from "./sure.ts";
import type { By, Counterpart, Fact } from "./view.ts";

const SIDES: SideName[] = ["decoder", "encoder"];

/** Returns the latent's matches by both sides. The latent is one of the pair's base. */
export function matchesOf(pair: Pair, latent: number): Partial<Record<SideName, Match>> {
  const matches: Partial<Record<SideName, Match>> = {};
  for (const name of SIDES) {
    const side = pair[name];
    if (!side) continue;
    const cosine = side.cosine[latent];
    const price = side.price[latent];
    matches[name] = {
      partner: side.partner[latent],
      cosine,
      best: side.best[latent],
      bestCosine: side.bestCosine[latent],
      lead: side.lead[latent],
      prices: [price, cosine - price],
      fall: side.sureLow && side.sureHigh ? [side.sureLow[latent], side.sureHigh[latent]] : null,
    };
  }
  return matches;
}

/** Returns the latent that the table gives for this one, or null if there is none. */
export function linkOf(links: Links | null | undefined, latent: number): { latent: number; cosine: number } | null {
  if (!links || links.latent[latent] < 0) return null;
  return { latent: links.latent[latent], cosine: links.cosine[latent] };
}

/** Returns the latents that the SAE has for this one: one, or two where the sides disagree. `fires` are that SAE's. */
export function counterpartsOf(sae: number, matches: Partial<Record<SideName, Match>>, fires: Float32Array | undefined): Counterpart[] {
  const found: Counterpart[] = [];
  for (const name of SIDES) {
    const match = matches[name];
    if (!match) continue;
    const same = found.find(({ latent }) => latent === match.partner);
    if (same) {
      same.by = "both";
      same.cosines[name] = match.cosine;
    } else found.push({ sae, latent: match.partner, by: name, cosines: { [name]: match.cosine }, firesPerMillion: fires?.[match.partner] ?? NaN });
  }
  // With one side alone there is nothing to disagree with; a partner by one side is worth more than none by the other.
  if (found.length === 1) found[0].by = "both";
  return found.length === 2 ? found.filter(({ latent }) => latent >= 0) : found;
}

/** Which counterpart a reader wants to see; it stays when another latent is opened. */
export interface Choice {
  sae: number;
  by: By;
}

/** Picks the counterparts to show, the chosen one first, then those of the same SAE, then the others. */
export function pick(counterparts: Counterpart[], choice: Choice, count: number): Counterpart[] {
  const distance = ({ sae, by }: Counterpart) => (sae !== choice.sae ? 2 : by === choice.by || by === "both" ? 0 : 1);
  // Sorting is stable, so counterparts at the same distance keep the order of the SAEs.
  return [...counterparts].sort((one, other) => distance(one) - distance(other)).slice(0, count);
}

/** Returns the latent's number in each column that knows it. */
export function factsOf(columns: ColumnInfo[], numbers: Record<string, Float32Array>, latent: number): Fact[] {
  return columns.map(({ name, label, help, digits }) => ({ label, help, text: number(numbers[name][latent], digits) }));
}
