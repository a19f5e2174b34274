// The plot: two numbers of each latent against one another. A selection in it is a filter of the list.

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { open } from "./actions.ts";
import { colouring } from "./colours.ts";
import { BOTTOM, Frame, LEFT, RIGHT, TOP, type Shape } from "./frame.tsx";
import { chosenAxes } from "./plotaxes.ts";
import { PlotControls } from "./plotcontrols.tsx";
import { draw, nearestPoint, pixelsOf } from "./raster.ts";
import { bits, rows } from "./rows.ts";
import { valueAt } from "./scale.ts";
import { Selection } from "./selection.tsx";
import { axes, box, filtersOpen, tab } from "./state.ts";
import { repaint } from "./theme.ts";
import { view } from "./view.ts";

const width = signal(300);
const HEIGHT = 280;

/** Of the area inside the axes, in the page's pixels. */
const area = computed(() => ({ width: Math.max(60, width.value - LEFT - RIGHT), height: HEIGHT - TOP - BOTTOM }));

const density = Math.min(2, globalThis.devicePixelRatio || 1);
const imageWidth = computed(() => Math.round(area.value.width * density));
const imageHeight = computed(() => Math.round(area.value.height * density));

// Points keep a pixel's distance from the edge of the image, as they may be drawn 3 x 3.
const pixels = computed(() => {
  const chosen = chosenAxes.value;
  if (!chosen) return new Int32Array();
  const inner = pixelsOf(chosen.x, chosen.y, imageWidth.value - 2, imageHeight.value - 2);
  return inner.map((pixel) =>
    pixel < 0 ? -1 : pixel + imageWidth.value + 1 + 2 * Math.floor(pixel / (imageWidth.value - 2)),
  );
});

const colours = computed(() => view.value && colouring(view.value, bits.value, axes.value.colour));

export function Plot() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  useEffect(() => {
    const observer = new ResizeObserver(() => (width.value = frame.current!.clientWidth || width.peek()));
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  const [shown, points, paint] = [rows.value, pixels.value, repaint.value];
  useEffect(() => {
    if (colours.value && points.length > 0) paintCanvas(canvas.current!, shown);
  }, [shown, points, colours.value, paint]);
  const shape: Shape = { ...area.value, total: width.value, tall: HEIGHT };
  return (
    <div class="plot">
      <PlotControls canvas={canvas} svg={svg} />
      <div class="frame" ref={frame} style={{ height: `${HEIGHT}px` }}>
        <canvas
          ref={canvas}
          width={imageWidth.value}
          height={imageHeight.value}
          role="img"
          aria-label={`Plot of ${shown.length.toLocaleString("en")} latents; the fields below select a part`}
          style={{
            left: `${LEFT}px`,
            top: `${TOP}px`,
            width: `${area.value.width}px`,
            height: `${area.value.height}px`,
          }}
          {...dragging(shape)}
        />
        <Frame shape={shape} svg={svg} />
      </div>
      <Legend />
      <Selection />
    </div>
  );
}

function paintCanvas(canvas: HTMLCanvasElement, shown: Uint32Array): void {
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(imageWidth.peek(), imageHeight.peek());
  draw(
    new Uint32Array(image.data.buffer),
    image.width,
    { pixels: pixels.peek(), ...colours.peek()! },
    shown,
    [134, 140, 150],
  );
  context.putImageData(image, 0, 0);
}

/** Where the drag began, as shares of the area; kept outside the component, which is drawn anew while one drags. */
let start: [number, number] | null = null;

function dragging(shape: Shape) {
  const place = (event: PointerEvent): [number, number] => {
    const { left, top } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const inside = (share: number) => Math.max(0, Math.min(1, share));
    return [inside((event.clientX - left) / shape.width), inside(1 - (event.clientY - top) / shape.height)];
  };
  const isClick = ([x, y]: [number, number]) =>
    Math.hypot((x - start![0]) * shape.width, (y - start![1]) * shape.height) < 4;
  return {
    onPointerDown: (event: PointerEvent) => {
      start = place(event);
      (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent) => {
      if (start && !isClick(place(event))) select(start, place(event));
    },
    onPointerUp: (event: PointerEvent) => {
      if (start && isClick(place(event))) click(place(event));
      start = null;
    },
    onPointerCancel: () => (start = null),
  };
}

function select(from: [number, number], to: [number, number]): void {
  const { x, y } = chosenAxes.peek()!;
  const range = (axis: typeof x, a: number, b: number) => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)].map((share) => +valueAt(axis.scale, share).toPrecision(3));
    return { low, high };
  };
  box.value = { x: range(x, from[0], to[0]), y: range(y, from[1], to[1]) };
}

/** A click opens the nearest latent; beside the selection it clears that. */
function click([x, y]: [number, number]): void {
  const near = nearestPoint(
    pixels.peek(),
    rows.peek(),
    imageWidth.peek(),
    x * imageWidth.peek(),
    (1 - y) * imageHeight.peek(),
    8 * density,
  );
  if (near === null) box.value = null;
  else {
    // Where there is little room, opening a latent would hide the plot; a phone has a tab for it.
    if (tab.peek() !== "plot") filtersOpen.value = true;
    open(view.peek()!.base, near);
  }
}

function Legend() {
  const legend = colours.value?.legend;
  if (!legend) return null;
  if (legend.kind === "ramp")
    return (
      <div class="legend">
        <span>{legend.low}</span>
        <span class="ramp" style={{ backgroundImage: legend.stops }} />
        <span>{legend.high}</span>
      </div>
    );
  return (
    <ul class="legend">
      {legend.names.map(([name, colour]) => (
        <li key={name}>
          <i style={{ background: colour }} />
          {name}
        </li>
      ))}
    </ul>
  );
}
