"""Times the latent browser in a headless Chromium, from disk, and its folder: `make bench-browser`.

Each timing ends at the painted frame that shows what the action should bring about: the counts and
the order that numpy finds, or all contexts of a latent and of its counterpart. Beside it stands the
time that the page's main thread worked, which other programs on the machine disturb less.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from .planted_browser import Planted, found_by, plant
from .planted_pairs import criteria

PAINTED = """
const painted = () => new Promise(done => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = done;
  channel.port2.postMessage(0);
}));
const count = () => document.getElementById('count')?.textContent.replaceAll(',', '') ?? '';
const rows = () => [...document.querySelectorAll('[role=grid] [data-latent]')];
const contexts = name => [...document.querySelectorAll(`article[aria-label="${name}"] .context`)]
  .filter(context => context.querySelector('mark')).length;
const first = () => rows()[0]?.dataset.latent;
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
  while (!(rows().length > 10 && count())) await painted();
  return performance.now();
}"""
# 600 px a frame, then jumps all over the list.
SCROLL = """async () => { %s
  const frames = [], grid = document.querySelector('[role=grid]');
  await painted();
  let last = performance.now();
  for (let i = 0; i < 200; i++) {
    if (i < 120) grid.scrollTop += 600;
    else grid.scrollTop = (i * 7919 %% 1000) / 1000 * (grid.scrollHeight - grid.clientHeight);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  await painted();
  const box = grid.getBoundingClientRect();
  const inside = rows().filter(row => row.getBoundingClientRect().top < box.bottom
                                 && row.getBoundingClientRect().bottom > box.top);
  return { frames, shown: inside.length, top: grid.scrollTop };
}"""


class Timing(NamedTuple):
    wall: float  # ms
    busy: float
    """Of the page's main thread, in ms of CPU time."""


class Meter:
    """A page of the planted folder, opened in a fresh context."""

    def __init__(self, browser: Browser, planted: Planted):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: print("page error:", error))
        self._session = context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        address = (planted.folder / "latents.html").as_uri()
        self.page.goto(address, wait_until="commit")
        self.first_view = Timing(self.page.evaluate(LOADED % PAINTED), self._busy())

    def _busy(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def timed(self, act: str, effect: str) -> Timing:
        """Run the statements ``act`` and wait until the expression ``effect`` holds."""
        before = self._busy()
        took = self.page.evaluate(TIMED % (PAINTED, f"() => {{ {act} }}", effect))
        if isinstance(took, str):
            raise SystemExit(f"{act}: {took}; expected {effect}")
        return Timing(took, self._busy() - before)

    def scroll(self) -> list[Timing]:
        before = self._busy()
        found = self.page.evaluate(SCROLL % PAINTED)
        if found["shown"] < 10 or found["top"] < 10_000:
            raise SystemExit(f"scrolling: {found['shown']} rows are shown at {found['top']} px")
        busy = (self._busy() - before) / len(found["frames"])
        return [Timing(frame, busy) for frame in found["frames"][3:]]


def shows(count: int) -> str:
    return f"count().startsWith('{count} of')"


def filters(meter: Meter, planted: Planted) -> list[Timing]:
    masks = criteria(planted.pairs[0, 1])
    times = []
    for name in ("and", "and_equal", "decoder", "max_encoder") * 3:
        click = f"document.querySelector('[data-group={name}]').click()"
        times.append(meter.timed(click, shows(int(masks[name].sum()))))
        times.append(meter.timed(click, shows(len(masks[name]))))
    return times


def sorts(meter: Meter, planted: Planted) -> list[Timing]:
    pair = planted.pairs[0, 1]
    of = {"decoder": pair["decoder.cosine"], "encoder": pair["encoder.cosine"]}
    of["fires_per_million"] = planted.columns[0]["fires_per_million"]
    times = []
    for name in [*of] * 4:
        best = int(np.nan_to_num(of[name], nan=-9).argmax())
        click = f"document.querySelector('[data-column={name}] button').click()"
        times.append(meter.timed(click, f"first() == '{best}'"))
    return times


def searches(meter: Meter, planted: Planted) -> list[Timing]:
    """Type numbers key by key, which the planted words end with, and then a word."""
    times = []
    for text in ("1", "12", "120", "1204", "4", "47", "471", "4711", "wea", "brac") * 2:
        act = (
            "const box = document.querySelector('input[type=search]');"
            f"box.value = '{text}'; box.dispatchEvent(new InputEvent('input', {{bubbles: true}}))"
        )
        times.append(meter.timed(act, shows(int(found_by(planted, 0, text).sum()))))
    meter.page.fill("input[type=search]", "")
    return times


def details(meter: Meter, planted: Planted) -> list[Timing]:
    """Open latents of which all contexts exist on both sides, in chunks not loaded before."""
    partner = planted.pairs[0, 1]["decoder.partner"]
    numbers = [np.diff(one["context_offsets"].astype(int)) for one in planted.contexts[:2]]
    full = (partner >= 0) & (numbers[0] == 30) & (numbers[1][partner] == 30)
    meter.page.goto(meter.page.url.split("#")[0] + "#base=seed0&with=seed1")
    times = []
    for latent in np.flatnonzero(full)[:: max(1, full.sum() // 20)][:20]:
        row = f"document.querySelector('[role=grid] [data-latent=\"{latent}\"]')"
        meter.timed(f"document.querySelector('[role=grid]').scrollTop = 28 * {latent}", row)
        articles = [f"latent {latent} of seed0", f"latent {partner[latent]} of seed1"]
        effect = " && ".join(f"contexts('{article}') === 30" for article in articles)
        times.append(meter.timed(f"{row}.click()", effect))
        meter.page.wait_for_timeout(300)  # until nothing is left to be done
    return times


def report(name: str, times: list[Timing], bar: float) -> None:
    walls = sorted(time.wall for time in times)
    median, p95 = statistics.median(walls), walls[int(0.95 * (len(walls) - 1))]
    busy = statistics.median(time.busy for time in times)
    judged = walls[-1] if name == "scroll, a frame" else median
    held = "held" if judged <= bar else "MISSED"
    print(
        f"{name:16} n {len(walls):4}  median {median:6.1f}  p95 {p95:6.1f}  longest"
        f" {walls[-1]:6.1f}  main thread {busy:6.1f}  bar {bar:5} ms  {held}",
        flush=True,
    )


def folder_bytes(planted: Planted) -> float:
    """Return the bytes a latent and SAE, beside contexts and what belongs to the text."""
    files = (planted.folder / "data").rglob("*.js")
    counted = [file for file in files if not file.name.startswith(("contexts", "corpus"))]
    latents = sum(sae["num_latents"] for sae in planted.manifest["saes"])
    return sum(file.stat().st_size for file in counted) / latents


def measure(planted: Planted) -> None:
    print(
        f"{folder_bytes(planted):.0f} bytes a latent and SAE beside contexts; bar 400", flush=True
    )
    views = []
    with sync_playwright() as playwright:
        for _ in range(5):
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), chromium_sandbox=False
            )
            meter = Meter(browser, planted)
            views.append(meter.first_view)
            if len(views) < 5:
                browser.close()
        report("first view", views, 2000)
        meter.page.wait_for_timeout(3000)  # until texts have come, too
        report("filter", filters(meter, planted), 100)
        report("sort", sorts(meter, planted), 100)
        report("search, a key", searches(meter, planted), 100)
        report("scroll, a frame", meter.scroll(), 50)
        report("open a latent", details(meter, planted), 150)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=131_072, help="of each SAE")
    parser.add_argument("--saes", type=int, nargs="+", default=[2, 9], help="a folder for each")
    given = parser.parse_args()
    for saes in given.saes:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{saes} SAEs of {given.latents:,} latents", flush=True)
            sizes = [given.latents] * saes
            measure(plant(Path(folder), sizes, tokens=2_000_000, words=49_140))
