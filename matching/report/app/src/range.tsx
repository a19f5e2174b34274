// A range of one number: a histogram, two sliders over it, two fields beside.

import { useMemo } from "preact/hooks";
import { setRange } from "./actions.ts";
import type { Column } from "./columns.ts";
import type { Range } from "./filter.ts";
import { binsOf, countBins, STEPS } from "./histogram.ts";
import { rows } from "./rows.ts";
import { position, tickText, valueAt } from "./scale.ts";
import { ranges } from "./state.ts";

const OPEN: Range = { low: null, high: null };

type End = "low" | "high";

export function RangeFilter({ column }: { column: Column }) {
  const { name, label, help } = column;
  return (
    <div class={`range ${name in ranges.value ? "active" : ""}`} role="group" aria-label={label}>
      <div class="name" title={help}>
        {label}
      </div>
      <div class="fields">
        <Field column={column} end="low" /> – <Field column={column} end="high" />
      </div>
      <div class="track">
        <Histogram column={column} />
        <Slider column={column} end="low" />
        <Slider column={column} end="high" />
      </div>
    </div>
  );
}

const rangeOf = ({ name }: Column) => ranges.value[name] ?? OPEN;

/** An end's place on the slider; an open end is at the slider's. */
function placeOf(column: Column, end: End): number {
  const value = rangeOf(column)[end];
  if (value === null) return end === "low" ? 0 : STEPS;
  return Math.round(position(column.scale, value) * STEPS);
}

function slide(column: Column, end: End, to: number): void {
  // The two ends do not cross.
  const step = end === "low" ? Math.min(to, placeOf(column, "high")) : Math.max(to, placeOf(column, "low"));
  const isOpen = step === (end === "low" ? 0 : STEPS);
  const value = valueAt(column.scale, step / STEPS);
  const round = column.digits === 0 ? Math.round(value) : +value.toPrecision(4);
  setRange(column.name, { ...rangeOf(column), [end]: isOpen ? null : round });
}

function Slider({ column, end }: { column: Column; end: End }) {
  const at = placeOf(column, end);
  return (
    <input
      type="range"
      class={end}
      min="0"
      max={STEPS}
      value={at}
      aria-label={`${column.label}, ${end === "low" ? "from" : "to"}`}
      aria-valuetext={tickText(valueAt(column.scale, at / STEPS))}
      onInput={(event) => slide(column, end, Number(event.currentTarget.value))}
    />
  );
}

function Field({ column, end }: { column: Column; end: End }) {
  const range = rangeOf(column);
  return (
    <input
      type="number"
      step="any"
      placeholder={tickText(column.scale[end])}
      value={range[end] ?? ""}
      aria-label={`${column.label}, ${end === "low" ? "at least" : "at most"}`}
      onChange={({ currentTarget: { value } }) =>
        setRange(column.name, { ...range, [end]: value === "" ? null : Number(value) })
      }
    />
  );
}

/** All latents pale, those of the list over them. */
function Histogram({ column }: { column: Column }) {
  const bins = useMemo(() => binsOf(column.values, column.scale), [column]);
  const all = useMemo(() => countBins(bins, null), [bins]);
  const most = Math.max(1, ...all);
  return (
    <svg viewBox={`0 0 ${all.length} 1`} preserveAspectRatio="none" aria-hidden="true">
      <path class="all" d={bars(all, most)} />
      <path class="some" d={bars(countBins(bins, rows.value), most)} />
    </svg>
  );
}

/** Heights go by the square root, so that small bars can be seen beside large ones. */
function bars(counts: Uint32Array, most: number): string {
  let path = "";
  counts.forEach((count, i) => count && (path += `M${i + 0.05} 1V${(1 - Math.sqrt(count / most)).toFixed(3)}h.9V1z`));
  return path;
}
