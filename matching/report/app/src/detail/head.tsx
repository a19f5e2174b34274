// The head of the detail: which latent it is, who shares it, and the way to its neighbours.
import { manifest } from "../data.ts";
import { addressOf } from "./latent-link.tsx";
import type { DetailView } from "./view.ts";

/** The latents before and after this one in the list; null at its ends. */
export interface Neighbours {
  previous: number | null;
  next: number | null;
}

interface Props {
  view: DetailView;
  neighbours: Neighbours;
  go: (latent: number) => void;
}

/** Draws the head. */
export function Head({ view, neighbours, go }: Props) {
  const { name } = manifest().saes[view.sae];
  const step = (latent: number | null, sign: string, label: string, key: string) => (
    <button type="button" disabled={latent === null} title={`${label} latent of the list (${key})`} aria-label={`${label} latent of the list`} onClick={() => go(latent!)}>
      {sign}
    </button>
  );
  return (
    <header class="head">
      <h2>
        <span class="name">
          {name} · latent {view.latent}
        </span>
        {view.label && <span class="label"> {view.label}</span>}
      </h2>
      <Sharing view={view} />
      <nav aria-label="Neighbours in the list">
        <a href={addressOf(view.sae, view.latent)} title="A link that opens this latent">link</a>
        {step(neighbours.previous, "‹", "previous", "[")}
        {step(neighbours.next, "›", "next", "]")}
      </nav>
    </header>
  );
}

/** A dot for each other SAE, filled where it shares the latent. */
function Sharing({ view: { sae, sharedWith } }: { view: DetailView }) {
  const others = manifest().saes.map(({ name }, number) => ({ name, number })).filter(({ number }) => number !== sae);
  if (sharedWith === null || others.length === 0) return null;
  const shares = ({ number }: { number: number }) => ((sharedWith >>> number) & 1) === 1;
  const sharing = others.filter(shares);
  const words =
    others.length === 1
      ? `${sharing.length === 1 ? "shared" : "not shared"} with ${others[0].name}`
      : `shared with ${sharing.length} of ${others.length} other SAEs`;
  return (
    <p class="sharing">
      <span class="dots" aria-hidden="true">
        {others.map((one) => (
          <span key={one.number} class={shares(one) ? "dot filled" : "dot"} title={`${shares(one) ? "shared" : "not shared"} with ${one.name}`} />
        ))}
      </span>
      <span title={sharing.map(({ name }) => name).join(", ") || undefined}>{words}</span>
    </p>
  );
}
