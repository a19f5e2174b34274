// From choices to rows: the graph of signals, on six latents.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  chooseBase,
  clearFilters,
  clearHiding,
  setAxes,
  setRange,
  sortBy,
  toggleGroup,
  togglePin,
} from "../src/actions.ts";
import { receive } from "../src/chunks.ts";
import { columnsOf } from "../src/columns.ts";
import { GROUPS, fixedBits, knownGroups } from "../src/criteria.ts";
import { Strings, openManifest, type Manifest } from "../src/data.ts";
import { orient } from "../src/pair.ts";
import { groupCounts, hiding, isWaiting, rows } from "../src/rows.ts";
import * as state from "../src/state.ts";
import { texts, view, words } from "../src/view.ts";

const column = { name: "fires_per_million", label: "fires", help: "", digits: 1 };
const sae = (name: string) =>
  ({ name, num_latents: 6, columns: [column], explanations: true }) as unknown as Manifest["saes"][0];
const manifest = {
  format: "twinsae-report/1",
  threshold: 0.7,
  saes: [sae("a"), sae("b"), sae("c")],
  pairs: [
    { a: 0, b: 1 },
    { a: 0, b: 2 },
  ],
};

async function open() {
  const header = JSON.stringify({ arrays: [], facts: manifest });
  const content = Buffer.concat([Buffer.alloc(4), Buffer.from(header)]);
  content.writeUInt32LE(header.length);
  receive("manifest", gzipSync(content).toString("base64"));
  Object.assign(globalThis, { document: { querySelector: () => true } });
  await openManifest();
}

function strings(...all: string[]) {
  const bytes = all.map((text) => Buffer.from(text));
  const offsets = new Uint32Array(all.length + 1);
  bytes.forEach((each, i) => (offsets[i + 1] = offsets[i] + each.length));
  return new Strings(Buffer.concat(bytes), offsets);
}

const arrays: Record<string, Float32Array | Int32Array> = {};
for (const [name, cosine] of [
  ["decoder", [0.9, 0.8, 0.1, 0.75, 0.3, 0.9]],
  ["encoder", [0.9, 0.2, 0.1, 0.8, 0.9, 0.75]],
] as const) {
  arrays[`${name}.partner`] = Int32Array.of(5, 4, 3, 2, 1, 0);
  arrays[`${name}.cosine`] = arrays[`${name}.best_cosine`] = Float32Array.from(cosine);
  arrays[`${name}.best`] = arrays[`${name}.back_best`] = Int32Array.of(5, 4, 3, 2, 1, 0);
}

beforeEach(async () => {
  await open();
  const numbers = { fires_per_million: Float32Array.of(5, 0, NaN, 2, 5, 9) };
  const loaded = { numbers, sharedWith: null, peakToken: Int32Array.of(0, 1, 2, 0, -1, 1), firstTokens: null };
  const pair = orient(arrays, ["decoder", "encoder"], true, 6);
  const groups = { pair, numLatents: 6, fires: numbers.fires_per_million, floor: 0.2 };
  view.value = {
    base: 0,
    other: 1,
    numLatents: 6,
    sae: loaded,
    pair,
    columns: columnsOf(manifest.saes[0], loaded, pair),
    groups,
    fixed: fixedBits(groups),
    known: knownGroups(groups),
  };
  words.value = strings(" the", "cat", "The");
  texts.value = strings("", "", "", "a cat", "", "");
  clearFilters();
  state.base.value = 0;
  state.other.value = 1;
  setAxes(state.JOINT);
  state.threshold.value = 0.7;
  state.sort.value = { column: "id", down: false };
  state.pins.value = [];
});

const listed = () => [...rows.value];
const count = (name: string) => groupCounts.value[GROUPS.findIndex((group) => group.name === name)];

test("groups of a family replace one another, others combine", () => {
  toggleGroup("and");
  assert.deepEqual(listed(), [0, 3, 5]);
  toggleGroup("one_side");
  assert.deepEqual(listed(), [1, 4]);
  toggleGroup("never_fired");
  assert.deepEqual(listed(), [1]);
  toggleGroup("one_side");
  assert.deepEqual(state.show.value, ["never_fired"]);
});

test("counts are of the latents that pass all other filters, whatever group is chosen", () => {
  toggleGroup("neither");
  setRange("fires_per_million", { low: 3, high: null });
  assert.deepEqual([count("and"), count("one_side"), count("neither")], [2, 1, 0]);
  state.threshold.value = 0.05;
  assert.deepEqual([count("and"), count("neither")], [3, 0]);
});

test("pins are counted and listed, and leave the list as it is", () => {
  toggleGroup("and");
  const before = rows.value;
  togglePin(3);
  togglePin(4);
  assert.equal(rows.value, before);
  assert.equal(count("pinned"), 2);
  toggleGroup("pinned");
  assert.deepEqual(listed(), [3]);
  togglePin(3);
  assert.deepEqual(listed(), []);
});

test("a first sort has the largest number first, then the smallest; the unknown last", () => {
  sortBy("fires_per_million");
  assert.deepEqual(listed(), [5, 0, 4, 3, 1, 2]);
  sortBy("fires_per_million");
  assert.deepEqual(listed(), [1, 3, 0, 4, 5, 2]);
  sortBy("label");
  assert.deepEqual(listed(), [3, 1, 5, 0, 2, 4]);
});

test("a search looks into tokens and explanations, and waits for them", () => {
  state.query.value = "CAT";
  assert.deepEqual(listed(), [1, 3, 5]);
  state.query.value = '"The"';
  assert.deepEqual(listed(), [2]);
  texts.value = undefined;
  assert.ok(isWaiting.value);
  assert.deepEqual(listed(), [0, 1, 2, 3, 4, 5]);
});

test("a search for a latent of either SAE", () => {
  state.query.value = "#4";
  assert.deepEqual(listed(), [4]);
  state.query.value = "b:4";
  assert.deepEqual(listed(), [1]);
  state.query.value = "c:4";
  assert.deepEqual(listed(), []);
});

test("a selection in the plot holds for its axes only", () => {
  state.box.value = { x: { low: 0.7, high: 1 }, y: { low: null, high: 0.8 } };
  assert.deepEqual(listed(), [1, 5]);
  setAxes({ colour: "none" });
  assert.deepEqual(listed(), [1, 5]);
  setAxes({ x: "fires_per_million" });
  assert.equal(state.box.value, null);
});

test("what empties the list is named, and removed alone", () => {
  state.ids.value = [0, 1];
  setRange("decoder", { low: 0.95, high: null });
  assert.deepEqual(
    hiding.value.map(({ label }) => label),
    ["decoder cosine"],
  );
  clearHiding();
  assert.deepEqual(listed(), [0, 1]);
  assert.deepEqual(hiding.value, []);
});

test("another base forgets the numbers of latents, and keeps the pair where it can", () => {
  state.latent.value = 3;
  togglePin(3);
  state.ids.value = [1];
  chooseBase(1);
  assert.deepEqual([state.other.value, state.latent.value, state.pins.value, state.ids.value], [0, null, [], []]);
  chooseBase(2);
  assert.equal(state.other.value, 0);
});
