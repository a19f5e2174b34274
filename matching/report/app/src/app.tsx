// The page: its parts, and the order in which they start.

import { render } from "preact";
import "./app.css";
import { startCursor } from "./actions.ts";
import { receive } from "./chunks.ts";
import { ListBar } from "./columnmenu.tsx";
import { manifest, openManifest } from "./data.ts";
import { ExportBar } from "./exportbar.tsx";
import { GroupFilters, NumberFilters } from "./filters.tsx";
import { Header } from "./header.tsx";
import { Help } from "./help.tsx";
import { startHistory } from "./history.ts";
import { startKeys } from "./keys.ts";
import { LatentPanel } from "./latent.tsx";
import { List } from "./list.tsx";
import { MissingParts } from "./missing.tsx";
import { Plot } from "./plot.tsx";
import { Splitter, detailWidth } from "./splitter.tsx";
import { filtersOpen, latent, tab, type Tab } from "./state.ts";
import { startTheme } from "./theme.ts";
import { failure, startLoading, startTexts, view } from "./view.ts";

const TABS: [Tab, string][] = [
  ["list", "List"],
  ["plot", "Plot"],
  ["latent", "Latent"],
];

function App() {
  if (!view.value)
    return (
      <p class="loading" role={failure.value ? "alert" : "status"}>
        {failure.value ?? "Loading…"}
      </p>
    );
  return (
    <>
      <Header />
      {failure.value && (
        <p class="failure" role="alert">
          {failure.value}{" "}
          <button class="link" onClick={() => (failure.value = null)}>
            dismiss
          </button>
        </p>
      )}
      <nav aria-label="Views">
        <div class="tabs" role="tablist">
          {TABS.map(([name, label]) => (
            <button key={name} role="tab" aria-selected={tab.value === name} onClick={() => (tab.value = name)}>
              {label}
            </button>
          ))}
        </div>
      </nav>
      <main
        data-tab={tab.value}
        class={`${latent.value === null ? "" : "open"} ${filtersOpen.value ? "filtering" : ""}`}
        style={{ "--detail": detailWidth.value }}
      >
        <div class="side">
          <GroupFilters />
          <Plot />
          <NumberFilters />
          <MissingParts />
        </div>
        <div class="middle">
          <ListBar />
          <List />
          <ExportBar />
        </div>
        {latent.value !== null && <Splitter />}
        <LatentPanel />
      </main>
      <Help />
    </>
  );
}

(window as unknown as { twinsae: typeof receive }).twinsae = receive;
startTheme();
const root = document.getElementById("app")!;
openManifest().then(
  () => {
    document.title = `Latents of ${manifest().title}`;
    startHistory();
    startLoading();
    startCursor();
    startKeys();
    render(<App />, root);
    // The first view can do without the texts, and is there sooner if they are unpacked after it.
    const stop = view.subscribe((loaded) => {
      if (loaded) requestAnimationFrame(() => setTimeout(() => (stop(), startTexts())));
    });
  },
  (error: Error) => (root.textContent = error.message),
);
