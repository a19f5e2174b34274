// The plot's selection as numbers: what dragging does, for the keyboard.

import type { Range } from "./filter.ts";
import { box } from "./state.ts";

const OPEN: Range = { low: null, high: null };

export function Selection() {
  const field = (axis: "x" | "y", end: "low" | "high") => (
    <input
      type="number"
      step="any"
      aria-label={`Selection ${axis === "x" ? "across" : "up"}, ${end === "low" ? "at least" : "at most"}`}
      placeholder={end === "low" ? "from" : "to"}
      value={box.value?.[axis][end] ?? ""}
      onChange={(event) => setEnd(axis, end, event.currentTarget.value)}
    />
  );
  return (
    <div class="selection" role="group" aria-label="Selection in the plot">
      <span class="fields">
        across {field("x", "low")} – {field("x", "high")}
      </span>
      <span class="fields">
        up {field("y", "low")} – {field("y", "high")}
      </span>
      {box.value && (
        <button class="link" onClick={() => (box.value = null)}>
          clear
        </button>
      )}
    </div>
  );
}

function setEnd(axis: "x" | "y", end: "low" | "high", text: string): void {
  const before = box.peek() ?? { x: OPEN, y: OPEN };
  const chosen = { ...before, [axis]: { ...before[axis], [end]: text === "" ? null : Number(text) } };
  box.value = [chosen.x, chosen.y].every(({ low, high }) => low === null && high === null) ? null : chosen;
}
