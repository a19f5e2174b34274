// Strings of a chunk: one by one and all at once are the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Strings } from "../src/data.ts";

test("all strings, of any alphabet, split letters included", () => {
  const bytes = [
    Buffer.from("plain"),
    Buffer.alloc(0),
    Buffer.from("Grüße"),
    Buffer.from("日本"),
    Buffer.from("é").subarray(0, 1),
    Buffer.from("\n<b>"),
    Buffer.from("\x80"),
  ];
  const offsets = new Uint32Array(bytes.length + 1);
  bytes.forEach((each, i) => (offsets[i + 1] = offsets[i] + each.length));
  const strings = new Strings(Buffer.concat(bytes), offsets);
  assert.equal(strings.length, bytes.length);
  const expected = ["plain", "", "Grüße", "日本", "\ufffd", "\n<b>", "\x80"];
  assert.deepEqual(strings.all(), expected);
  assert.deepEqual(
    expected.map((_, i) => strings.text(i)),
    expected,
  );
  assert.deepEqual(new Strings(Buffer.from("abc"), Uint32Array.of(0, 1, 1, 3)).all(), ["a", "", "bc"]);
  assert.deepEqual([strings.text(-1), strings.text(99)], ["", ""]);
});
