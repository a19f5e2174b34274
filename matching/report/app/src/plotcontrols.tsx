// What the plot shows: presets named after the figures, axes, colour. Its selection as numbers; its export.

import type { JSX, RefObject } from "preact";
import { setAxes } from "./actions.ts";
import type { Range } from "./filter.ts";
import { savePicture } from "./picture.ts";
import { axes, box, type Axes } from "./state.ts";
import { view } from "./view.ts";

const PRESETS: { name: string; axes: Axes }[] = [
  { name: "Joint plot", axes: { x: "decoder", y: "encoder", colour: "partners", logX: false, logY: false } },
  { name: "Max against matched", axes: { x: "decoder.best", y: "decoder", colour: "groups", logX: false, logY: false } },
  { name: "Frequency by seeds", axes: { x: "decoder", y: "fires_per_million", colour: "seeds", logX: false, logY: true } },
];

const NAMED_COLOURS: [string, string][] = [["partners", "partner"], ["groups", "group"], ["none", "one colour"]];

interface Props {
  canvas: RefObject<HTMLCanvasElement | null>;
  svg: RefObject<SVGSVGElement | null>;
}

export function PlotControls({ canvas, svg }: Props) {
  const columns = [...(view.value?.columns.values() ?? [])].filter(({ isLatent }) => !isLatent);
  const has = (name: string) => columns.some((column) => column.name === name) || NAMED_COLOURS.some(([colour]) => colour === name);
  const { x, y, colour, logX, logY } = axes.value;
  const presets = PRESETS.filter((preset) => [preset.axes.x, preset.axes.y, preset.axes.colour].every(has));
  const isChosen = (preset: Axes) => (["x", "y", "colour", "logX", "logY"] as const).every((key) => preset[key] === axes.value[key]);
  const options = columns.map(({ name, label }) => <option key={name} value={name}>{label}</option>);
  const skewed = (name: string) => view.peek()!.columns.get(name)!.skewed;
  return (
    <div class="plotcontrols">
      <h2>Plot<span class="take"><button class="link" onClick={() => savePicture("svg", svg.current, canvas.current)}>SVG</button> <button class="link" onClick={() => savePicture("png", svg.current, canvas.current)}>PNG</button></span></h2>
      <div class="chips" role="group" aria-label="Presets">{presets.map((preset) => <button key={preset.name} class="chip" aria-pressed={isChosen(preset.axes)} onClick={() => setAxes(preset.axes)}>{preset.name}</button>)}</div>
      <AxisPicker label="across" value={x} onPick={(name) => setAxes({ x: name, logX: skewed(name) })} options={options} isLog={logX} onLog={(log) => setAxes({ logX: log })} />
      <AxisPicker label="up" value={y} onPick={(name) => setAxes({ y: name, logY: skewed(name) })} options={options} isLog={logY} onLog={(log) => setAxes({ logY: log })} />
      <label class="axis"><span>colour</span><select value={colour} onChange={(event) => setAxes({ colour: event.currentTarget.value })}>{NAMED_COLOURS.map(([name, label]) => <option key={name} value={name}>{label}</option>)}{options}</select></label>
    </div>
  );
}

interface PickerProps {
  label: string;
  value: string;
  onPick: (name: string) => void;
  options: JSX.Element[];
  isLog: boolean;
  onLog: (log: boolean) => void;
}

function AxisPicker({ label, value, onPick, options, isLog, onLog }: PickerProps) {
  return (
    <div class="axis">
      <label><span>{label}</span><select value={value} onChange={(event) => onPick(event.currentTarget.value)}>{options}</select></label>
      <label class="log"><input type="checkbox" aria-label={`${label}, logarithmic`} checked={isLog} onChange={(event) => onLog(event.currentTarget.checked)} /> log</label>
    </div>
  );
}

const OPEN: Range = { low: null, high: null };

/** The selection as numbers: what dragging does, for the keyboard. */
export function Selection() {
  const field = (axis: "x" | "y", end: "low" | "high") => (
    <input
      type="number" step="any" aria-label={`Selection ${axis === "x" ? "across" : "up"}, ${end === "low" ? "at least" : "at most"}`} placeholder={end === "low" ? "from" : "to"}
      value={box.value?.[axis][end] ?? ""} onChange={(event) => setEnd(axis, end, event.currentTarget.value)}
    />
  );
  return (
    <div class="selection" role="group" aria-label="Selection in the plot">
      <span class="fields">across {field("x", "low")} – {field("x", "high")}</span>
      <span class="fields">up {field("y", "low")} – {field("y", "high")}</span>
      {box.value && <button class="link" onClick={() => (box.value = null)}>clear</button>}
    </div>
  );
}

function setEnd(axis: "x" | "y", end: "low" | "high", text: string): void {
  const before = box.peek() ?? { x: OPEN, y: OPEN };
  const chosen = { ...before, [axis]: { ...before[axis], [end]: text === "" ? null : Number(text) } };
  box.value = [chosen.x, chosen.y].every(({ low, high }) => low === null && high === null) ? null : chosen;
}
