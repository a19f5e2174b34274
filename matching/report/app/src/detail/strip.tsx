// Small cards of the counterparts in all other SAEs, to choose the ones that have a column.
import { manifest } from "../data.ts";
import { threshold } from "../state.ts";
import type { Choice } from "./facts.ts";
import { cosine, rate } from "./numbers.ts";
import type { Counterpart } from "./view.ts";

interface Props {
  counterparts: Counterpart[];
  shown: Counterpart[];
  /** SAEs whose counterparts are not known yet. */
  pending: number[];
  choose: (choice: Choice) => void;
}

/** Draws a card for each counterpart; there is nothing to choose if there is one only. */
export function Strip({ counterparts, shown, pending, choose }: Props) {
  if (counterparts.length + pending.length < 2) return null;
  return (
    <ul class="strip" aria-label="Counterparts in the other SAEs">
      {counterparts.map((one) => (
        <li key={`${one.sae}-${one.by}`}>
          <button type="button" aria-pressed={shown.includes(one)} onClick={() => choose({ sae: one.sae, by: one.by })}>
            <Card counterpart={one} />
          </button>
        </li>
      ))}
      {pending.map((sae) => (
        <li key={sae}>
          <button type="button" disabled>
            <b>{manifest().saes[sae].name}</b>
            <span>…</span>
            <small>…</small>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Card({ counterpart: { sae, latent, by, cosines, firesPerMillion } }: { counterpart: Counterpart }) {
  const { saes } = manifest();
  if (latent < 0)
    return (
      <>
        <b>{saes[sae].name}</b>
        <span>no partner</span>
      </>
    );
  const values = [cosines.decoder, cosines.encoder].filter((value) => value !== undefined);
  return (
    <>
      <b>
        {saes[sae].name} · {latent}
      </b>
      <span title="cosines by decoder and encoder">
        {values.map((value, at) => (
          <span key={at} class={value > threshold.value ? "above" : undefined}>
            {at > 0 && " / "}
            {cosine(value)}
          </span>
        ))}
        {by !== "both" && ` ${by}`}
      </span>
      <small>{rate(firesPerMillion)} per million</small>
    </>
  );
}
