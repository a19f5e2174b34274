// The page's keys. Keys that move in the list work wherever no other control needs them.

import { chooseOther, close, cursor, openRow, step, togglePin } from "./actions.ts";
import { rows } from "./rows.ts";
import { box, helpOpen, latent } from "./state.ts";

export const KEYS: [string, string][] = [
  ["/", "search"],
  ["j  k  ↓  ↑", "move in the list"],
  ["PageUp  PageDown  Home  End", "move far in the list"],
  ["Enter", "open the latent"],
  ["[  ]", "open the previous or next latent of the list"],
  ["x", "pin the latent"],
  ["1 – 9", "compare with another SAE"],
  ["Esc", "close what is open, then clear the plot's selection"],
  ["?", "this help"],
];

export const SEARCH = "search";
export const GRID = "grid";

const focus = (id: string) => document.getElementById(id)?.focus();

/** Rows that the list shows at once. */
export const page = { rows: 20 };

function move(key: string): boolean {
  const last = rows.peek().length - 1;
  const steps: Record<string, number> = {
    ArrowDown: 1,
    j: 1,
    ArrowUp: -1,
    k: -1,
    PageDown: page.rows,
    PageUp: -page.rows,
    Home: -last,
    End: last,
  };
  if (!(key in steps)) return false;
  cursor.value = Math.max(0, Math.min(last, cursor.peek() + steps[key]));
  return true;
}

function command(key: string): boolean {
  if (key === "/") focus(SEARCH);
  else if (key === "?") helpOpen.value = true;
  else if (key === "[" || key === "]") step(key === "[" ? -1 : 1);
  else if (key === "x") pin();
  else if (/^[1-9]$/.test(key)) chooseOther(Number(key) - 1);
  else if (key === "j" || key === "k") move(key);
  else return false;
  return true;
}

function pin(): void {
  const chosen = latent.peek() ?? rows.peek()[cursor.peek()];
  if (chosen !== undefined) togglePin(chosen);
}

function escape(): void {
  if (latent.peek() !== null) {
    close();
    focus(GRID);
  } else {
    box.value = null;
  }
}

/** Keys of the list itself, while it has the focus. */
export function onGridKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter") openRow(cursor.peek());
  else if (event.key.length === 1 || !move(event.key)) return;
  event.preventDefault();
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, select, textarea");
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || helpOpen.peek()) return;
  if (event.key === "Escape") {
    if (isTyping(event.target)) focus(GRID);
    else escape();
  } else if (isTyping(event.target) || !command(event.key)) return;
  event.preventDefault();
}

export function startKeys(): void {
  addEventListener("keydown", onKey);
}
