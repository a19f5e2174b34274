"""Times the latent browser in a headless Chromium, from disk, and its folder: `make bench-browser`.

Each timing ends at the painted frame that shows what the action should bring about: the counts and
the order that numpy finds, or all contexts of a latent and of its counterpart.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from .planted_browser import Planted, plant
from .planted_pairs import criteria

BARS = {
    "first view, ms": 2000,
    "filter, ms": 100,
    "sort, ms": 100,
    "search, each key, ms": 100,
    "scroll, frame, ms": 50,
    "open a latent, ms": 150,
    "bytes a latent and SAE": 400,
}

PAINTED = """
const painted = () => new Promise(done => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = done;
  channel.port2.postMessage(0);
}));
const count = () => document.getElementById('count')?.textContent ?? '';
const first = () => document.querySelector('[role=grid] [data-latent]')?.dataset.latent;
"""
# Acts, and returns how long it took until a painted frame showed the effect.
TIMED = """async () => { %s
  const start = performance.now();
  (%s)();
  do {
    await painted();
    if (performance.now() - start > 10000) return 'nothing came: ' + count();
  } while (!(%s));
  return performance.now() - start;
}"""
LOADED = """async () => { %s
  while (!(%s)) await painted();
  return performance.now();
}"""
SCROLL = """async () => { %s
  const frames = [], grid = document.querySelector('[role=grid]');
  const scroller = [grid, ...grid.querySelectorAll('*')].find(e => e.scrollHeight > 1e5);
  await painted();
  let last = performance.now();
  for (let i = 0; i < 200; i++) {
    scroller.scrollTop += i < 120 ? 600 : (i * 7919 %% 1000) / 1000 * 3e6 - scroller.scrollTop;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  await painted();
  const rows = [...grid.querySelectorAll('[data-latent]')];
  const box = scroller.getBoundingClientRect();
  const inside = rows.filter(row => row.getBoundingClientRect().top < box.bottom
                                 && row.getBoundingClientRect().bottom > box.top);
  return { frames, shown: inside.length, top: scroller.scrollTop };
}"""


def timed(page: Page, act: str, effect: str) -> float:
    took = page.evaluate(TIMED % (PAINTED, f"() => {{ {act} }}", effect))
    if isinstance(took, str):
        raise SystemExit(f"{act}: {took}; expected {effect}")
    return float(took)


def shows(count: int) -> str:
    return f"count().replaceAll(',', '').startsWith('{count} of')"


def open_browser(browser: Browser, page_file: Path) -> tuple[Page, float]:
    """Open it in a fresh context and return the page and its first view's time."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.on("pageerror", lambda error: print("page error:", error))
    page.goto(page_file.as_uri(), wait_until="commit")
    ready = "document.querySelectorAll('[role=grid] [data-latent]').length > 10 && count()"
    return page, float(page.evaluate(LOADED % (PAINTED, ready)))


def filters(page: Page, planted: Planted) -> list[float]:
    masks = criteria(planted.pairs[0, 1])
    click = "document.querySelector('[data-group={}]').click()"
    times = []
    for name in ("and", "and_equal", "decoder", "max_encoder") * 3:
        times.append(timed(page, click.format(name), shows(int(masks[name].sum()))))
        timed(page, click.format(name), shows(len(masks[name])))
    return times


def sorts(page: Page, planted: Planted) -> list[float]:
    columns = planted.pairs[0, 1]
    of = {"decoder": columns["decoder.cosine"], "encoder": columns["encoder.cosine"]}
    of["fires_per_million"] = planted.columns[0]["fires_per_million"]
    times = []
    for name in [*of] * 3:
        values = np.nan_to_num(of[name], nan=-9)
        best = int(values.argmax())
        header = f"document.querySelector('[role=columnheader][data-column=\"{name}\"] button')"
        times.append(timed(page, f"{header}.click()", f"first() == '{best}'"))
    return times


def searches(page: Page) -> list[float]:
    """Type a word key by key; each key must change the count."""
    times = []
    for text in ("w", "we", "wea", "weat", "", "b", "br", "bra", "brac", "") * 2:
        act = (
            "window.last = count(); const box = document.querySelector('input[type=search]');"
            f"box.value = {json.dumps(text)};"
            "box.dispatchEvent(new InputEvent('input', {bubbles: true}))"
        )
        times.append(timed(page, act, "count() !== window.last"))
    return times


def scroll(page: Page) -> list[float]:
    found = page.evaluate(SCROLL % PAINTED)
    if found["shown"] < 10 or found["top"] < 10_000:
        raise SystemExit(f"scrolling: {found['shown']} rows are shown at {found['top']} px")
    return list(found["frames"][3:])


def details(page: Page, planted: Planted) -> list[float]:
    """Open latents of which all contexts exist on both sides, each in chunks not loaded before."""
    partner = planted.pairs[0, 1]["decoder.partner"]
    numbers = [
        np.diff(contexts["context_offsets"].astype(int)) for contexts in planted.contexts[:2]
    ]
    full = (partner >= 0) & (numbers[0] == 30) & (numbers[1][partner] == 30)
    chosen = np.flatnonzero(full)[:: max(1, full.sum() // 20)][:20]
    times = []
    for latent in chosen:
        lines = [
            f'document.querySelectorAll(\'[data-sae="{sae}"][data-latent="{of}"] [data-position]\')'
            for sae, of in ((0, latent), (1, partner[latent]))
        ]
        effect = " && ".join(
            f"{found}.length === 30 && [...{found}].every(line => line.querySelector('mark'))"
            for found in lines
        )
        act = f"location.hash = location.hash.replace(/[#&]?latent=\\d+/, '') + '&latent={latent}'"
        times.append(timed(page, act, effect))
    return times


def report(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95, bar = ordered[int(0.95 * (len(ordered) - 1))], BARS[name]
    worst = ordered[-1] if "frame" in name else statistics.median(ordered)
    print(
        f"{name:24} n {len(ordered):4}  median {statistics.median(ordered):8.1f}  p95 {p95:8.1f}"
        f"  longest {ordered[-1]:8.1f}  bar {bar:5}  {'held' if worst <= bar else 'MISSED'}"
    )


def folder_bytes(planted: Planted) -> float:
    files = (planted.folder / "data").rglob("*.js")
    counted = [file for file in files if not file.name.startswith(("contexts", "corpus", "text"))]
    latents = sum(sae["num_latents"] for sae in planted.manifest["saes"])
    return sum(file.stat().st_size for file in counted) / latents


def measure(planted: Planted) -> None:
    report("bytes a latent and SAE", [folder_bytes(planted)])
    steps = {
        "filter, ms": lambda page: filters(page, planted),
        "sort, ms": lambda page: sorts(page, planted),
        "search, each key, ms": searches,
        "scroll, frame, ms": scroll,
        "open a latent, ms": lambda page: details(page, planted),
    }
    with sync_playwright() as playwright:
        views = []
        for _ in range(5):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), chromium_sandbox=False
            )
            page, view = open_browser(browser, planted.folder / "latents.html")
            views.append(view)
            if len(views) < 5:
                browser.close()
        report("first view, ms", views)
        page.wait_for_timeout(2000)  # what loads after the first view, has loaded
        for name, step in steps.items():
            report(name, step(page))
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=131_072)
    parser.add_argument("--saes", type=int, nargs="+", default=[2, 9])
    given = parser.parse_args()
    for saes in given.saes:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{saes} SAEs of {given.latents:,} latents")
            sizes = [given.latents] * saes
            measure(plant(Path(folder), sizes, tokens=2_000_000, words=49_140))
