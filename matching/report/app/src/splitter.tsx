// The line between list and latent, which can be moved.

import { signal } from "@preact/signals";

/** Of what list and latent share, in percent. */
export const detailWidth = signal(62);

const LEAST = 20;
const MOST = 75;
const set = (percent: number) => (detailWidth.value = Math.max(LEAST, Math.min(MOST, percent)));

function drag(event: PointerEvent): void {
  const line = event.currentTarget as HTMLElement;
  if (!line.hasPointerCapture(event.pointerId)) return;
  const left = line.previousElementSibling!.getBoundingClientRect().left;
  set((100 * (innerWidth - event.clientX)) / (innerWidth - left));
}

export function Splitter() {
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: 2, ArrowRight: -2 }[event.key];
    if (step) set(detailWidth.peek() + step);
  };
  return (
    <div
      class="splitter"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the latent's panel"
      tabIndex={0}
      aria-valuemin={LEAST}
      aria-valuemax={MOST}
      aria-valuenow={Math.round(detailWidth.value)}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={drag}
    />
  );
}
