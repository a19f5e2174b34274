// The matches of a latent by both sides, and how sure they are.
import { manifest, type SideName } from "../data.ts";
import { threshold } from "../state.ts";
import { LatentLink, type Open } from "./latent-link.tsx";
import { cosine } from "./numbers.ts";
import { need, sureness, type Match } from "./sure.ts";
import type { ColumnView } from "./view.ts";

const HELP = {
  partner: "The latent that the best one-to-one matching gives",
  cosine: "Cosine with the partner; the line marks the threshold of sharing",
  lead: "The cosine minus the best cosine with any other latent of the other SAE; negative if another one is closer",
  price: "Prices of the latent and of its partner, from the proof that the matching is the best one. They add up to the cosine; no pair has a cosine above the sum of its two prices",
  activations: "The match by when the latents fire, instead of by their weights; its cosine is that of their activations",
  loss: "The matching has the largest sum of cosines of all. This is how much less the best one without this pair has",
};

/** Draws a row for each side, then what they mean in words. */
export function MatchTable({ column, open }: { column: ColumnView; open: Open }) {
  if (column.with === null) return <p class="plain">Its SAE was not matched with another one.</p>;
  const other = column.with;
  const them = manifest().saes[other].name;
  const sides = Object.entries(column.matches) as [SideName, Match][];
  return (
    <>
      <table class="match">
        <thead>
          <tr>
            <th scope="col">in {them} by</th>
            <th scope="col" title={HELP.partner}>partner</th>
            <th scope="col" title={HELP.cosine}>cosine</th>
            <th scope="col" title={HELP.lead}>lead</th>
            <th scope="col" class="prices" title={HELP.price}>prices</th>
          </tr>
        </thead>
        <tbody>
          {sides.map(([name, match]) => (
            <MatchRow key={name} name={name} match={match} other={other} open={open} />
          ))}
          {column.byActivations && (
            <tr>
              <th scope="row" title={HELP.activations}>activations</th>
              <td><LatentLink sae={other} latent={column.byActivations.latent} open={open} /></td>
              <td>{cosine(column.byActivations.cosine)}</td>
            </tr>
          )}
        </tbody>
      </table>
      <Sureness column={column} other={other} sides={sides} open={open} />
    </>
  );
}

function MatchRow({ name, match, other, open }: { name: SideName; match: Match; other: number; open: Open }) {
  const isMatched = match.partner >= 0;
  const prices = isMatched ? `${cosine(match.prices[0])} +\u00a0${cosine(match.prices[1])}` : cosine(match.prices[0]);
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{isMatched ? <LatentLink sae={other} latent={match.partner} open={open} /> : "none"}</td>
      <td title={isMatched ? `prices ${prices}` : undefined}>
        {cosine(match.cosine)}
        {isMatched && <CosineBar value={match.cosine} />}
      </td>
      <td>{isMatched ? signed(match.lead) : "–"}</td>
      <td class="prices">{prices}</td>
    </tr>
  );
}

const signed = (value: number) => (value > 0 ? `+${cosine(value)}` : cosine(value));

function CosineBar({ value }: { value: number }) {
  return (
    <svg class={value > threshold.value ? "share above" : "share"} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="whole" width={100} height={6} />
      <rect class="part" width={100 * Math.max(0, value)} height={6} />
      <rect class="threshold" x={100 * threshold.value - 0.75} width={1.5} height={6} />
    </svg>
  );
}

function Sureness({ column, other, sides, open }: { column: ColumnView; other: number; sides: [SideName, Match][]; open: Open }) {
  const { saes, pairs } = manifest();
  const them = saes[other].name;
  const info = pairs.find(({ a, b }) => a === Math.min(column.sae, other) && b === Math.max(column.sae, other))!;
  const disagree = sides.length === 2 && sides[0][1].partner !== sides[1][1].partner;
  return (
    <ul class="sureness">
      {sides.map(([name, match]) => {
        const { mood, verdict, sentence, title } = sureness(match, { them, threshold: threshold.value, chanceFloor: info.chance_floor[name] ?? 0 });
        // What the matching loses is the same for both latents of a pair, so the base says it alone.
        const loss = column.by === null ? need(match) : "";
        return (
          <li key={name} class={mood}>
            <span title={title}>
              <b>{verdict}</b> by the {name}: {sentence}
            </span>
            {loss && <span title={HELP.loss}> {loss}</span>}
          </li>
        );
      })}
      {disagree && (
        <li class="doubtful" title="Each side is matched on its own. A latent that is shared by both sides has one partner.">
          <b>Two partners</b>: decoder and encoder disagree.
        </li>
      )}
      {column.nearest && (
        <li title={`The nearest latent of ${them} among those that no latent of ${saes[column.sae].name} shares`}>
          Nearest latent of {them} that is not shared: <LatentLink sae={other} latent={column.nearest.latent} open={open} /> (cosine {cosine(column.nearest.cosine)})
        </li>
      )}
    </ul>
  );
}
