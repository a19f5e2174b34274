"""The table of names that the package carries is sae-lens' own registry."""

import importlib.util
from pathlib import Path

import pytest
from twinsae.sae.hub import saelens_names

pytestmark = pytest.mark.peers


def test_all_rows_are_those_of_the_installed_registry():
    spec = importlib.util.spec_from_file_location(
        "names", Path(__file__).with_name("saelens_names.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    registry = module.read_registry()
    found = saelens_names.table()
    assert found["sae_lens"] == registry["sae_lens"]
    assert found["notice"] == registry["notice"]
    assert found["releases"].keys() == registry["releases"].keys()
    for release, rows in registry["releases"].items():
        assert found["releases"][release] == rows
