"""Standing in the repository's root must not shadow Hugging Face's `kernels` package.

transformers imports a top-level `kernels` when it finds one. Without an `__init__.py` our folder is
a mere namespace, which any real package beats and which transformers ignores.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

IMPORT_BOTH = """
import importlib.util, sys
import transformers, transformers.integrations.hub_kernels
import twinsae.sae, twinsae.kernels.topk
spec = importlib.util.find_spec("kernels")
assert spec is None or spec.origin is None, spec
loaded = sys.modules.get("kernels")
assert loaded is None or loaded.__file__ is None, loaded
"""

IMPORT_WITH_FAKE = """
import sys
sys.path.append(sys.argv[1])
import kernels, twinsae.kernels.topk
assert kernels.__file__ is not None and kernels.marker == "the real one", kernels
"""


def run_in_root(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    # -c puts the working folder first on sys.path, as a script in the root would.
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"PATH": "", "HF_HUB_OFFLINE": "1"}
    )


def test_transformers_does_not_import_our_folder():
    finished = run_in_root(IMPORT_BOTH)
    assert finished.returncode == 0, finished.stderr


def test_an_installed_kernels_package_wins_over_our_folder(tmp_path):
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "__init__.py").write_text('marker = "the real one"\n')
    finished = run_in_root(IMPORT_WITH_FAKE, str(tmp_path))
    assert finished.returncode == 0, finished.stderr
