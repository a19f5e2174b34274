// Sorting, filtering and groups, against the plainest way to write each.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUPS, bitOf, fixedBits, groupBits, knownGroups, type GroupData } from "../src/criteria.ts";
import { bitsMask, blockers, combined, countBits, listMask, passing, rangeMask } from "../src/filter.ts";
import { orient } from "../src/pair.ts";
import { sortedOrder } from "../src/sort.ts";

const clear = () => undefined;

function plain(values: number[], down: boolean): number[] {
  const known = values.map((_, i) => i).filter((i) => !Number.isNaN(values[i]));
  const unknown = values.map((_, i) => i).filter((i) => Number.isNaN(values[i]));
  return [...known.sort((a, b) => (down ? values[b] - values[a] : values[a] - values[b]) || a - b), ...unknown];
}

test("a sort is stable, ties by number, unknown last, whatever the sign", () => {
  const values = [0.5, -1, NaN, 0, -0, 0.5, -3.25, 1e30, -1e30, NaN, 0.5, Infinity, -Infinity, 1e-40, -1e-40];
  for (const down of [false, true]) assert.deepEqual([...sortedOrder(values, down)], plain(values, down));
  for (const few of [[], [1], [NaN, NaN]]) assert.deepEqual([...sortedOrder(few, true)], plain(few, true));
});

test("a sort of many numbers", () => {
  let state = 1;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const values = Array.from({ length: 20_001 }, () => Math.fround(Math.round(random() * 300) / 100 - 1.5));
  for (const down of [false, true]) assert.deepEqual([...sortedOrder(values, down)], plain(values, down));
  const partners = Int32Array.from(values, (_, i) => (i * 7919) % values.length);
  assert.deepEqual([...sortedOrder(partners, true)], plain([...partners], true));
});

test("ranges hold both ends, and no unknown number", () => {
  const values = Float32Array.of(0.25, 0.5, NaN, 0.75, -1);
  assert.deepEqual([...rangeMask(values, { low: 0.25, high: 0.5 })], [1, 1, 0, 0, 0]);
  assert.deepEqual([...rangeMask(values, { low: null, high: 0.5 })], [1, 1, 0, 0, 1]);
  assert.deepEqual([...rangeMask(values, { low: null, high: null })], [1, 1, 0, 1, 1]);
});

test("filters combine with and, and keep the order", () => {
  const order = Uint32Array.of(4, 2, 0, 1, 3);
  assert.equal(passing(order, []), order);
  const masks = [listMask([0, 1, 2, 9], 5), Uint8Array.of(1, 0, 1, 1, 1)];
  assert.deepEqual([...passing(order, masks)], [2, 0]);
  assert.deepEqual([...combined([], 3)], [1, 1, 1]);
  assert.deepEqual([...passing(new Uint32Array(), [])], []);
});

test("the filter that empties the list is named", () => {
  const filter = (label: string, ...mask: number[]) => ({ label, mask: Uint8Array.from(mask), clear });
  const names = (...filters: ReturnType<typeof filter>[]) => blockers(filters).map(({ label }) => label);
  assert.deepEqual(names(filter("a", 0, 0)), ["a"]);
  assert.deepEqual(names(filter("a", 1, 1), filter("b", 0, 0)), ["b"]);
  assert.deepEqual(names(filter("a", 1, 0), filter("b", 0, 1)), ["a", "b"]);
  assert.deepEqual(names(filter("a", 0, 0), filter("b", 0, 0), filter("c", 1, 1)), ["a", "b", "c"]);
  assert.deepEqual(names(), []);
});

// Each latent's decoder and encoder: partner, cosine, best cosine.
const D = {
  partner: [0, 1, 2, 3, -1, 4],
  cosine: [0.9, 0.9, 0.9, 0.1, NaN, 0.7],
  best: [0.9, 0.9, 0.9, 0.8, 0.25, 0.7],
};
const E = {
  partner: [0, 2, 1, 3, -1, 4],
  cosine: [0.8, 0.8, 0.5, 0.2, NaN, 0.9],
  best: [0.8, 0.8, 0.5, 0.9, 0.1, 0.9],
};

function planted(sides: ("decoder" | "encoder")[]) {
  const arrays: Record<string, Float32Array | Int32Array> = {};
  for (const [name, { partner, cosine, best }] of [
    ["decoder", D],
    ["encoder", E],
  ] as const) {
    arrays[`${name}.partner`] = Int32Array.from(partner);
    arrays[`${name}.cosine`] = Float32Array.from(cosine);
    arrays[`${name}.best`] = Int32Array.of(0, 1, 2, 0, 0, 4);
    arrays[`${name}.best_cosine`] = Float32Array.from(best);
    arrays[`${name}.back_best`] = Int32Array.of(0, 1, 5, 3, 5);
  }
  const pair = orient(arrays, sides, true, 6);
  return { pair, numLatents: 6, fires: Float32Array.of(1, 0, 2, NaN, 0, 1), floor: 0.25 };
}

function members(data: GroupData, name: string, threshold: number): number[] {
  const mask = bitsMask(groupBits(data, fixedBits(data), threshold), bitOf(name));
  return [...mask.keys()].filter((i) => mask[i]);
}

test("criteria are those of twinsae match", () => {
  const data = planted(["decoder", "encoder"]);
  const tau = 0.7;
  const all = D.partner.map((_, i) => i);
  const above = (values: number[]) => all.filter((i) => Math.fround(values[i]) > tau);
  const and = above(D.cosine).filter((i) => above(E.cosine).includes(i));
  const equal = all.filter((i) => D.partner[i] >= 0 && D.partner[i] === E.partner[i]);
  const expected: Record<string, number[]> = {
    and,
    equal,
    and_equal: and.filter((i) => equal.includes(i)),
    two_partners: and.filter((i) => !equal.includes(i)),
    decoder: above(D.cosine),
    encoder: above(E.cosine),
    one_side: all.filter((i) => above(D.cosine).includes(i) !== above(E.cosine).includes(i)),
    neither: all.filter((i) => !above(D.cosine).includes(i) && !above(E.cosine).includes(i)),
    mean: all.filter((i) => (Math.fround(D.cosine[i]) + Math.fround(E.cosine[i])) / 2 > tau),
    max_decoder: above(D.best),
    max_encoder: above(E.best),
    max: above(D.best).filter((i) => above(E.best).includes(i)),
    mutual_nearest: [0, 1, 5],
    near_floor: [4],
    never_fired: [1, 4],
    pinned: [],
  };
  assert.deepEqual(Object.keys(expected).sort(), GROUPS.map(({ name }) => name).sort());
  for (const [name, latents] of Object.entries(expected)) assert.deepEqual(members(data, name, tau), latents, name);
  // A cosine at the threshold is not above it; one at the floor is near it.
  assert.deepEqual(members(data, "decoder", Math.fround(0.9)), []);
  // float32(0.7) is a little less than 0.7.
  assert.ok(!members(data, "decoder", tau).includes(5));
  assert.ok(members(data, "decoder", 0.69).includes(5));
});

test("with one side, or without firing, what cannot be told is not offered", () => {
  const known = (bits: number) => GROUPS.filter(({ name }) => bits & bitOf(name)).map(({ name }) => name);
  assert.deepEqual(
    known(knownGroups(planted(["decoder", "encoder"]))),
    GROUPS.map(({ name }) => name),
  );
  const alone = { ...planted(["encoder"]), fires: null };
  assert.deepEqual(known(knownGroups(alone)), ["encoder", "max_encoder", "mutual_nearest", "near_floor", "pinned"]);
  assert.deepEqual(members(alone, "encoder", 0.7), [0, 1, 5]);
  assert.deepEqual(members(alone, "never_fired", 0.7), []);
});

test("counts of bits are those of the latents that pass", () => {
  assert.deepEqual([...countBits(Uint32Array.of(0b101, 0b001, 0b111), Uint8Array.of(1, 0, 1), 3)], [2, 1, 2]);
});
