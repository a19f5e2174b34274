// What the plot shows: presets named after the figures, or any axes and colour. Its export.

import type { JSX, RefObject } from "preact";
import { setAxes } from "./actions.ts";
import { savePicture } from "./picture.ts";
import { axes, type Axes } from "./state.ts";
import { view } from "./view.ts";

const PRESETS: { name: string; help: string; axes: Axes }[] = [
  {
    name: "Joint",
    help: "Joint plot: both cosines of the match",
    axes: { x: "decoder", y: "encoder", colour: "partners", logX: false, logY: false },
  },
  {
    name: "Max – matched",
    help: "Best cosine with any latent, against that of the match",
    axes: { x: "decoder.best", y: "decoder", colour: "groups", logX: false, logY: false },
  },
  {
    name: "Frequency – seeds",
    help: "Similarity and firing frequency, by the number of SAEs that share the latent",
    axes: { x: "decoder", y: "fires_per_million", colour: "seeds", logX: false, logY: true },
  },
];

const NAMED_COLOURS: [string, string][] = [
  ["partners", "partner"],
  ["groups", "group"],
  ["none", "one colour"],
];

/** The numbers that an axis or a colour can show. */
const measures = () => [...(view.value?.columns.values() ?? [])].filter(({ isLatent }) => !isLatent);

const isChosen = (preset: Axes) =>
  (["x", "y", "colour", "logX", "logY"] as const).every((key) => preset[key] === axes.value[key]);

interface Props {
  canvas: RefObject<HTMLCanvasElement | null>;
  svg: RefObject<SVGSVGElement | null>;
}

export function PlotControls({ canvas, svg }: Props) {
  const names = new Set([...measures().map(({ name }) => name), ...NAMED_COLOURS.map(([name]) => name)]);
  const presets = PRESETS.filter(({ axes: { x, y, colour } }) => [x, y, colour].every((name) => names.has(name)));
  const picture = (kind: "svg" | "png") => (
    <button class="link" onClick={() => savePicture(kind, svg.current, canvas.current)}>
      {kind.toUpperCase()}
    </button>
  );
  return (
    <div class="plotcontrols">
      <h2>
        Plot
        <span class="take">
          {picture("svg")} {picture("png")}
        </span>
      </h2>
      <div class="chips" role="group" aria-label="Presets">
        {presets.map(({ name, help, axes }) => (
          <button key={name} class="chip" title={help} aria-pressed={isChosen(axes)} onClick={() => setAxes(axes)}>
            {name}
          </button>
        ))}
      </div>
      <details open={!presets.some((preset) => isChosen(preset.axes))}>
        <summary>Axes and colour</summary>
        <AxisPickers />
      </details>
    </div>
  );
}

function AxisPickers() {
  const { x, y, colour, logX, logY } = axes.value;
  const options = measures().map(({ name, label }) => (
    <option key={name} value={name}>
      {label}
    </option>
  ));
  const named = NAMED_COLOURS.map(([name, label]) => (
    <option key={name} value={name}>
      {label}
    </option>
  ));
  const skewed = (name: string) => view.peek()!.columns.get(name)!.skewed;
  return (
    <>
      <AxisPicker
        label="across"
        value={x}
        options={options}
        onPick={(name) => setAxes({ x: name, logX: skewed(name) })}
        isLog={logX}
        onLog={(log) => setAxes({ logX: log })}
      />
      <AxisPicker
        label="up"
        value={y}
        options={options}
        onPick={(name) => setAxes({ y: name, logY: skewed(name) })}
        isLog={logY}
        onLog={(log) => setAxes({ logY: log })}
      />
      <label class="axis">
        <span>colour</span>
        <select value={colour} onChange={(event) => setAxes({ colour: event.currentTarget.value })}>
          {named}
          {options}
        </select>
      </label>
    </>
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
      <label>
        <span>{label}</span>
        <select value={value} onChange={(event) => onPick(event.currentTarget.value)}>
          {options}
        </select>
      </label>
      <label class="log">
        <input
          type="checkbox"
          aria-label={`${label}, logarithmic`}
          checked={isLog}
          onChange={(event) => onLog(event.currentTarget.checked)}
        />{" "}
        log
      </label>
    </div>
  );
}
