"""Takes the manual's pictures of a report: `make web-screenshots`."""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from .browser_views import SCHEMES, SIZES, show_views

# Latents that are surely shared and fire neither seldom nor always.
ADDRESS = "#show=and_equal&fires_per_million=1000:60000&sort=-decoder"


def write_picture(picture: bytes, file: Path) -> None:
    """Write it with 256 colours, which is a third of the size."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}  {file.stat().st_size / 1000:.0f} KB")


def main(report: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=False
        )
        for size, (width, height) in SIZES.items():
            for scheme in SCHEMES:
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                page.goto((report / "index.html").resolve().as_uri())
                write_picture(page.screenshot(), out / f"overview-{size}-{scheme}.png")
                page.goto((report / "latents.html").resolve().as_uri())
                for view in show_views(page, size, ADDRESS):
                    write_picture(page.screenshot(), out / f"{view}-{size}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder with index.html and latents.html")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    main(given.report, given.out)
