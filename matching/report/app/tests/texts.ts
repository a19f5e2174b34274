// Search, addresses, exports and scales.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, parseRange } from "../src/address.ts";
import { receive } from "../src/chunks.ts";
import { columnsOf, format } from "../src/columns.ts";
import { openManifest } from "../src/data.ts";
import { csv, json, python } from "../src/export.ts";
import type { Manifest } from "../src/manifest.ts";
import { orient } from "../src/pair.ts";
import { position, scaleOf, ticks, valueAt } from "../src/scale.ts";
import { join, matchingTexts, matchingWords, parseQuery, textMask } from "../src/search.ts";
import { JOINT } from "../src/state.ts";
import { gzipSync } from "node:zlib";

test("queries", () => {
  const saes = ["seed0", "a:b"];
  assert.deepEqual(parseQuery(" #12 ", saes), { kind: "latent", sae: null, latent: 12 });
  assert.deepEqual(parseQuery("a:b:7", saes), { kind: "latent", sae: "a:b", latent: 7 });
  assert.deepEqual(parseQuery("seed9:7", saes), { kind: "text", text: "seed9:7", exact: false });
  assert.deepEqual(parseQuery('"The"', saes), { kind: "text", text: "The", exact: true });
  assert.deepEqual(parseQuery("The", saes), { kind: "text", text: "the", exact: false });
  assert.deepEqual(parseQuery("12", saes), { kind: "text", text: "12", exact: false });
  assert.equal(parseQuery("  ", saes), null);
});

test("words are found in any case, or exactly", () => {
  const exact = ["The", " The", " theme", "a(b", ""];
  const words = { exact, lower: exact.map((word) => word.toLowerCase()) };
  assert.deepEqual([...matchingWords(words, { text: "the", exact: false })], [1, 1, 1, 0, 0]);
  assert.deepEqual([...matchingWords(words, { text: "The", exact: true })], [1, 1, 0, 0, 0]);
  assert.deepEqual([...matchingWords(words, { text: "a(b", exact: false })], [0, 0, 0, 1, 0]);
});

test("texts are found as one by one", () => {
  const texts = ["Alpha beta", "", "betaALPHA\nbeta", "İstanbul beta", "none", "alpha"];
  const joined = join(texts);
  const plain = (text: string) => texts.map((each) => +each.toLowerCase().includes(text));
  for (const text of ["alpha", "beta", "a", "x", "none"])
    assert.deepEqual([...matchingTexts(joined, { text, exact: false })], plain(text), text);
  assert.deepEqual([...matchingTexts(joined, { text: "Alpha", exact: true })], [1, 0, 0, 0, 0, 0]);
  assert.deepEqual([...matchingTexts(join([]), { text: "a", exact: false })], []);
});

test("a latent is found by any of its tokens or its explanation", () => {
  const words = Uint8Array.of(0, 1);
  const tokens = [Int32Array.of(1, -1, 0), Int32Array.of(0, 0, 0, 1, 0, 0)];
  assert.deepEqual([...textMask(3, tokens, words, Uint8Array.of(0, 0, 1))], [1, 1, 1]);
  assert.deepEqual([...textMask(3, tokens, words, null)], [1, 1, 0]);
  assert.deepEqual([...textMask(3, tokens, null, null)], [0, 0, 0]);
});

const sae = (name: string) => ({ name, num_latents: 10, columns: [] }) as unknown as Manifest["saes"][0];
const manifest = {
  format: "twinsae-report/1",
  threshold: 0.7,
  saes: [sae("seed0"), sae('s=&#"1'), sae("alone"), sae("seed3")],
  pairs: [
    { a: 0, b: 1 },
    { a: 1, b: 3 },
  ],
} as unknown as Manifest;

async function open() {
  const header = JSON.stringify({ arrays: [], facts: manifest });
  const content = Buffer.concat([Buffer.alloc(4), Buffer.from(header)]);
  content.writeUInt32LE(header.length);
  receive("manifest", gzipSync(content).toString("base64"));
  Object.assign(globalThis, { document: { querySelector: () => true } });
  await openManifest();
}

const START = {
  base: 0,
  other: 1,
  show: [],
  threshold: 0.7,
  ranges: {},
  ids: [],
  query: "",
  sort: { column: "id", down: false },
  latent: null,
  pins: [],
  axes: JOINT,
  box: null,
  columns: null,
};

test("an address holds the whole view", async () => {
  await open();
  const all = {
    base: 1,
    other: 3,
    show: ["and", "pinned"],
    threshold: 0.35,
    ranges: { decoder: { low: 0.5, high: null }, "score.a b&c": { low: -1e-7, high: 2 } },
    ids: [3, 1],
    query: ' "a&b=c#d+e %',
    sort: { column: "decoder.lead", down: true },
    latent: 0,
    pins: [9, 2],
    axes: { x: "decoder.best", y: "fires_per_million", colour: "none", logX: false, logY: true },
    box: { x: { low: 0.1, high: 0.9 }, y: { low: null, high: 5 } },
    columns: ["decoder", "score.a b&c"],
  };
  assert.deepEqual(decode(encode(all, manifest), manifest), all);
  assert.deepEqual(decode(encode({ ...START, columns: [] }, manifest), manifest), { ...START, columns: [] });
  assert.equal(encode(START, manifest), "#base=seed0&with=s%3D%26%23%221");
  assert.deepEqual(decode("", manifest), START);
});

test("what an address cannot mean is left out", async () => {
  await open();
  const wrong = "#base=nobody&with=alone&threshold=x&ids=10,-1,1.5,b,4&latent=99&box=1:2&sort=&decoder=a:b&foo=1";
  assert.deepEqual(decode(wrong, manifest), { ...START, ids: [4] });
  assert.deepEqual(decode("#base=seed3", manifest), { ...START, base: 3, other: 1 });
  assert.equal(decode("#q=a+b%20c", manifest).query, "a+b c");
  for (const text of ["", "1", "1:2:3", "a:"]) assert.equal(parseRange(text), null);
  assert.deepEqual(parseRange(":-2e3"), { low: null, high: -2000 });
});

function column(name: string, values: number[]) {
  const info = {
    num_latents: values.length,
    columns: [{ name, label: name, help: "", digits: 1 }],
  } as unknown as Manifest["saes"][0];
  const pair = orient({}, [], true, values.length);
  return columnsOf(
    info,
    { numbers: { [name]: Float32Array.from(values) }, sharedWith: null, peakToken: null, firstTokens: null },
    pair,
  );
}

test("exports hold float32 exactly, and quote texts", () => {
  const columns = [...column("c", [0.1, NaN, 16777216, 1 / 3]).values()];
  const rows = Uint32Array.of(3, 1, 0, 2);
  const text = csv({ title: "a\nb" }, columns, rows, (i) => `"${i}",\nx`);
  assert.deepEqual(text.trimEnd().split("\n"), [
    "# title: a b",
    "id,c,label",
    '3,0.333333343,"""3"", x"',
    '1,,"""1"", x"',
    '0,0.100000001,"""0"", x"',
    '2,16777216,"""2"", x"',
  ]);
  const labels = csv({}, [], rows, (i) => ["=1+1", " @a", "-x", "a=b"][i]).trimEnd().split("\n");
  assert.deepEqual(labels.sort(), [`,"' @a"`, `,"'-x"`, `,"'=1+1"`, ',"a=b"', "label"].sort());
  assert.equal(Math.fround(Number("0.333333343")), Math.fround(1 / 3));
  const { provenance, latents } = JSON.parse(json({ threshold: 0.7 }, columns, rows, (i) => `</script>${i}`));
  assert.deepEqual(provenance, { threshold: 0.7 });
  assert.deepEqual(latents[1], { id: 1, c: null, label: "</script>1" });
  assert.deepEqual(JSON.parse(json({}, columns, new Uint32Array(), String)).latents, []);
});

test("code for Python names the path as a string, and a link ends no comment", () => {
  const code = python('a"b\\seed0', "file:///x#q\nimport os", Uint32Array.of(2, 7));
  assert.match(code, /^# file:\/\/\/x#qimport os\n/);
  assert.ok(code.includes('load_sae("a\\"b\\\\seed0")'));
  assert.ok(code.includes("latents = [2, 7]"));
});

test("scales go there and back", () => {
  for (const [values, log] of [
    [[-0.05, 0.99], false],
    [[0, 0.5, 40, 123456], true],
    [[3, 3], false],
    [[5, 5], true],
    [[NaN], false],
    [[0, 0], true],
  ] as const) {
    const scale = scaleOf(values, log);
    assert.ok(scale.low < scale.high);
    for (const share of [0, 0.25, 1]) assert.ok(Math.abs(position(scale, valueAt(scale, share)) - share) < 1e-9);
    const marks = ticks(scale, 5);
    assert.ok(marks.length >= 2 && marks.length <= 8, `${marks}`);
    for (const value of values)
      if (!Number.isNaN(value) && value > 0) assert.ok(value >= scale.low && value <= scale.high);
  }
  const log = scaleOf([0, 1, 100], true);
  assert.equal(position(log, 0), 0);
  assert.equal(position(log, 10), 0.5);
  assert.ok(Number.isNaN(position(log, NaN)));
});

test("numbers as the list shows them", () => {
  assert.deepEqual(
    [format(NaN, 3), format(0.12345, 3), format(1234.56, 1), format(1234567, 1), format(3, 0)],
    ["–", "0.123", "1,234.6", "1,234,567.0", "3"],
  );
});
