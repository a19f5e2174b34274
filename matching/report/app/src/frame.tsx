// The plot's axes, its selection and the marks of the open latent and the pinned ones.

import type { RefObject } from "preact";
import type { Range } from "./filter.ts";
import type { Axis } from "./raster.ts";
import { chosenAxes, placeOf } from "./plotaxes.ts";
import { position, ticks, tickText } from "./scale.ts";
import { axes, box, latent, pins } from "./state.ts";

export const LEFT = 52;
export const RIGHT = 10;
export const TOP = 8;
export const BOTTOM = 36;

export interface Shape {
  width: number;
  height: number;
  /** With the margins. */
  total: number;
  tall: number;
}

/** From shares of the area to places in the drawing. */
const placesOf = (shape: Shape) => ({
  right: (share: number) => LEFT + share * shape.width,
  up: (share: number) => TOP + (1 - share) * shape.height,
});

export function Frame({ shape, svg }: { shape: Shape; svg: RefObject<SVGSVGElement | null> }) {
  const chosen = chosenAxes.value;
  if (!chosen)
    return (
      <p class="note">
        This pair lacks a number of the plot's axes: {axes.value.x}, {axes.value.y}.
      </p>
    );
  const { x, y } = chosen;
  const { right, up } = placesOf(shape);
  return (
    <svg
      ref={svg}
      class="axes"
      width={shape.total}
      height={shape.tall}
      viewBox={`0 0 ${shape.total} ${shape.tall}`}
      aria-hidden="true"
    >
      <path class="edge" d={`M${LEFT} ${TOP}V${up(0)}H${right(1)}`} />
      {ticks(x.scale, 5).map((tick) => (
        <Tick key={tick} value={tick} x={right(position(x.scale, tick))} y={up(0)} below />
      ))}
      {ticks(y.scale, 5).map((tick) => (
        <Tick key={tick} value={tick} x={LEFT} y={up(position(y.scale, tick))} />
      ))}
      <text class="name" x={right(0.5)} y={shape.tall - 5} text-anchor="middle">
        {x.label}
      </text>
      <text class="name" transform={`translate(11 ${up(0.5)}) rotate(-90)`} text-anchor="middle">
        {y.label}
      </text>
      {box.value && <rect class="box" {...rectangle(ends(box.value.x, x), ends(box.value.y, y), right, up)} />}
      <Marks shape={shape} />
    </svg>
  );
}

/** Below the axis across, or left of the axis up. */
function Tick({ value, x, y, below = false }: { value: number; x: number; y: number; below?: boolean }) {
  return (
    <g>
      <path class="tick" d={`M${x} ${y}${below ? "v" : "h-"}4`} />
      <text class="number" x={below ? x : x - 7} y={below ? y + 15 : y + 4} text-anchor={below ? "middle" : "end"}>
        {tickText(value)}
      </text>
    </g>
  );
}

function Marks({ shape }: { shape: Shape }) {
  const { right, up } = placesOf(shape);
  const marked = pins.value.map((pin) => ({ id: pin, kind: "pin" }));
  if (latent.value !== null) marked.push({ id: latent.value, kind: "open" });
  return (
    <>
      {marked.map(({ id, kind }) => {
        const place = placeOf(id);
        return place && <circle key={`${kind}${id}`} class={kind} cx={right(place[0])} cy={up(place[1])} r="5" />;
      })}
    </>
  );
}

const ends = ({ low, high }: Range, { scale }: Axis) => [
  low === null ? 0 : position(scale, low),
  high === null ? 1 : position(scale, high),
];

function rectangle(x: number[], y: number[], right: (share: number) => number, up: (share: number) => number) {
  return {
    x: right(x[0]),
    y: up(y[1]),
    width: Math.max(1, right(x[1]) - right(x[0])),
    height: Math.max(1, up(y[0]) - up(y[1])),
  };
}
