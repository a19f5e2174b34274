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

export function RangeFilter({ column }: { column: Column }) {
  const { name, label, scale } = column;
  const range = ranges.value[name] ?? OPEN;
  const place = (end: number | null, open: number) => (end === null ? open : Math.round(position(scale, end) * STEPS));
  const low = place(range.low, 0);
  const high = place(range.high, STEPS);
  const slide = (end: "low" | "high", step: number) => {
    const isOpen = end === "low" ? step === 0 : step === STEPS;
    const value = +valueAt(scale, step / STEPS).toPrecision(4);
    if (end === "low" ? step <= high : step >= low) setRange(name, { ...range, [end]: isOpen ? null : value });
  };
  const type = (end: "low" | "high", text: string) => {
    if (text === "" || Number.isFinite(Number(text))) setRange(name, { ...range, [end]: text === "" ? null : Number(text) });
  };
  const slider = (end: "low" | "high", at: number) => (
    <input type="range" class={end} aria-label={`${label}, ${end === "low" ? "from" : "to"}`} aria-valuetext={tickText(valueAt(scale, at / STEPS))} min="0" max={STEPS} value={at} onInput={(event) => slide(end, Number(event.currentTarget.value))} />
  );
  const field = (end: "low" | "high", open: number) => (
    <input type="number" step="any" aria-label={`${label}, ${end === "low" ? "at least" : "at most"}`} placeholder={tickText(open)} value={range[end] ?? ""} onChange={(event) => type(end, event.currentTarget.value)} />
  );
  return (
    <div class={`range ${name in ranges.value ? "active" : ""}`} role="group" aria-label={label}>
      <div class="name" title={column.help}>{label}</div>
      <div class="fields">{field("low", scale.low)} – {field("high", scale.high)}</div>
      <div class="track">
        <Histogram column={column} />
        {slider("low", low)}
        {slider("high", high)}
      </div>
    </div>
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
