// What buttons and keys do.

import { batch, computed, effect, signal } from "@preact/signals";
import { GROUPS } from "./criteria.ts";
import { isPair, manifest } from "./data.ts";
import type { Range } from "./filter.ts";
import { addToHistory } from "./history.ts";
import { hiding, rows } from "./rows.ts";
import * as state from "./state.ts";
import { view } from "./view.ts";

/** The place in the list that the keys move. */
export const cursor = signal(0);

/** The open latent's place in the list, -1 if it is not there. */
export const openPlace = computed(() => (state.latent.value === null ? -1 : rows.value.indexOf(state.latent.value)));

/** A changed list starts at the open latent, or at its top. */
export function startCursor(): void {
  effect(() => {
    rows.value;
    cursor.value = Math.max(0, openPlace.value);
  });
}

export function open(sae: number, latent: number): void {
  addToHistory(() => {
    if (sae !== state.base.peek()) {
      const before = state.base.peek();
      chooseBase(sae);
      if (isPair(sae, before)) state.other.value = before;
    }
    state.latent.value = latent;
    state.tab.value = "latent";
  });
}

export function openRow(place: number): void {
  const latent = rows.peek()[place];
  if (latent !== undefined && view.peek()) open(view.peek()!.base, latent);
}

/** The neighbour in the list, without a new entry in the history. */
export function step(by: number): void {
  const place = openPlace.peek() < 0 ? 0 : openPlace.peek() + by;
  if (state.latent.peek() !== null && rows.peek()[place] !== undefined) state.latent.value = rows.peek()[place];
}

export function close(): void {
  batch(() => {
    state.latent.value = null;
    if (state.tab.value === "latent") state.tab.value = "list";
  });
}

/** Numbers of latents mean nothing in another SAE: what names them is forgotten. */
export function chooseBase(sae: number): void {
  batch(() => {
    const matched = manifest()
      .saes.map((_, i) => i)
      .filter((i) => isPair(sae, i));
    const wanted = [state.other.value, state.base.value].find((i) => matched.includes(i));
    state.base.value = sae;
    state.other.value = wanted ?? matched[0];
    state.latent.value = null;
    state.ids.value = [];
    state.pins.value = [];
  });
}

export function chooseOther(sae: number): void {
  if (isPair(state.base.peek(), sae)) state.other.value = sae;
}

export function toggleGroup(name: string): void {
  const chosen = state.show.peek();
  const family = (each: string) => GROUPS.find((group) => group.name === each)?.family;
  const isRival = (each: string) => family(each) !== "other" && family(each) === family(name);
  state.show.value = chosen.includes(name)
    ? chosen.filter((each) => each !== name)
    : [...chosen.filter((each) => !isRival(each)), name];
}

export function setRange(name: string, range: Range): void {
  const { [name]: _, ...rest } = state.ranges.peek();
  state.ranges.value = range.low === null && range.high === null ? rest : { ...rest, [name]: range };
}

export function togglePin(latent: number): void {
  const pins = state.pins.peek();
  state.pins.value = pins.includes(latent) ? pins.filter((each) => each !== latent) : [...pins, latent];
}

/** A column's first sort is the useful one: numbers from the largest, names of latents and texts from the first. */
export function sortBy(name: string): void {
  const { column, down } = state.sort.peek();
  const isNumber = name !== "label" && !view.peek()?.columns.get(name)?.isLatent;
  state.sort.value = { column: name, down: name === column ? !down : isNumber };
}

export function clearFilters(): void {
  batch(() => {
    state.show.value = [];
    state.ranges.value = {};
    state.ids.value = [];
    state.query.value = "";
    state.box.value = null;
  });
}

export function clearHiding(): void {
  const found = hiding.peek();
  batch(() => found.forEach((filter) => filter.clear()));
}

/** A selection in the plot belongs to its axes. */
export function setAxes(axes: Partial<state.Axes>): void {
  batch(() => {
    const before = state.axes.peek();
    state.axes.value = { ...before, ...axes };
    if (state.axes.value.x !== before.x || state.axes.value.y !== before.y) state.box.value = null;
  });
}
