// A context's window as pieces of text, and its tints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lineOf, STEPS, stepOf } from "../src/detail/windows.ts";

const plain = (text: string) => ({ text, step: 0, activation: 0 });

test("tokens that did not fire are one piece, and each that fired is one", () => {
  const levels = Float32Array.of(0, 0, 0.5, 0.25, 0, 1, 0, 0.125);
  assert.deepEqual(lineOf(["a", "b", "c", "d", "e", "P", "f", "g"], levels, 5, 8), {
    before: [plain("ab"), { text: "c", step: 3, activation: 4 }, { text: "d", step: 2, activation: 2 }, plain("e")],
    peak: { text: "P", step: STEPS, activation: 8 },
    after: [plain("f"), { text: "g", step: 1, activation: 1 }],
  });
});

test("a window may begin or end with its peak", () => {
  const line = lineOf(["P"], Float32Array.of(1), 0, 2);
  assert.deepEqual(line, { before: [], peak: { text: "P", step: STEPS, activation: 2 }, after: [] });
});

test("a token without text gives its level to the token that has its character", () => {
  const levels = Float32Array.of(0, 0.25, 1, 0, 0, 0.5);
  const line = lineOf(["a", "😀", "", "b", "é", ""], levels, 2, 4);
  assert.deepEqual(line.before, [plain("a")]);
  assert.deepEqual(line.peak, { text: "😀", step: STEPS, activation: 4 });
  assert.deepEqual(line.after, [plain("b"), { text: "é", step: 3, activation: 2 }]);
  assert.deepEqual([...levels], [0, 0.25, 1, 0, 0, 0.5], "what was given is left alone");
});

test("tints go from 1 for the weakest to the last for the peak, and 0 is for none", () => {
  assert.equal(stepOf(0), 0);
  assert.equal(stepOf(1 / 255), 1);
  assert.equal(stepOf(1), STEPS);
  const steps = Array.from({ length: 255 }, (_, level) => stepOf((level + 1) / 255));
  assert.deepEqual([...new Set(steps)], [1, 2, 3, 4, 5]);
});
