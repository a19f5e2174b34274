// Points into pixels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { binsOf, countBins } from "../src/histogram.ts";
import { draw, nearestPoint, pixelsOf } from "../src/raster.ts";

const scale = { log: false, low: 0, high: 1 };

test("a latent's pixel", () => {
  const x = { scale, values: [0, 1, 0.5, NaN, 7] };
  const y = { scale, values: [0, 1, 0.5, 0.5, -7] };
  assert.deepEqual([...pixelsOf(x, y, 5, 3)], [10, 4, 7, -1, 14]);
});

test("pixels have the mean colour of the points of the list; others are grey", () => {
  // Many points are drawn as one pixel each.
  const many = 6000;
  const pixels = new Int32Array(many).fill(0);
  pixels[1] = 1;
  pixels[2] = 2;
  pixels[3] = -1;
  const colours = new Uint8Array(many);
  colours[0] = 1;
  const palette = Uint8Array.of(100, 0, 0, 0, 200, 50);
  const image = new Uint32Array(4);
  draw(
    image,
    2,
    { pixels, colours, palette },
    Uint32Array.from({ length: 5000 }, (_, i) => (i < 3000 ? 0 : i === 3000 ? 1 : i === 3001 ? 3 : 4)),
    [9, 8, 7],
  );
  const [red, green, blue, alpha] = new Uint8Array(image.buffer);
  assert.deepEqual(
    [red, green, blue, alpha],
    [Math.floor((100 * 1998) / 4998), Math.floor((200 * 3000) / 4998), Math.floor((50 * 3000) / 4998), 255],
  );
  assert.deepEqual([...new Uint8Array(image.buffer, 4, 3)], [100, 0, 0]);
  assert.deepEqual([...new Uint8Array(image.buffer, 8, 4)], [9, 8, 7, 70]);
  assert.equal(image[3], 0);
});

test("few points are drawn 3 x 3", () => {
  const image = new Uint32Array(25);
  draw(
    image,
    5,
    { pixels: Int32Array.of(12), colours: Uint8Array.of(0), palette: Uint8Array.of(1, 2, 3) },
    Uint32Array.of(0),
    [0, 0, 0],
  );
  assert.deepEqual(
    [...image.keys()].filter((p) => image[p]),
    [6, 7, 8, 11, 12, 13, 16, 17, 18],
  );
});

test("the nearest point of the list", () => {
  const pixels = Int32Array.of(0, 24, 12, -1);
  assert.equal(nearestPoint(pixels, Uint32Array.of(0, 1, 2, 3), 5, 3, 3, 8), 1);
  assert.equal(nearestPoint(pixels, Uint32Array.of(0, 3), 5, 3, 3, 8), 0);
  assert.equal(nearestPoint(pixels, Uint32Array.of(0), 5, 3, 3, 2), null);
});

test("bars of a histogram", () => {
  const bins = binsOf([0, 0.019, 0.02, 1, NaN], scale);
  const all = countBins(bins, null);
  assert.deepEqual([all[0], all[1], all[49], all.length], [2, 1, 1, 50]);
  assert.deepEqual([...countBins(bins, Uint32Array.of(3, 4))].filter(Boolean), [1]);
});
