// The numbers on the plot's axes.

import { computed } from "@preact/signals";
import type { Axis } from "./raster.ts";
import { position, scaleOf } from "./scale.ts";
import { axes } from "./state.ts";
import { view } from "./view.ts";

function axisOf(name: string, log: boolean): (Axis & { label: string }) | null {
  const column = view.value?.columns.get(name);
  if (!column) return null;
  const scale = log === column.scale.log ? column.scale : scaleOf(column.values, log);
  return { label: column.label, values: column.values, scale };
}

/** Null if an axis names a number that the pair lacks. */
export const chosenAxes = computed(() => {
  const x = axisOf(axes.value.x, axes.value.logX);
  const y = axisOf(axes.value.y, axes.value.logY);
  return x && y ? { x, y } : null;
});

/** A latent's place in the plot, as shares of its width and height; null if a number is unknown. */
export function placeOf(latent: number): [number, number] | null {
  const chosen = chosenAxes.value;
  if (!chosen) return null;
  const found: [number, number] = [
    position(chosen.x.scale, chosen.x.values[latent]),
    position(chosen.y.scale, chosen.y.values[latent]),
  ];
  return found.some(Number.isNaN) ? null : found;
}
