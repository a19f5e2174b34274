// The text of tokens: characters that are split over tokens, and characters without a shape.
import assert from "node:assert/strict";
import { test } from "node:test";
import { textOf, textsOf, visible } from "../src/detail/tokens.ts";

/** A vocabulary of these byte strings. */
function vocabularyOf(...tokens: (string | number[])[]) {
  const bytes = tokens.map((token) => (typeof token === "string" ? new TextEncoder().encode(token) : Uint8Array.from(token)));
  return { length: tokens.length, bytesOf: (index: number) => bytes[index] };
}

test("each token has its own text", () => {
  const words = vocabularyOf("The", " cat", "ß");
  assert.deepEqual(textsOf([1, 0, 2], words), [" cat", "The", "ß"]);
  assert.deepEqual(textsOf([], words), []);
});

test("a character that is split over tokens shows once, at the first of them", () => {
  // 😀 is F0 9F 98 80, é is C3 A9.
  const words = vocabularyOf("a", [0xf0], [0x9f, 0x98], [0x80, 0x62], [0xc3], [0xa9], "z");
  assert.deepEqual(textsOf([0, 1, 2, 3, 6], words), ["a", "😀", "", "b", "z"]);
  assert.deepEqual(textsOf([6, 4, 5, 0], words), ["z", "é", "", "a"]);
});

test("bytes that are no character are replaced, and the run goes on", () => {
  const words = vocabularyOf("a", [0xa9], [0xc3]);
  assert.deepEqual(textsOf([1, 0], words), ["\ufffd", "a"]);
  assert.deepEqual(textsOf([0, 2, 0], words), ["a", "\ufffd", "a"]);
  assert.deepEqual(textsOf([0, 2], words), ["a", "\ufffd"]);
  assert.equal(textsOf([0, 1, 1, 1, 1, 1, 0], words).join(""), "a\ufffd\ufffd\ufffd\ufffd\ufffda");
});

test("a token alone that is no character shows its bytes", () => {
  const words = vocabularyOf(" cat", [0xe5, 0x0a], "");
  assert.deepEqual([0, 1, 2].map((token) => textOf(token, words)), [" cat", "⟨e5 0a⟩", ""]);
  assert.equal(textOf(3, null), "⟨3⟩");
});

test("a byte order mark is kept", () => {
  assert.deepEqual(textsOf([0, 1], vocabularyOf("\ufeffa", "b")), ["\ufeffa", "b"]);
});

test("without a vocabulary a token is its number", () => {
  assert.deepEqual(textsOf([7, 12], null), ["⟨7⟩", "⟨12⟩"]);
  assert.deepEqual(textsOf([0, 12], vocabularyOf("a")), ["a", "⟨12⟩"]);
});

test("characters without a shape are shown, and markup is left as it is", () => {
  assert.equal(visible("a\n\tb\u0000\u007f"), "a↵⇥b␀␡");
  assert.equal(visible("a\n\nb", true), "a↵\n↵\nb");
  assert.equal(visible("</script><b>&amp;"), "</script><b>&amp;");
});
