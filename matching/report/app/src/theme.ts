// Light or dark: as the system has it, until the user says otherwise.

import { effect, signal } from "@preact/signals";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "twinsae-theme";

/** All pages from one disk share this storage, so it holds nothing else. */
function stored(): Theme {
  try {
    return THEMES.find((name) => name === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system"; // A browser may forbid the storage.
  }
}

export const theme = signal<Theme>(stored());
/** Grows with each change of colours, the system's too: a canvas has to be drawn anew. */
export const repaint = signal(0);

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, theme.peek());
  } catch {
    // The choice then lasts as long as the page.
  }
}

export function startTheme(): void {
  effect(() => {
    if (theme.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
    repaint.value = repaint.peek() + 1;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint.value++);
}
