// Keeps the page's address and the choices the same. Opening a latent adds to the history; all else replaces.

import { batch, computed, effect } from "@preact/signals";
import { decode, encode } from "./address.ts";
import { manifest } from "./data.ts";
import * as state from "./state.ts";

export const hash = computed(() =>
  encode(
    {
      base: state.base.value,
      other: state.other.value,
      show: state.show.value,
      threshold: state.threshold.value,
      ranges: state.ranges.value,
      ids: state.ids.value,
      query: state.query.value,
      sort: state.sort.value,
      latent: state.latent.value,
      pins: state.pins.value,
      axes: state.axes.value,
      box: state.box.value,
      columns: state.columnNames.value,
    },
    manifest(),
  ),
);

/** The address of this view. */
export const link = () => location.href.replace(/#.*/, "") + hash.peek();

// Browsers refuse more than some ten changes a second, as dragging a slider would make.
const PAUSE = 150;
let waiting = 0;

function write(adds: boolean): void {
  clearTimeout(waiting);
  waiting = 0;
  if (location.hash === hash.peek()) return;
  if (adds) history.pushState(null, "", hash.peek());
  else history.replaceState(null, "", hash.peek());
}

/** Makes the change an entry of the history, so that the browser's back button takes it back. */
export function addToHistory(change: () => void): void {
  if (waiting) write(false);
  batch(change);
  write(true);
}

function restore(): void {
  clearTimeout(waiting);
  const found = decode(location.hash, manifest());
  batch(() => {
    state.base.value = found.base;
    state.other.value = found.other;
    state.show.value = found.show;
    state.threshold.value = found.threshold;
    state.ranges.value = found.ranges;
    state.ids.value = found.ids;
    state.query.value = found.query;
    state.sort.value = found.sort;
    state.latent.value = found.latent;
    state.pins.value = found.pins;
    state.axes.value = found.axes;
    state.box.value = found.box;
    state.columnNames.value = found.columns;
    if (found.latent !== null) state.tab.value = "latent";
  });
}

export function startHistory(): void {
  restore();
  addEventListener("hashchange", restore);
  effect(() => {
    hash.value;
    waiting ||= window.setTimeout(() => write(false), PAUSE);
  });
}
