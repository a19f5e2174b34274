// From the choices to the rows of the list: a graph of computed signals.

import { computed } from "@preact/signals";
import { GROUPS, bitOf, groupBits } from "./criteria.ts";
import { manifest } from "./data.ts";
import { bitsMask, blockers, combined, countBits, listMask, passing, rangeMask, type Filter } from "./filter.ts";
import { labelRanks } from "./labels.ts";
import { join, matchingTexts, matchingWords, parseQuery, textMask } from "./search.ts";
import { sortedOrder } from "./sort.ts";
import { axes, box, ids, pins, query, ranges, show, sort, threshold } from "./state.ts";
import { texts, view, words } from "./view.ts";

/** The groups of each latent, as bits. */
export const bits = computed(() => {
  const shown = view.value;
  return shown ? groupBits(shown.groups, shown.fixed, threshold.value) : new Uint32Array();
});

const rangeFilters = computed<Filter[]>(() =>
  Object.entries(ranges.value).flatMap(([name, range]) => {
    const column = view.value?.columns.get(name);
    if (!column) return [];
    const { [name]: _, ...rest } = ranges.value;
    return [{ label: column.label, mask: rangeMask(column.values, range), clear: () => (ranges.value = rest) }];
  }),
);

const boxFilter = computed<Filter[]>(() => {
  const x = view.value?.columns.get(axes.value.x);
  const y = view.value?.columns.get(axes.value.y);
  if (!box.value || !x || !y) return [];
  const mask = combined([rangeMask(x.values, box.value.x), rangeMask(y.values, box.value.y)], x.values.length);
  return [{ label: "selection in the plot", mask, clear: () => (box.value = null) }];
});

const listFilter = computed<Filter[]>(() => {
  if (ids.value.length === 0 || !view.value) return [];
  return [
    { label: "list of latents", mask: listMask(ids.value, view.value.numLatents), clear: () => (ids.value = []) },
  ];
});

export const asked = computed(() =>
  parseQuery(
    query.value,
    manifest().saes.map(({ name }) => name),
  ),
);

const wordList = computed(() => {
  if (!words.value) return null;
  const exact = words.value.all();
  return { exact, lower: exact.map((word) => word.toLowerCase()) };
});

const joined = computed(() => texts.value && join(texts.value.all()));

/** Whether a search still waits for the texts that it looks into. */
export const isWaiting = computed(
  () => asked.value?.kind === "text" && (words.value === undefined || texts.value === undefined),
);

const queryFilter = computed<Filter[]>(() => {
  const wanted = asked.value;
  if (!wanted || !view.value || isWaiting.value) return [];
  const { numLatents, sae } = view.value;
  let mask;
  if (wanted.kind === "latent") {
    mask = listMask(latentsOf(wanted.sae, wanted.latent), numLatents);
  } else {
    const tokens = [sae.peakToken, sae.firstTokens].filter((column) => column !== null);
    mask = textMask(
      numLatents,
      tokens,
      wordList.value && matchingWords(wordList.value, wanted),
      joined.value ? matchingTexts(joined.value, wanted) : null,
    );
  }
  return [{ label: "search", mask, clear: () => (query.value = "") }];
});

/** The base's latents that a search for one latent of any SAE means: itself, or its partners. */
function latentsOf(sae: string | null, wanted: number): number[] {
  const { base, other, pair } = view.value!;
  const { saes } = manifest();
  if (sae === null || sae === saes[base].name) return [wanted];
  if (sae !== saes[other].name) return [];
  return [pair.decoder, pair.encoder]
    .flatMap((side) => side?.partner.indexOf(wanted) ?? [])
    .filter((found) => found >= 0);
}

const groupFilters = computed<Filter[]>(() =>
  show.value.flatMap((name) => {
    const group = GROUPS.find((each) => each.name === name);
    if (!group || !view.value) return [];
    const mask = name === "pinned" ? listMask(pins.value, view.value.numLatents) : bitsMask(bits.value, bitOf(name));
    return [{ label: group.label, mask, clear: () => (show.value = show.value.filter((each) => each !== name)) }];
  }),
);

const otherFilters = computed(() => [
  ...queryFilter.value,
  ...listFilter.value,
  ...rangeFilters.value,
  ...boxFilter.value,
]);
export const filters = computed(() => [...groupFilters.value, ...otherFilters.value]);

/** Of each group: its latents that pass all filters except the choice of groups. */
export const groupCounts = computed(() => {
  const passes = combined(
    otherFilters.value.map(({ mask }) => mask),
    bits.value.length,
  );
  const counts = countBits(bits.value, passes, GROUPS.length);
  counts[GROUPS.findIndex(({ name }) => name === "pinned")] = pins.value.filter((pin) => passes[pin]).length;
  return counts;
});

const order = computed(() => {
  const { column, down } = sort.value;
  if (!view.value) return new Uint32Array();
  if (column === "label") return sortedOrder(labelRanks.value, down);
  return sortedOrder((view.value.columns.get(column) ?? view.value.columns.get("id")!).values, down);
});

/** The latents of the list, in its order. */
export const rows = computed(() =>
  passing(
    order.value,
    filters.value.map(({ mask }) => mask),
  ),
);

/** What hides everything, if nothing is left. */
export const hiding = computed(() => (rows.value.length > 0 ? [] : blockers(filters.value)));
