"""The manual's pages, and what must agree with them."""

import re
import tomllib
from pathlib import Path

import pytest
import twinsae.kernels.autoencode
import twinsae.kernels.decode
import twinsae.kernels.grads
import twinsae.kernels.topk
import twinsae.matching
import twinsae.matching.schema
import twinsae.sae
import twinsae.sae.activations
import twinsae.sae.contexts
import twinsae.sae.evaluation
import twinsae.sae.firing
import twinsae.sae.plug
import twinsae.sweep

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MODULES = {
    "matching": [twinsae.matching],
    "match-files": [twinsae.matching.schema],
    "sae": [twinsae.sae],
    "activations": [twinsae.sae.activations],
    "contexts": [twinsae.sae.contexts],
    "evaluation": [twinsae.sae.evaluation],
    "firing": [twinsae.sae.firing],
    "plug": [twinsae.sae.plug],
    "sweep": [twinsae.sweep],
    "kernels": [
        twinsae.kernels.topk,
        twinsae.kernels.decode,
        twinsae.kernels.grads,
        twinsae.kernels.autoencode,
    ],
}


@pytest.mark.parametrize("page", MODULES)
def test_the_reference_names_everything_public(page: str):
    named = re.findall(r"^::: (\S+)", (DOCS / "reference" / f"{page}.md").read_text(), re.MULTILINE)
    public = {name for module in MODULES[page] for name in module.__all__}
    assert public <= {path.rpartition(".")[2] for path in named}
    assert len(named) == len(set(named))


def test_the_navigation_has_every_page():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\ntheme:")[0]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md"))


def test_nothing_is_fetched_from_a_network():
    own = [ROOT / "mkdocs.yml", *(DOCS / "assets").iterdir()]
    used = "".join(path.read_text() for path in own).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in used
    assert not re.search(r"!\[[^]]*\]\(http|<img[^>]*src=.http", _all_text())


def test_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 130
    links = re.findall(r"\]\((?!http)([^)#]+)", readme) + re.findall(r'src="([^"]+)"', readme)
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version = {{{version}}}" in (ROOT / "README.md").read_text()


def _all_text() -> str:
    return "".join(page.read_text() for page in DOCS.rglob("*.md"))
