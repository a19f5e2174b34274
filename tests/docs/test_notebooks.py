"""The notebooks run from the first cell to the last, and are committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
PRINTED = {
    "match_two_saes": ("proved optimal: True", "proved again: True", "twins: 100%"),
    "train_two_seeds": ("and_equal", "match/report/index.html"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRINTED))
def test_a_notebook_runs(name: str, tmp_path: Path):
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    assert all(expected in printed for expected in PRINTED[name])
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert not any(output.get("name") == "stderr" for output in outputs)


def test_notebooks_are_committed_without_outputs():
    paths = sorted(EXAMPLES.glob("*.ipynb"))
    assert [path.stem for path in paths] == sorted(PRINTED)
    for path in paths:
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
