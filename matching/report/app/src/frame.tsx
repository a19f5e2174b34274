// The plot's axes, its selection and the marks of the open latent and the pinned ones.

import type { RefObject } from "preact";
import type { Range } from "./filter.ts";
import type { Axis } from "./raster.ts";
import { chosenAxes, placeOf } from "./plotaxes.ts";
import { position, ticks, tickText } from "./scale.ts";
import { axes, box, latent, pins } from "./state.ts";

export const LEFT = 46;
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

export function Frame({ shape, svg }: { shape: Shape; svg: RefObject<SVGSVGElement | null> }) {
  const chosen = chosenAxes.value;
  if (!chosen) return <p class="note">The plot's axes name a number that this pair lacks: {axes.value.x}, {axes.value.y}.</p>;
  const { x, y } = chosen;
  const right = (share: number) => LEFT + share * shape.width;
  const up = (share: number) => TOP + (1 - share) * shape.height;
  const [bottom, left] = [TOP + shape.height, LEFT];
  const marks = [...pins.value.map((pin) => [pin, "pin"] as const), ...(latent.value === null ? [] : [[latent.value, "open"] as const])];
  return (
    <svg ref={svg} class="axes" width={shape.total} height={shape.tall} viewBox={`0 0 ${shape.total} ${shape.tall}`} aria-hidden="true">
      <path class="edge" d={`M${left} ${TOP}V${bottom}H${left + shape.width}`} />
      {ticks(x.scale, 5).map((tick) => <g key={tick}><path class="tick" d={`M${right(position(x.scale, tick))} ${bottom}v4`} /><text class="number" x={right(position(x.scale, tick))} y={bottom + 15} text-anchor="middle">{tickText(tick)}</text></g>)}
      {ticks(y.scale, 5).map((tick) => <g key={tick}><path class="tick" d={`M${left} ${up(position(y.scale, tick))}h-4`} /><text class="number" x={left - 7} y={up(position(y.scale, tick)) + 4} text-anchor="end">{tickText(tick)}</text></g>)}
      <text class="name" x={left + shape.width / 2} y={shape.tall - 5} text-anchor="middle">{x.label}</text>
      <text class="name" transform={`translate(11 ${TOP + shape.height / 2}) rotate(-90)`} text-anchor="middle">{y.label}</text>
      {box.value && <rect class="box" {...rectangle(ends(box.value.x, x), ends(box.value.y, y), right, up)} />}
      {marks.map(([id, kind]) => {
        const place = placeOf(id);
        return place && <circle key={`${kind}${id}`} class={kind} cx={right(place[0])} cy={up(place[1])} r="5" />;
      })}
    </svg>
  );
}

const ends = ({ low, high }: Range, { scale }: Axis) => [low === null ? 0 : position(scale, low), high === null ? 1 : position(scale, high)];

function rectangle(x: number[], y: number[], right: (share: number) => number, up: (share: number) => number) {
  return { x: right(x[0]), y: up(y[1]), width: Math.max(1, right(x[1]) - right(x[0])), height: Math.max(1, up(y[0]) - up(y[1])) };
}
