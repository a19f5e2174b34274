// Which columns the list shows, and by which it is sorted.

import { sortBy } from "./actions.ts";
import { chosenNames, possibleColumns, usualNames } from "./cells.tsx";
import { filters } from "./rows.ts";
import { columnNames, filtersOpen, sort } from "./state.ts";

export function ListBar() {
  const optional = possibleColumns.value.filter(({ name }) => name !== "id" && name !== "label");
  const sortable = possibleColumns.value.filter(({ kind }) => kind !== "partner" && kind !== "dots");
  const toggle = (name: string) => {
    const chosen = chosenNames.peek();
    columnNames.value = chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name];
  };
  const { column, down } = sort.value;
  return (
    <div class="toolbar">
      <button class="fold" aria-expanded={filtersOpen.value} onClick={() => (filtersOpen.value = !filtersOpen.value)}>
        Filters{filters.value.length > 0 && ` (${filters.value.length})`}
      </button>
      <label>
        Sort by{" "}
        <select value={column} onChange={(event) => sortBy(event.currentTarget.value)}>
          {sortable.map(({ name, numbers, short }) => (
            <option key={name} value={name}>
              {numbers?.label ?? short}
            </option>
          ))}
        </select>
      </label>
      <button
        aria-label={down ? "Falling; make it rising" : "Rising; make it falling"}
        onClick={() => (sort.value = { column, down: !down })}
      >
        {down ? "↓" : "↑"}
      </button>
      <details class="menu">
        <summary>Columns</summary>
        <div class="panel">
          {optional.map(({ name, short, help, numbers }) => (
            <label key={name} title={help}>
              <input type="checkbox" checked={chosenNames.value.includes(name)} onChange={() => toggle(name)} />{" "}
              {numbers?.label ?? short}
            </label>
          ))}
          <button
            class="link"
            onClick={() => (columnNames.value = null)}
            disabled={chosenNames.value === usualNames.value}
          >
            the usual ones
          </button>
        </div>
      </details>
    </div>
  );
}
