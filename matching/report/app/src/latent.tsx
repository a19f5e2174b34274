// The open latent: its bar, and its detail.

import { close, open, openPlace, step, togglePin } from "./actions.ts";
import { Detail } from "./detail/Detail.tsx";
import { rows } from "./rows.ts";
import { base, latent, other, pins } from "./state.ts";

export function LatentPanel() {
  const id = latent.value;
  if (id === null)
    return (
      <section class="latent" aria-label="Latent">
        <p class="note">Choose a latent in the list.</p>
      </section>
    );
  const place = openPlace.value;
  const isPinned = pins.value.includes(id);
  return (
    <section class="latent" aria-label="Latent" tabIndex={0}>
      <div class="toolbar">
        <button
          title="Previous in the list ( [ )"
          aria-label="Previous latent of the list"
          disabled={place <= 0}
          onClick={() => step(-1)}
        >
          ‹
        </button>
        <button
          title="Next in the list ( ] )"
          aria-label="Next latent of the list"
          disabled={place >= rows.value.length - 1}
          onClick={() => step(1)}
        >
          ›
        </button>
        <small>
          {place < 0
            ? "not in the list"
            : `${(place + 1).toLocaleString("en")} of ${rows.value.length.toLocaleString("en")}`}
        </small>
        <button aria-pressed={isPinned} title="Pin ( x )" onClick={() => togglePin(id)}>
          {isPinned ? "pinned" : "pin"}
        </button>
        <button class="close" title="Close ( Esc )" aria-label="Close the latent" onClick={close}>
          ✕
        </button>
      </div>
      <Detail sae={base.value} latent={id} other={other.value} open={open} />
    </section>
  );
}
