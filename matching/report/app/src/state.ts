// What the user has chosen. All of it is in the page's address, except the theme and the phone's tab.

import { signal } from "@preact/signals";
import type { Range } from "./filter.ts";

export interface Sort {
  column: string;
  down: boolean;
}

export interface Axes {
  x: string;
  y: string;
  colour: string;
  /** Logarithmic. */
  logX: boolean;
  logY: boolean;
}

export interface Box {
  x: Range;
  y: Range;
}

export interface Choices {
  /** Numbers of SAEs. */
  base: number;
  other: number;
  /** Names of groups. */
  show: string[];
  threshold: number;
  ranges: Record<string, Range>;
  ids: number[];
  query: string;
  sort: Sort;
  latent: number | null;
  pins: number[];
  axes: Axes;
  box: Box | null;
  /** Names of the list's columns; null: the usual ones. */
  columns: string[] | null;
}

export const JOINT: Axes = { x: "decoder", y: "encoder", colour: "partners", logX: false, logY: false };

export const base = signal(0);
export const other = signal(0);
export const show = signal<string[]>([]);
export const threshold = signal(0.7);
export const ranges = signal<Record<string, Range>>({});
export const ids = signal<number[]>([]);
export const query = signal("");
export const sort = signal<Sort>({ column: "id", down: false });
export const latent = signal<number | null>(null);
export const pins = signal<number[]>([]);
export const axes = signal<Axes>(JOINT);
export const box = signal<Box | null>(null);
export const columnNames = signal<string[] | null>(null);

export type Tab = "list" | "plot" | "latent";
export const tab = signal<Tab>("list");
/** Where there is little room, filters and plot fold away. */
export const filtersOpen = signal(false);
export const helpOpen = signal(false);
