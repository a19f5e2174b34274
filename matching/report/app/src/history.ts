// Keeps the page's address and the choices the same. Opening a latent adds to the history; all else replaces.

import { batch, computed, effect, type Signal } from "@preact/signals";
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

// Browsers refuse more than some ten changes a second, as dragging a slider would make: the first is
// written at once, the last after a pause.
const PAUSE = 150;
let waiting = 0;
let written = -PAUSE;
/** The hash that was last read or written. */
let known = "";

function write(adds: boolean): void {
  forget();
  // Another hash is a link that was just followed: its event is still to come.
  if (location.hash !== known || known === hash.peek()) return;
  written = performance.now();
  if (adds) history.pushState(null, "", hash.peek());
  else history.replaceState(null, "", hash.peek());
  known = location.hash;
}

/** Makes the change an entry of the history, so that the browser's back button takes it back. */
export function addToHistory(change: () => void): void {
  if (waiting) write(false);
  // Else the change itself would replace the entry before a new one is made.
  written = performance.now();
  batch(change);
  write(true);
}

function forget(): void {
  clearTimeout(waiting);
  waiting = 0;
}

function restore(): void {
  forget();
  known = location.hash;
  const found = decode(known, manifest());
  batch(() => {
    set(state.base, found.base);
    set(state.other, found.other);
    set(state.show, found.show);
    set(state.threshold, found.threshold);
    set(state.ranges, found.ranges);
    set(state.ids, found.ids);
    set(state.query, found.query);
    set(state.sort, found.sort);
    set(state.latent, found.latent);
    set(state.pins, found.pins);
    set(state.axes, found.axes);
    set(state.box, found.box);
    set(state.columnNames, found.columns);
    if (found.latent !== null) state.tab.value = "latent";
  });
}

/** An equal value would still make everything that depends on it anew. */
function set<T>(to: Signal<T>, value: T): void {
  if (JSON.stringify(to.peek()) !== JSON.stringify(value)) to.value = value;
}

export function startHistory(): void {
  restore();
  addEventListener("hashchange", restore);
  effect(() => {
    hash.value;
    if (performance.now() - written >= PAUSE) write(false);
    else waiting ||= window.setTimeout(() => write(false), PAUSE);
  });
}
