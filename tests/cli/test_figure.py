"""`twinsae figure` has every figure, and passes on what it is told."""

from pathlib import Path
from typing import get_args

import pytest
from twinsae.cli.figure.family import FIGURES
from twinsae.cli.figure.of_series import Measure
from twinsae.cli.main import main
from twinsae.matching import match_files
from twinsae.matching.criteria.series import MEASURES
from twinsae.matching.figures.registry import FIGURES as DRAWN
from twinsae.sae import SAE, SAEConfig, save_sae


def test_there_is_a_command_for_every_figure():
    assert set(FIGURES) == set(DRAWN)
    assert set(get_args(Measure)) == set(MEASURES)


def test_a_figure_is_drawn_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for seed in (0, 1):
        config = SAEConfig(d_in=6, num_latents=11, k=3)
        save_sae(SAE(config, seed=seed), tmp_path / f"seed{seed}")
    match_files(tmp_path / "seed0", tmp_path / "seed1", ["encoder"], tmp_path / "match")
    words = ["figure", "max-vs-matched", str(tmp_path / "match"), "--out", str(tmp_path / "out")]
    assert main([*words, "--side", "encoder"]) == 0
    listed = capsys.readouterr().out.split()
    assert sorted(listed) == sorted(map(str, (tmp_path / "out").iterdir()))
    assert main(words) == 2
    assert "has no matching of the decoders" in capsys.readouterr().err
