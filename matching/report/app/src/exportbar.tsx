// Below the list: what one can take along of it.

import { signal } from "@preact/signals";
import { manifest } from "./data.ts";
import { csv, idsText, json, python, type Provenance } from "./export.ts";
import { link } from "./history.ts";
import { labelText } from "./labels.ts";
import { rows } from "./rows.ts";
import { save } from "./save.ts";
import { show, threshold } from "./state.ts";
import { view, type View } from "./view.ts";

const said = signal("");

export function ExportBar() {
  const copy = (what: string, text: string) =>
    navigator.clipboard.writeText(text).then(
      () => (said.value = `${what} copied`),
      () => (said.value = "The browser does not allow it."),
    );
  const file = (kind: "csv" | "json") => {
    const shown = view.peek()!;
    const write = kind === "csv" ? csv : json;
    save(
      `latents.${kind}`,
      write(provenance(shown), [...shown.columns.values()], rows.peek(), labelText),
      kind === "csv" ? "text/csv" : "application/json",
    );
  };
  const saes = manifest().saes;
  return (
    <footer class="export">
      <button class="link" onClick={() => file("csv")}>
        CSV
      </button>
      <button class="link" onClick={() => file("json")}>
        JSON
      </button>
      <button
        class="link"
        title="The numbers of the list's latents alone"
        onClick={() => save("latents.txt", idsText(rows.peek()), "text/plain")}
      >
        ids
      </button>
      <button class="link" onClick={() => copy("Link", link())}>
        Copy link
      </button>
      <button
        class="link"
        title="Code that takes the list's latents out of the SAE"
        onClick={() => copy("Code", python(saes[view.peek()!.base].path, link(), rows.peek()))}
      >
        Copy as Python
      </button>
      <small role="status">{said.value}</small>
    </footer>
  );
}

function provenance({ base, other }: View): Provenance {
  const { saes, pairs, twinsae, title } = manifest();
  const { matchings } = pairs.find(({ a, b }) => a === Math.min(base, other) && b === Math.max(base, other))!;
  const found: Provenance = {
    title,
    twinsae,
    latents_of: saes[base].name,
    latents_of_sha256: saes[base].sha256,
    matched_with: saes[other].name,
    matched_with_sha256: saes[other].sha256,
    threshold: threshold.peek(),
    show: show.peek().join(" and ") || "all",
    view: link().replace(/.*#/, "#"),
  };
  for (const [side, sha256] of Object.entries(matchings)) found[`${side}_matching_sha256`] = sha256;
  return found;
}
