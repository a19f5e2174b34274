// The head of the detail: which latent it is, and who shares it.
import { manifest } from "../data.ts";
import { addressOf } from "./latent-link.tsx";
import type { DetailView } from "./view.ts";

/** Draws the head. */
export function Head({ view }: { view: DetailView }) {
  const { name } = manifest().saes[view.sae];
  return (
    <div class="title">
      <h2>
        <span class="name">
          {name} · latent {view.latent}
        </span>
        {view.label && <span class="label"> {view.label}</span>}
      </h2>
      <Sharing view={view} />
      <a href={addressOf(view.sae, view.latent)} title="A link that opens this latent, without the filters of the list">link</a>
    </div>
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
