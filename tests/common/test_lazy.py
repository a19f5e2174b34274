"""Names that a package imports when they are asked for."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from twinsae import sae
from twinsae.sae import activations

PACKAGES = (sae, activations)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_found_and_no_module_hides_it(package):
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert modules.isdisjoint(package.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'twinsae\.sae' has no attribute 'nothing'"):
        _ = sae.nothing
    with pytest.raises(ImportError, match="nothing"):
        from twinsae.sae import nothing  # noqa: F401
    assert import_module("twinsae.sae.plug") is sae.plug


def test_settings_come_without_torch():
    check = (
        "import sys\n"
        "from twinsae.sae import SAEConfig, TrainConfig\n"
        "from twinsae.sae.activations import HarvestConfig\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
