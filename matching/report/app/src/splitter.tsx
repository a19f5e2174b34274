// The line between list and latent, which can be moved.

import { signal } from "@preact/signals";

/** Of the page, in percent. */
export const detailWidth = signal(46);

const LEAST = 20;
const MOST = 75;
const set = (percent: number) => (detailWidth.value = Math.max(LEAST, Math.min(MOST, percent)));

export function Splitter() {
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: 2, ArrowRight: -2 }[event.key];
    if (step) set(detailWidth.peek() + step);
  };
  return (
    <div
      class="splitter" role="separator" aria-orientation="vertical" aria-label="Width of the latent's panel" tabIndex={0}
      aria-valuemin={LEAST} aria-valuemax={MOST} aria-valuenow={Math.round(detailWidth.value)} onKeyDown={onKeyDown}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => event.currentTarget.hasPointerCapture(event.pointerId) && set(100 - (100 * event.clientX) / innerWidth)}
    />
  );
}
