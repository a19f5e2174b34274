// The view as the hash of the page's address, and back. What is not in the hash is as at the start.

import type { Range } from "./filter.ts";
import { isPair } from "./data.ts";
import type { Manifest } from "./manifest.ts";
import { JOINT, type Choices } from "./state.ts";

/** Names the SAEs, and leaves out what is as at the start. */
export function encode(choices: Choices, { saes, threshold }: Manifest): string {
  const parts: [string, string][] = [
    ["base", saes[choices.base].name],
    ["with", saes[choices.other].name],
  ];
  const { axes, box, sort } = choices;
  if (choices.show.length > 0) parts.push(["show", choices.show.join()]);
  if (choices.threshold !== threshold) parts.push(["threshold", String(choices.threshold)]);
  for (const [name, range] of Object.entries(choices.ranges)) parts.push([name, rangeText(range)]);
  if (choices.ids.length > 0) parts.push(["ids", choices.ids.join()]);
  if (choices.query) parts.push(["q", choices.query]);
  if (sort.column !== "id" || sort.down) parts.push(["sort", (sort.down ? "-" : "") + sort.column]);
  if (choices.columns) parts.push(["columns", choices.columns.join()]);
  for (const key of ["x", "y", "colour"] as const) if (axes[key] !== JOINT[key]) parts.push([key, axes[key]]);
  if (axes.logX || axes.logY) parts.push(["log", (axes.logX ? "x" : "") + (axes.logY ? "y" : "")]);
  if (box) parts.push(["box", `${rangeText(box.x)},${rangeText(box.y)}`]);
  if (choices.pins.length > 0) parts.push(["pins", choices.pins.join()]);
  if (choices.latent !== null) parts.push(["latent", String(choices.latent)]);
  return "#" + parts.map(([name, value]) => `${quote(name)}=${quote(value)}`).join("&");
}

/** Colons and commas need no quoting, and are easier to read. */
const quote = (text: string) => encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2C", ",");

const KEYS = new Set([
  "base",
  "with",
  "show",
  "threshold",
  "ids",
  "q",
  "sort",
  "columns",
  "x",
  "y",
  "colour",
  "log",
  "box",
  "pins",
  "latent",
]);

/** Whatever cannot be understood is left out. */
export function decode(hash: string, { saes, pairs, threshold }: Manifest): Choices {
  const given = new Map(new URLSearchParams(hash.replace(/^#/, "").replaceAll("+", "%2B")));
  const get = (key: string) => given.get(key) ?? "";
  const named = (key: string) => saes.findIndex(({ name }) => name === get(key));
  const base = named("base") >= 0 ? named("base") : (pairs[0]?.a ?? 0);
  const matched = saes.map((_, i) => i).filter((i) => isPair(base, i));
  const other = matched.includes(named("with")) ? named("with") : (matched[0] ?? base);
  const isLatent = (id: number) => Number.isInteger(id) && id >= 0 && id < saes[base].num_latents;
  const latents = (key: string) => numbers(get(key)).filter(isLatent);
  const ranges = [...given].filter(([key]) => !KEYS.has(key)).map(([key, text]) => [key, parseRange(text)] as const);
  const [x, y] = get("box").split(",").map(parseRange);
  const limit = numbers(get("threshold"))[0];
  return {
    base,
    other,
    show: list(get("show")),
    threshold: limit ?? threshold,
    ranges: Object.fromEntries(ranges.filter((entry): entry is [string, Range] => entry[1] !== null)),
    ids: latents("ids"),
    query: get("q"),
    sort: { column: get("sort").replace(/^-/, "") || "id", down: get("sort").startsWith("-") },
    latent: latents("latent")[0] ?? null,
    pins: latents("pins"),
    axes: {
      x: get("x") || JOINT.x,
      y: get("y") || JOINT.y,
      colour: get("colour") || JOINT.colour,
      logX: get("log").includes("x"),
      logY: get("log").includes("y"),
    },
    box: x && y ? { x, y } : null,
    columns: given.has("columns") ? list(get("columns")) : null,
  };
}

const list = (text: string) => text.split(",").filter(Boolean);
const numbers = (text: string) => list(text).map(Number).filter(Number.isFinite);

const rangeText = ({ low, high }: Range) => `${low ?? ""}:${high ?? ""}`;

/** Null if the text is no range. */
export function parseRange(text: string): Range | null {
  const [low, high, more] = text.split(":");
  if (high === undefined || more !== undefined) return null;
  const ends = [low, high].map((end) => (end.trim() ? Number(end) : null));
  return ends.some((end) => end !== null && !Number.isFinite(end)) ? null : { low: ends[0], high: ends[1] };
}
