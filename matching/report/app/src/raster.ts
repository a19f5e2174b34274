// Points into pixels: one pass over the latents, one write of the image. Drawing each point with a
// canvas' own calls takes 50 to 200 times as long.

import { position, type Scale } from "./scale.ts";

export interface Axis {
  values: ArrayLike<number>;
  scale: Scale;
}

/** The pixel of each latent in an image of width x height, -1 where a number is unknown. Row 0 is at the top. */
export function pixelsOf(x: Axis, y: Axis, width: number, height: number): Int32Array {
  const pixels = new Int32Array(x.values.length);
  for (let i = 0; i < pixels.length; i++) {
    const right = position(x.scale, x.values[i]) * (width - 1);
    const up = position(y.scale, y.values[i]) * (height - 1);
    pixels[i] = right !== right || up !== up ? -1 : Math.round(height - 1 - up) * width + Math.round(right);
  }
  return pixels;
}

/** Fewer points than this are drawn 3 x 3. */
const FEW = 5000;
/** A pixel's opacity with one point, and how much each further one adds, of 255. */
const FIRST = 170;
const MORE = 17;

export interface Points {
  pixels: Int32Array;
  /** Place of each latent's colour in the palette. */
  colours: Uint8Array;
  /** Red, green and blue, one after another. */
  palette: Uint8Array;
}

/** Draws `rows` in their colours over all other latents in `grey`; a pixel has the mean colour of its points. */
export function draw(
  image: Uint32Array,
  width: number,
  { pixels, colours, palette }: Points,
  rows: Uint32Array,
  grey: number[],
): void {
  const sums = new Uint32Array(4 * image.length);
  const others = new Uint8Array(image.length);
  const isAll = rows.length === pixels.length;
  const near = (count: number) =>
    count < FEW ? [-width - 1, -width, -width + 1, -1, 0, 1, width - 1, width, width + 1] : [0];
  if (!isAll) {
    for (const shift of near(pixels.length))
      for (let i = 0; i < pixels.length; i++) if (pixels[i] >= 0) others[pixels[i] + shift] = 1;
  }
  for (const shift of near(rows.length)) {
    for (let j = 0; j < rows.length; j++) {
      const latent = rows[j];
      if (pixels[latent] < 0) continue;
      const at = 4 * (pixels[latent] + shift);
      const colour = 3 * colours[latent];
      sums[at] += palette[colour];
      sums[at + 1] += palette[colour + 1];
      sums[at + 2] += palette[colour + 2];
      sums[at + 3]++;
    }
  }
  const pale = ((70 << 24) | (grey[2] << 16) | (grey[1] << 8) | grey[0]) >>> 0;
  for (let p = 0; p < image.length; p++) {
    const count = sums[4 * p + 3];
    if (count === 0) image[p] = others[p] ? pale : 0;
    else
      image[p] =
        ((Math.min(255, FIRST + MORE * count) << 24) |
          ((sums[4 * p + 2] / count) << 16) |
          ((sums[4 * p + 1] / count) << 8) |
          (sums[4 * p] / count)) >>>
        0;
  }
}

/** The shown latent nearest to a place in the image, null if none lies within `reach` pixels. */
export function nearestPoint(
  pixels: Int32Array,
  rows: Uint32Array,
  width: number,
  x: number,
  y: number,
  reach: number,
): number | null {
  let best: number | null = null;
  let least = reach * reach;
  for (let j = 0; j < rows.length; j++) {
    const pixel = pixels[rows[j]];
    if (pixel < 0) continue;
    const distance = ((pixel % width) - x) ** 2 + (Math.floor(pixel / width) - y) ** 2;
    if (distance < least) [least, best] = [distance, rows[j]];
  }
  return best;
}
