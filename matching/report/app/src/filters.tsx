// The filters: groups with their counts, the threshold, ranges of numbers, a list of latents.

import { computed, signal } from "@preact/signals";
import { clearFilters, toggleGroup } from "./actions.ts";
import { GROUPS, bitOf, type Group } from "./criteria.ts";
import { manifest } from "./data.ts";
import { RangeFilter } from "./range.tsx";
import { filters, groupCounts } from "./rows.ts";
import { ids, ranges, show, threshold } from "./state.ts";
import { view } from "./view.ts";

/** Whether shared, and by which criterion. */
export function GroupFilters() {
  const known = (group: Group) => view.value && view.value.known & bitOf(group.name);
  const chips = (family: Group["family"]) =>
    GROUPS.filter((group) => group.family === family && known(group)).map((group) => (
      <Chip key={group.name} group={group} />
    ));
  return (
    <section class="filters" aria-labelledby="groups">
      <h2 id="groups">
        Filters
        {filters.value.length > 0 && (
          <button class="link" onClick={clearFilters}>
            clear all {filters.value.length}
          </button>
        )}
      </h2>
      <div class="chips" role="group" aria-label="Shared or not">
        {chips("shared")}
      </div>
      <Threshold />
      <div class="chips" role="group" aria-label="Other groups">
        {chips("other")}
      </div>
      <details>
        <summary>All criteria</summary>
        <div class="chips" role="group" aria-label="Criteria">
          {chips("criterion")}
        </div>
      </details>
    </section>
  );
}

/** Ranges of numbers, and a list of latents. */
export function NumberFilters() {
  return (
    <section class="filters" aria-labelledby="numbers">
      <h2 id="numbers">Numbers</h2>
      <Ranges />
      <ListFilter />
    </section>
  );
}

function Chip({ group }: { group: Group }) {
  const count = groupCounts.value[GROUPS.indexOf(group)];
  return (
    <button
      class="chip"
      data-group={group.name}
      aria-pressed={show.value.includes(group.name)}
      title={group.help}
      onClick={() => toggleGroup(group.name)}
    >
      {group.label} <span class="count">{count.toLocaleString("en")}</span>
    </button>
  );
}

function Threshold() {
  const set = (text: string) => text !== "" && Number.isFinite(Number(text)) && (threshold.value = Number(text));
  const start = manifest().threshold;
  return (
    <div class="threshold">
      <label for="threshold">Cosine above</label>
      <input
        type="range"
        aria-label="Threshold"
        min="0"
        max="1"
        step="0.01"
        value={threshold.value}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <input
        type="number"
        id="threshold"
        min="-1"
        max="1"
        step="any"
        value={threshold.value}
        onChange={(event) => set(event.currentTarget.value)}
      />
      {threshold.value !== start && (
        <button class="link" onClick={() => (threshold.value = start)}>
          back to {start}
        </button>
      )}
    </div>
  );
}

const USUAL = ["decoder", "encoder", "fires_per_million", "seeds"];
/** Numbers that the user asked for, besides the usual ones. */
const added = signal<string[]>([]);

const measured = computed(() => [...(view.value?.columns.values() ?? [])].filter(({ isLatent }) => !isLatent));

function Ranges() {
  const names = new Set([...USUAL, ...Object.keys(ranges.value), ...added.value]);
  const rest = measured.value.filter(({ name }) => !names.has(name));
  return (
    <>
      {measured.value
        .filter(({ name }) => names.has(name))
        .map((column) => (
          <RangeFilter key={column.name} column={column} />
        ))}
      {rest.length > 0 && (
        <select
          class="more"
          aria-label="Filter by another number"
          value=""
          onChange={(event) => (added.value = [...added.value, event.currentTarget.value])}
        >
          <option value="">+ another number…</option>
          {rest.map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      )}
    </>
  );
}

function ListFilter() {
  const read = (text: string) => {
    const limit = view.peek()?.numLatents ?? 0;
    const found = (text.match(/\d+/g) ?? []).map(Number).filter((latent) => latent < limit);
    ids.value = [...new Set(found)];
  };
  return (
    <details open={ids.value.length > 0}>
      <summary>A list of latents{ids.value.length > 0 && ` (${ids.value.length.toLocaleString("en")})`}</summary>
      <textarea
        aria-label="Numbers of latents"
        rows={3}
        placeholder="Paste numbers: 12, 57, 301"
        value={ids.value.join(", ")}
        onChange={(event) => read(event.currentTarget.value)}
      />
    </details>
  );
}
