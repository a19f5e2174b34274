// Where the contexts of two latents meet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../src/detail/marks.ts";
import { meetings, meetingWords } from "../src/detail/overlap.ts";

const at = (position: number, ...fired: number[]) => ({ position, before: 20, after: 12, fired: [...fired, position].sort((a, b) => a - b) });

test("the closest meeting of each context counts", () => {
  const mine = [at(100), at(200, 195), at(300), at(400)];
  const theirs = [at(210, 195), at(305), at(90), at(100)];
  assert.deepEqual(meetings(mine, theirs), ["peak", "token", "text", "none"]);
  assert.deepEqual(meetings(mine, []), ["none", "none", "none", "none"]);
  assert.deepEqual(meetings([], theirs), []);
});

test("windows that touch at one token meet, and those beside each other do not", () => {
  // 100 - 20 .. 100 + 12 and 132 - 20 .. 132 + 12 have token 112 in common.
  assert.deepEqual(meetings([at(100)], [at(132)]), ["text"]);
  assert.deepEqual(meetings([at(132)], [at(100)]), ["text"]);
  assert.deepEqual(meetings([at(100)], [at(133)]), ["none"]);
  assert.deepEqual(meetings([at(133)], [at(100)]), ["none"]);
});

test("the words count texts, tokens and peaks", () => {
  assert.equal(meetingWords([], "x"), "");
  assert.equal(meetingWords(["none", "none"], "x"), "None of these 2 contexts meets one of x.");
  assert.equal(meetingWords(["text", "none"], "x"), "1 of these 2 contexts meets one of x: ○ 1 on the same text only.");
  assert.equal(
    meetingWords(["text", "token", "peak", "peak", "none"], "x"),
    "4 of these 5 contexts meet one of x: ● 2 at the peak of both, ◐ 1 at a token on which both fire, ○ 1 on the same text only.",
  );
});

test("tokens of at least two lists are marked, however often one list has them", () => {
  assert.deepEqual(shared([[1, 2, 2], [3, 2], [3, 9]]), new Set([2, 3]));
  assert.deepEqual(shared([[5, 5]]), new Set());
  assert.deepEqual(shared([]), new Set());
});
