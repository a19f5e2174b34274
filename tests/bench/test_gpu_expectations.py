"""The table of expectations: its arithmetic, and that the manual's is the one a command makes."""

import json
from pathlib import Path

import pytest
from twinsae.bench.gpu import expectations as ex
from twinsae.cli.bench.gpu_expectations import main

ROOT = Path(__file__).parents[2]
RECORDS = [
    ROOT / "docs" / "measurements" / f"h100-{name}.jsonl" for name in ("1-first-contact", "3-after")
]


def end(step: str, **facts: object) -> dict[str, object]:
    return {"stage": "times", "step": step, "state": "end", **facts}


def rows() -> dict[tuple[str, str], ex.Expectation]:
    return {(row.kernel, row.step): row for row in ex.expectations()}


def test_the_manual_shows_what_the_command_prints(capsys: pytest.CaptureFixture) -> None:
    main([str(file) for file in RECORDS])
    assert (ROOT / "docs" / "gpu-expectations.md").read_text() == capsys.readouterr().out


def test_the_ceilings_of_an_h100_are_those_of_the_record() -> None:
    assert ex.ceilings_of(ex.facts_of(ex.load(RECORDS[0]))) == ex.H100
    assert ex.ceilings_of({}) == ex.H100
    assert ex.ceilings_of({"copy": end("copy", TB_s=4.5)})["copy"] == 4.5


def test_predictions_are_the_larger_of_bytes_and_operations() -> None:
    ceilings = {"copy": 2.0, "bf16": 500.0, "fp16": 250.0, "tf32": 100.0}
    encode = rows()["linear_topk", "D 4096 encode: twinsae"]
    assert encode.predicted(ceilings) == pytest.approx(2 * 8192 * 4096 * 131072 / 500e9)
    decode = rows()["sparse_decode", "D 768 decode: twinsae"]
    bytes_ = 8192 * 32 * 768 * 2 + 8192 * 32 * 10 + 8192 * 768 * 2
    assert decode.predicted(ceilings) == pytest.approx(bytes_ / 2e9)
    both = rows()["topk_autoencode", "D 768 autoencode: twinsae"]
    alone = rows()["linear_topk", "D 768 encode: twinsae"].predicted(ceilings)
    assert both.predicted(ceilings) == pytest.approx(alone + decode.predicted(ceilings))
    pairs = rows()["pairs_above", "pairs_above 32768 x 4096"]
    assert pairs.predicted(ceilings) == pytest.approx(2 * 32768**2 * 4096 / 250e9)


def test_goals_follow_from_what_was_measured() -> None:
    found = rows()
    encode = found["linear_topk", "D 768 encode: twinsae"]
    step = found["training step", "D 768 step: twinsae"]
    decode = found["sparse_decode", "D 768 decode: twinsae"]
    match = found["match", "match 131072 x 4096"]
    assert (encode.measured({}), encode.most(ex.H100, {})) == (None, None)
    facts = ex.facts_of([
        end("D 768 encode: product alone", ms=2.0), end("D 768 encode: twinsae", ms=2.5),
        end("D 768 decode: twinsae", problem="wrong"), end("match 131072 x 4096", seconds=12.5),
        {"stage": "times", "step": "D 768 step: twinsae", "state": "begin"},
    ])  # fmt: skip
    assert (encode.measured(facts), encode.most(ex.H100, facts)) == (2.5, 3.0)
    assert (step.measured(facts), step.most(ex.H100, facts)) == (None, 10.0)
    assert decode.measured(facts) is None
    assert decode.most(ex.H100, facts) == pytest.approx(decode.predicted(ex.H100) / 0.8)
    assert (match.measured(facts), match.most(ex.H100, facts)) == (12_500.0, 30_000.0)
    assert found["gather_dot", "D 768 dot"].most(ex.H100, facts) is None


def test_a_gpu_json_fills_it_and_a_rehearsal_does_not(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"steps": [end("copy", ms=1.0, TB_s=3.25)]}))
    assert ex.ceilings_of(ex.facts_of(ex.load(file)))["copy"] == 3.25
    with pytest.raises(ValueError, match="got those of a rehearsal"):
        ex.facts_of([end("versions", rehearsal=True), end("copy", ms=1.0)])
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"gpu\.json: expected a gpu\.json of"):
        ex.load(file)
