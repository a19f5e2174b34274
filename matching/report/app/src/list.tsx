// The list: as many rows as there are latents, of which only those in sight are in the page.

import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { cursor, openPlace, openRow, sortBy } from "./actions.ts";
import { Cell, shownColumns, templateOf, widthOf, type ListColumn } from "./cells.tsx";
import { Empty } from "./empty.tsx";
import { GRID, onGridKey, page } from "./keys.ts";
import { rows } from "./rows.ts";
import { pins, sort } from "./state.ts";
import { view } from "./view.ts";

const ROW = 28;
const HEAD = 32;
/** At both ends of a row. */
const PADDING = 8;
/** Rows that are drawn before they come into sight. */
const AHEAD = 6;

const top = signal(0);
const height = signal(600);

export function List() {
  const grid = useRef<HTMLDivElement>(null);
  useEffect(() => watchHeight(grid.current!), []);
  // Keeps the cursor in sight, whatever moved it.
  useEffect(() => cursor.subscribe((place) => grid.current && scrollTo(grid.current, place)), []);
  const columns = shownColumns.value;
  const count = rows.value.length;
  const first = Math.max(0, Math.floor(top.value / ROW) - AHEAD);
  const last = Math.min(count, Math.ceil((top.value + height.value) / ROW) + AHEAD);
  // A row that leaves at one end is used again at the other, which is faster than making a new one.
  const slots = Math.ceil(height.value / ROW) + 2 * AHEAD + 1;
  const inSight = Array.from({ length: slots }, (_, slot) => first + ((((slot - first) % slots) + slots) % slots));
  const at = cursor.value;
  return (
    <div class="list">
      <div
        class="grid"
        id={GRID}
        role="grid"
        aria-label="Latents"
        aria-rowcount={count + 1}
        aria-colcount={columns.length}
        tabIndex={0}
        ref={grid}
        aria-activedescendant={at >= first && at < last ? `row-${at}` : undefined}
        style={{ "--columns": templateOf(columns), "--least": `${widthOf(columns) + 2 * PADDING}px` }}
        onScroll={(event) => (top.value = event.currentTarget.scrollTop)}
        onKeyDown={onGridKey}
      >
        <div class="row head" role="row" aria-rowindex={1}>
          {columns.map((column) => (
            <Head key={column.name} column={column} />
          ))}
        </div>
        <div class="rows" role="rowgroup" style={{ height: `${count * ROW}px` }}>
          {inSight.map((place, slot) => place < last && <Row key={slot} place={place} columns={columns} />)}
        </div>
      </div>
      {count === 0 && view.value && <Empty />}
    </div>
  );
}

function Head({ column }: { column: ListColumn }) {
  const { column: sorted, down } = sort.value;
  const isSorted = sorted === column.sortsBy;
  // The menu "Columns" sorts by keyboard: the list stays one stop of the Tab key.
  return (
    <div
      role="columnheader"
      data-column={column.name}
      class={column.kind}
      title={column.help}
      aria-sort={isSorted ? (down ? "descending" : "ascending") : "none"}
    >
      {column.sortsBy ? (
        <button tabIndex={-1} onClick={() => sortBy(column.sortsBy!)}>
          {column.short}
          <i>{isSorted ? (down ? "↓" : "↑") : ""}</i>
        </button>
      ) : (
        column.short
      )}
    </div>
  );
}

function Row({ place, columns }: { place: number; columns: ListColumn[] }) {
  const latent = rows.value[place];
  const marks = [place === cursor.value && "cursor", pins.value.includes(latent) && "pinned"].filter(Boolean).join(" ");
  return (
    <div
      class={`row ${marks}`}
      role="row"
      id={`row-${place}`}
      data-latent={latent}
      aria-rowindex={place + 2}
      aria-selected={place === openPlace.value}
      style={{ transform: `translateY(${place * ROW}px)` }}
      onClick={() => openRow(place)}
    >
      {columns.map((column) => (
        <div key={column.name} role="gridcell" data-column={column.name} class={column.kind}>
          <Cell column={column} latent={latent} />
        </div>
      ))}
    </div>
  );
}

function watchHeight(grid: HTMLElement): () => void {
  const observer = new ResizeObserver(() => {
    height.value = grid.clientHeight;
    page.rows = Math.max(1, Math.floor((grid.clientHeight - HEAD) / ROW) - 1);
  });
  observer.observe(grid);
  return () => observer.disconnect();
}

function scrollTo(grid: HTMLElement, place: number): void {
  const above = place * ROW;
  const below = above + ROW + HEAD - grid.clientHeight;
  if (above < grid.scrollTop) grid.scrollTop = above;
  else if (below > grid.scrollTop) grid.scrollTop = below;
}
