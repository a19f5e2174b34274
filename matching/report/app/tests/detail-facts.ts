// What a pair's tables say of a latent: matches, counterparts, how sure they are, numbers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf } from "../src/detail/bars.ts";
import { counterpartsOf, factsOf, linkOf, matchesOf, pick } from "../src/detail/facts.ts";
import { activation, cosine, number, rate } from "../src/detail/numbers.ts";
import { need, sureness, type Match } from "../src/detail/sure.ts";
import type { Counterpart } from "../src/detail/view.ts";
import { orient } from "../src/pair.ts";

const arrays = {
  "decoder.partner": Int32Array.of(1, -1),
  "decoder.cosine": Float32Array.of(0.75, NaN),
  "decoder.best": Int32Array.of(0, 1),
  "decoder.best_cosine": Float32Array.of(0.875, 0.25),
  "decoder.lead": Float32Array.of(-0.125, NaN),
  "decoder.price": Float32Array.of(0.25, 0),
  "decoder.sure_low": Float32Array.of(0.5, NaN),
  "decoder.sure_high": Float32Array.of(0.625, NaN),
};

test("a match has both prices, and its bounds if they are known", () => {
  const { decoder, encoder } = matchesOf(orient(arrays, ["decoder"], true, 2), 0);
  assert.equal(encoder, undefined);
  assert.deepEqual(decoder, { partner: 1, cosine: 0.75, best: 0, bestCosine: 0.875, lead: -0.125, prices: [0.25, 0.5], fall: [0.5, 0.625] });
  const { "decoder.sure_low": _, ...unsure } = arrays;
  assert.equal(matchesOf(orient(unsure, ["decoder"], true, 2), 0).decoder?.fall, null);
});

const match = (values: Partial<Match>): Match => ({ partner: 5, cosine: 0.9, best: 5, bestCosine: 0.9, lead: 0.4, prices: [0.5, 0.4], fall: null, ...values });

test("counterparts are one latent where the sides agree, and two where they do not", () => {
  const fires = Float32Array.of(0, 0, 0, 0, 0, 50, 60);
  const both = counterpartsOf(2, { decoder: match({}), encoder: match({ cosine: 0.8 }) }, fires);
  assert.deepEqual(both, [{ sae: 2, latent: 5, by: "both", cosines: { decoder: 0.9, encoder: 0.8 }, firesPerMillion: 50 }]);
  const two = counterpartsOf(2, { decoder: match({}), encoder: match({ partner: 6, cosine: 0.8 }) }, fires);
  assert.deepEqual(two.map(({ latent, by, firesPerMillion }) => [latent, by, firesPerMillion]), [[5, "decoder", 50], [6, "encoder", 60]]);
});

test("a link is null where the table has none", () => {
  const links = { latent: Int32Array.of(4, -1), cosine: Float32Array.of(0.5, NaN) };
  assert.deepEqual(linkOf(links, 0), { latent: 4, cosine: 0.5 });
  assert.equal(linkOf(links, 1), null);
  assert.equal(linkOf(null, 0), null);
});

test("a side that has no partner gives way to one that has", () => {
  const none = match({ partner: -1, cosine: NaN });
  assert.deepEqual(counterpartsOf(1, { decoder: none, encoder: match({}) }, undefined).map(({ latent, by }) => [latent, by]), [[5, "encoder"]]);
  assert.deepEqual(counterpartsOf(1, { decoder: none, encoder: none }, undefined).map(({ latent, by }) => [latent, by]), [[-1, "both"]]);
  assert.deepEqual(counterpartsOf(1, { decoder: match({}) }, undefined).map(({ latent, by }) => [latent, by]), [[5, "both"]]);
});

test("the chosen counterpart stands first, then others of its SAE, then the rest in order", () => {
  const one = (sae: number, by: Counterpart["by"]): Counterpart => ({ sae, latent: 1, by, cosines: {}, firesPerMillion: NaN });
  const all = [one(0, "both"), one(2, "decoder"), one(2, "encoder"), one(3, "both")];
  const names = (found: Counterpart[]) => found.map(({ sae, by }) => `${sae} ${by}`);
  assert.deepEqual(names(pick(all, { sae: 2, by: "encoder" }, 9)), ["2 encoder", "2 decoder", "0 both", "3 both"]);
  assert.deepEqual(names(pick(all, { sae: 2, by: "both" }, 1)), ["2 decoder"]);
  assert.deepEqual(names(pick(all, { sae: 3, by: "encoder" }, 2)), ["3 both", "0 both"]);
});

test("how sure a match is depends on its lead, the threshold and chance", () => {
  const verdict = (values: Partial<Match>) => sureness(match(values), { them: "seed1", threshold: 0.7, chanceFloor: 0.2 }).verdict;
  assert.equal(verdict({ lead: 0.1 }), "Clear");
  assert.equal(verdict({ lead: 0.0999 }), "Narrow");
  assert.equal(verdict({ lead: 0.02 }), "Narrow");
  assert.equal(verdict({ lead: 0.0199 }), "Nearly a tie");
  assert.equal(verdict({ lead: 0 }), "Nearly a tie");
  assert.equal(verdict({ lead: -0.001 }), "Gives way");
  assert.equal(verdict({ cosine: 0.7 }), "Weak");
  assert.equal(verdict({ cosine: 0.2 }), "No counterpart");
  assert.equal(verdict({ partner: -1, cosine: NaN, lead: NaN }), "No partner");
});

test("the sentence names what was nearer", () => {
  const words = sureness(match({ lead: -0.125, best: 7 }), { them: "seed1", threshold: 0.7, chanceFloor: 0.2 });
  assert.equal(words.sentence, "latent 7 is closer by 0.125, but is matched to another one.");
});

test("what the loss of a pair costs is said if it is known", () => {
  assert.equal(need(match({ fall: [0.25, 0.5] })), "Losing the pair costs 0.250 to 0.500.");
  assert.equal(need(match({ fall: [0.25, 0.25] })), "Losing the pair costs 0.250.");
  assert.equal(need(match({ fall: null })), "");
  assert.equal(need(match({ partner: -1, fall: [NaN, NaN] })), "");
});

test("numbers have their digits, a true minus, and a dash where they are not known", () => {
  assert.deepEqual([cosine(-0.1234), cosine(NaN)], ["−0.123", "–"]);
  assert.deepEqual([number(1234.56, 1), number(-2, 0), number(NaN, 1)], ["1,234.6", "−2", "–"]);
  assert.deepEqual([rate(0), rate(12.34), rate(1234.5), rate(NaN)], ["0.0", "12.3", "1,235", "–"]);
  assert.deepEqual([activation(12.345), activation(0.01234), activation(0)], ["12.3", "0.0123", "0"]);
  const columns = [{ name: "fires", label: "fires", help: "help", digits: 1 }];
  assert.deepEqual(factsOf(columns, { fires: Float32Array.of(1, 2.5) }, 1), [{ label: "fires", help: "help", text: "2.5" }]);
});

test("bars are logarithms: none for no token, and a little for one", () => {
  const { heights, ticks, total } = barsOf([1023, 1, 0]);
  assert.deepEqual(heights, [1, 0.1, 0]);
  assert.deepEqual(ticks.map(({ count }) => count), [1, 10, 100, 1000]);
  assert.equal(total, 1024);
  assert.deepEqual(barsOf([0, 0]).heights, [0, 0]);
});
