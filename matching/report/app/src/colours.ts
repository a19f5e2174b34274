// The colour of each latent in the plot.

import { bitOf } from "./criteria.ts";
import { position, tickText } from "./scale.ts";
import type { View } from "./view.ts";

export interface Colouring {
  /** Place of each latent's colour in the palette. */
  colours: Uint8Array;
  palette: Uint8Array;
  /** Names of the first colours; or the two ends of a ramp. */
  legend:
    { kind: "names"; names: [string, string][] } | { kind: "ramp"; low: string; high: string; stops: string } | null;
}

// They stand out on white and on near-black alike, also without colour vision.
const BLUE = "#3f86c9";
const ORANGE = "#d9772e";
const GREY = "#868c96";
const PURPLE = "#9a6fc4";

const rgb = (hex: string) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export function colouring(view: View, bits: Uint32Array, name: string): Colouring {
  const column = view.columns.get(name);
  if (column) {
    const { scale, values } = column;
    const colours = new Uint8Array(values.length);
    for (let i = 0; i < colours.length; i++)
      colours[i] = values[i] === values[i] ? Math.round(position(scale, values[i]) * 254) : 255;
    return {
      colours,
      palette: ramp(),
      legend: {
        kind: "ramp",
        low: tickText(scale.low),
        high: tickText(scale.high),
        stops: `linear-gradient(to right, ${STOPS.join(", ")})`,
      },
    };
  }
  if (name === "groups")
    return grouped(
      bits,
      [
        ["and_equal", "same partner", BLUE],
        ["two_partners", "two partners", ORANGE],
        ["one_side", "one side", PURPLE],
      ],
      "neither",
    );
  if (name === "partners") return grouped(bits, [["equal", "same partner", BLUE]], "two partners", ORANGE);
  return { colours: new Uint8Array(bits.length), palette: Uint8Array.from(rgb(BLUE)), legend: null };
}

/** Latents with a group's bit have its colour; all others the last one. */
function grouped(bits: Uint32Array, groups: [string, string, string][], others: string, otherColour = GREY): Colouring {
  const colours = new Uint8Array(bits.length).fill(groups.length);
  groups.forEach(([name], place) => {
    const bit = bitOf(name);
    for (let i = 0; i < bits.length; i++) if (bits[i] & bit) colours[i] = place;
  });
  const names: [string, string][] = [
    ...groups.map(([, label, colour]): [string, string] => [label, colour]),
    [others, otherColour],
  ];
  return {
    colours,
    palette: Uint8Array.from(names.flatMap(([, colour]) => rgb(colour))),
    legend: { kind: "names", names },
  };
}

const STOPS = [PURPLE, BLUE, "#3c9a78", "#d8a22e", ORANGE];

/** 255 colours between the stops, and grey for what is unknown. */
function ramp(): Uint8Array {
  const stops = STOPS.map(rgb);
  const between = Array.from({ length: 255 }, (_, i) => {
    const place = (i / 254) * (stops.length - 1);
    const first = Math.min(stops.length - 2, Math.floor(place));
    return stops[first].map((part, c) => Math.round(part + (place - first) * (stops[first + 1][c] - part)));
  });
  return Uint8Array.from([...between.flat(), ...rgb(GREY)]);
}
