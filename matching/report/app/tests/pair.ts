// A pair is the same whichever of its two SAEs is the base.
import assert from "node:assert/strict";
import { test } from "node:test";
import { orient } from "../src/pair.ts";

// Three latents of A, two of B: latent 1 of A is left out.
const arrays = {
  "decoder.partner": Int32Array.of(1, -1, 0),
  "decoder.cosine": Float32Array.of(0.75, NaN, 0.5),
  "decoder.best": Int32Array.of(1, 1, 1),
  "decoder.best_cosine": Float32Array.of(0.75, 0.25, 0.625),
  "decoder.lead": Float32Array.of(0.5, NaN, -0.125),
  "decoder.price": Float32Array.of(0.25, 0, 0.125),
  "decoder.back_best": Int32Array.of(2, 0),
  "decoder.back_best_cosine": Float32Array.of(0.5, 0.75),
  "decoder.back_lead": Float32Array.of(0.375, 0.125),
  "decoder.nearest": Int32Array.of(0, 0, 0),
  "decoder.nearest_cosine": Float32Array.of(0.1, 0.2, 0.3),
  "decoder.back_nearest": Int32Array.of(1, 1),
  "decoder.back_nearest_cosine": Float32Array.of(0.4, 0.5),
  "activations.partner": Int32Array.of(-1, 1, 0),
  "activations.cosine": Float32Array.of(NaN, 0.5, 0.25),
};

test("as its first SAE sees it, nothing changes", () => {
  const { decoder, encoder, nearest } = orient(arrays, ["decoder"], true, 3);
  assert.equal(encoder, null);
  assert.equal(decoder?.cosine, arrays["decoder.cosine"]);
  assert.equal(decoder?.sureLow, null);
  assert.deepEqual(nearest?.latent, arrays["decoder.nearest"]);
});

test("as its second SAE sees it, partners are inverted and prices are the columns'", () => {
  const { decoder, nearest, activations } = orient(arrays, ["decoder"], false, 2);
  assert.deepEqual(decoder?.partner, Int32Array.of(2, 0));
  assert.deepEqual(decoder?.cosine, Float32Array.of(0.5, 0.75));
  assert.deepEqual(decoder?.price, Float32Array.of(0.375, 0.5));
  assert.deepEqual(decoder?.best, Int32Array.of(2, 0));
  assert.deepEqual(decoder?.lead, Float32Array.of(0.375, 0.125));
  assert.deepEqual(decoder?.backBest, Int32Array.of(1, 1, 1));
  assert.deepEqual(nearest?.latent, Int32Array.of(1, 1));
  assert.deepEqual(activations?.latent, Int32Array.of(2, 1));
  assert.deepEqual(activations?.cosine, Float32Array.of(0.25, 0.5));
});

test("a base that is larger has latents without a partner, and those are free", () => {
  const swapped = {
    ...arrays,
    "decoder.partner": Int32Array.of(2),
    "decoder.cosine": Float32Array.of(0.5),
    "decoder.price": Float32Array.of(0.5),
  };
  const { decoder } = orient(swapped, ["decoder"], false, 4);
  assert.deepEqual(decoder?.partner, Int32Array.of(-1, -1, 0, -1));
  assert.deepEqual(decoder?.price, Float32Array.of(0, 0, 0, 0));
  assert.deepEqual(decoder?.cosine, Float32Array.of(NaN, NaN, 0.5, NaN));
});
