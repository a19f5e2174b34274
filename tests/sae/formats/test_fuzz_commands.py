"""Damaged files given to the commands: exit code 2 and one line, or a result, never a traceback.

Of each kind of damage to each type of file there is one; test_fuzz.py has many more.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twinsae.cli.main import main

DATA = Path(__file__).parents[2] / "oracles" / "data"
# One case for each type of file, and the path of its SAE.
CASES = {
    "safetensors and json": ("sparsify-topk", "layers.6.mlp"),
    "npz": ("gemma-scope-1", "layer_12/width_16k/average_l0_82"),
    "pt": ("openai-topk", "8.pt"),
    "pth": ("goodfire", "Llama-3.1-8B-Instruct-SAE-l19.pth"),
    "shards": ("opensae-sharded", "OpenSAE-LLaMA-3.1-Layer_15"),
    "yaml": ("circuit-tracer-topk", "layer_0.safetensors"),
}
# Whatever else is damaged, a file that cannot be read at all must be refused.
UNREADABLE = ("cut", "noise", "all zeros", "gone")


def _one_of_each(damages: list[Any]) -> list[Any]:
    return list({(Path(d.file).suffix, d.kind): d for d in damages}.values())


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("case", "path"), CASES.values(), ids=CASES)
def test_a_damaged_file_is_one_line(
    case: str,
    path: str,
    tmp_path: Path,
    damages_of: Callable[[Path], list[Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, root = DATA / case / "files", tmp_path / "files"
    shutil.copytree(whole, root)
    match, *others = (
        ["match", str(root / path), str(whole / path), "--out", str(tmp_path / "match")],
        ["convert", str(root / path), str(tmp_path / "new"), "--to", "native"],
        ["list", str(root)],
    )
    codes: Counter[tuple[str, int]] = Counter()
    for number, damage in enumerate(_one_of_each(damages_of(whole))):
        file = root / damage.file
        content = damage.content()
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        for words in (match, others[number % 2]):
            what = f"{words[0]}, {damage.file}, {damage.name}"
            code = main(words)
            err = capsys.readouterr().err
            codes[words[0], code] += 1
            if code == 0:
                weights = not damage.file.endswith((".json", ".yaml"))
                unread = weights and damage.kind in UNREADABLE
                assert words[0] == "list" or not unread, what
                continue
            assert code == 2, what
            assert err.startswith("error: "), what
            assert err.count("\n") == 1, f"{what}: {err}"
            assert "Traceback" not in err, what
        shutil.copy(whole / damage.file, file)
    assert codes["match", 2] > 3
    assert codes["convert", 2] > 1
