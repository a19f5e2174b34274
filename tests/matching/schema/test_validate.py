"""`validate`: good folders pass, and each kind of damage is named in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from twinsae.cli.main import main
from twinsae.matching import Matching, match_files
from twinsae.matching.report.latents import write_browser
from twinsae.matching.report.latents.chunks import read_chunk, write_chunk
from twinsae.matching.schema import schema, validate
from twinsae.sae import SAE, SAEConfig, save_sae

SIDES = ("decoder", "encoder")
FORMATS = ("twinsae-match/1", "twinsae-report/1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A match of two SAEs of 7 and 9 latents, with its report."""
    folder = tmp_path_factory.mktemp("validate")
    for name, num_latents in (("a", 7), ("b", 9)):
        save_sae(SAE(SAEConfig(d_in=5, num_latents=num_latents, k=2)), folder / name)
    match_files(folder / "a", folder / "b", SIDES, folder / "match", verify=True)
    write_browser(folder / "match", folder / "match" / "report", explanations={"a": ["x"] * 7})
    return folder / "match"


@pytest.fixture
def match(whole, tmp_path):
    """A copy of it to damage."""
    return Path(shutil.copytree(whole, tmp_path / "match"))


def edit(match, change):
    file = match / "summary.json"
    summary = json.loads(file.read_text())
    change(summary)
    file.write_text(json.dumps(summary))


def rewrite(match, side, **arrays):
    with np.load(match / f"{side}.npz") as stored:
        content = {**stored, **arrays}
    np.savez(match / f"{side}.npz", **content)


def only_fault(folder):
    (fault,) = validate(folder).faults
    assert "\n" not in fault
    return fault


@pytest.mark.parametrize("name", FORMATS)
def test_the_schemas_are_schemas(name):
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["properties"]["format"] == {"const": name}


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"format_name: expected one of twinsae-match/1, .*'x'"):
        schema("x")


def test_a_match_and_its_report_are_valid(whole):
    found = validate(whole)
    assert found.faults == found.unseen == []
    assert found.checked == [f"matching {whole}", f"report {whole / 'report' / 'data'}"]
    assert validate(whole / "report").checked == [f"report {whole / 'report' / 'data'}"]


@pytest.mark.parametrize("side", SIDES)
def test_a_match_of_one_side_without_firing_is_valid(whole, tmp_path, side):
    match_files(whole.parent / "b", whole.parent / "a", (side,), tmp_path, absolute=True)
    edit(tmp_path, lambda summary: summary["inputs"]["a"].pop("firing"))
    assert validate(tmp_path).faults == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(format="twinsae-match/2"), "expected format 'twinsae-match/1', got"),
        (lambda s: s.pop("versions"), "the document: 'versions' is a required property"),
        (lambda s: s["inputs"]["a"].update(sha256="abc"), "inputs.a.sha256: 'abc' does not match"),
        (lambda s: s["inputs"]["b"].update(num_latents=0), "inputs.b.num_latents: 0 is less than"),
        (lambda s: s["inputs"]["a"].update(evidence=[1]), "a.evidence[0]: 1 is not of type"),
        (lambda s: s["sides"]["decoder"].update(gap="x"), "decoder.gap: 'x' is not of type"),
        (lambda s: s["sides"]["decoder"].update(certified=False), "certified is False, but the"),
        (lambda s: s["sides"]["encoder"].update(objective=1.0), "json's objective is 1, but"),
        (lambda s: s["sides"]["encoder"].update(gap=0.5), "summary.json's gap is 0.5, but"),
        (lambda s: s["sides"]["encoder"].update(mmcs_b_to_a=0.5), "mmcs_b_to_a is 0.5, but"),
        (lambda s: s["sides"]["encoder"].update(chance_floor=0.5), "chance_floor is 0.5, but"),
        (lambda s: s["settings"].update(absolute=True), "absolute is False, but not so in"),
        (lambda s: s["settings"].update(sides=["encoder", "decoder"]), "settings.sides: expected"),
        (lambda s: s.update(identical_inputs=True), "identical_inputs: expected False, by sha256"),
        (lambda s: s["inputs"]["a"].update(sha256="0" * 64), "inputs.a.sha256: "),
        (lambda s: s["overlap"]["counts"].update({"max": 77}), "overlap.counts.max is 77, but"),
        (lambda s: s["overlap"]["counts"].pop("mean"), "overlap.counts: expected and, and_equal"),
        (lambda s: s["overlap"]["criteria"].update({"equal": 0.99}), "overlap.criteria.equal: exp"),
        (lambda s: s["overlap"].update(num_latents=8), "overlap.num_latents is 8, but A has 7"),
    ],
)  # fmt: skip
def test_a_wrong_summary_is_named(match, change, message):
    edit(match, change)
    faults = validate(match).faults
    assert message in faults[0]
    # Numbers that both sides have in common may be missed by both.
    assert len(faults) <= 2


def test_a_summary_that_is_no_json_is_named(match):
    (match / "summary.json").write_text("{")
    assert "summary.json is not JSON" in only_fault(match)


def test_numbers_without_an_end_are_named(match):
    edit(match, lambda summary: summary["sides"]["decoder"].update(gap=float("nan")))
    assert "summary.json's gap is nan, but the arrays give" in only_fault(match)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"cols": np.zeros(7, np.int64)}, "cols names a latent twice"),
        ({"cols": np.arange(3, 10)}, "cols names a latent outside 0 to 8"),
        ({"cosine": np.full(7, np.nan, np.float32)}, "cosine holds NaN or an infinity"),
        ({"row_price": np.zeros(6)}, "row_price has 6 entries, not 7"),
        ({"row_price": np.zeros(7), "upper_bound": np.float64(-5)}, "upper_bound is -5, but the"),
        ({"row_max": np.full(7, -1, np.float32)}, "row_max is less than a matched cosine for 7 la"),
        ({"objective": np.float64(1)}, "objective is 1, but the arrays give"),
        ({"objective": np.float64(np.nan)}, "objective is nan, but the arrays give"),
    ],
)
def test_a_wrong_array_is_named(match, arrays, message):
    rewrite(match, "encoder", **arrays)
    faults = [fault for fault in validate(match).faults if "summary.json" not in fault]
    assert any(fault.startswith(f"{match}/encoder.npz: ") and message in fault for fault in faults)


def test_a_missing_or_damaged_table_is_named(match):
    (match / "encoder.npz").unlink()
    assert only_fault(match) == f"{match}/encoder.npz does not exist"
    (match / "encoder.npz").write_bytes(b"no zip")
    assert "encoder.npz is no matching" in only_fault(match)


def test_a_table_of_a_side_that_was_not_matched_is_named(whole, tmp_path):
    match_files(whole.parent / "a", whole.parent / "b", ("decoder",), tmp_path)
    shutil.copy(tmp_path / "decoder.npz", tmp_path / "encoder.npz")
    assert "encoder.npz: summary.json has no such side" in only_fault(tmp_path)


def test_inputs_that_are_gone_are_told_and_no_fault(match):
    edit(match, lambda summary: summary["inputs"]["a"].update(path="/gone/seed0"))
    found = validate(match)
    assert (found.faults, found.unseen) == ([], ["/gone/seed0"])


def test_changed_weights_are_named(whole, match, tmp_path):
    copy = Path(shutil.copytree(whole.parent / "a", tmp_path / "a"))
    edit(match, lambda summary: summary["inputs"]["a"].update(path=str(copy)))
    assert validate(match).faults == []
    weights = copy / "sae.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert only_fault(match).endswith("sae.safetensors has other bytes now")


def damage(data, name, change):
    chunk = read_chunk(data, name)
    change(chunk)
    write_chunk(data, name, chunk.arrays, chunk.facts)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("manifest", lambda c: c.facts.update(format="x"), "format: 'twinsae-report/1' was"),
        ("manifest", lambda c: c.facts["saes"][0].pop("k"), "saes[0]: 'k' is a required property"),
        ("manifest", lambda c: c.facts["pairs"][0].update(b=2), "expected two of 2 SAEs, got"),
        ("sae1/columns", lambda c: c.arrays.pop("seeds"), "seeds: expected 9 rows, there is none"),
        ("sae0/text", lambda c: c.arrays["offsets"].fill(1), "offsets: expected numbers that rise"),
        ("sae0/text", lambda c: c.arrays["offsets"].__setitem__(3, 0), "offsets: expected numbers"),
        ("pair-0-1", lambda c: c.arrays.update({"decoder.price": np.zeros(9, np.float32)}),
         "decoder.price: expected 7 rows, it has 9"),
        ("pair-0-1", lambda c: c.arrays["encoder.partner"].fill(1), "partner is not one to one"),
        ("pair-0-1", lambda c: c.arrays["encoder.partner"].__iadd__(9), "outside 0 to 8"),
        ("pair-0-1", lambda c: c.arrays["encoder.cosine"].fill(np.nan), "number for each partner"),
    ],
)  # fmt: skip
def test_a_wrong_chunk_is_named(match, name, change, message):
    damage(match / "report" / "data", name, change)
    assert message in only_fault(match)


def test_a_report_of_another_matching_is_named(match):
    rewrite(match, "encoder", row_price=Matching.load(match / "encoder.npz").row_price)
    assert validate(match).faults == []  # the same bytes
    with np.load(match / "encoder.npz") as stored:
        np.savez_compressed(match / "encoder.npz", **stored)
    assert "pairs[0]: it is of another matching: run `twinsae report` again" in only_fault(match)


def test_missing_damaged_and_stray_chunks_are_named(match):
    data = match / "report" / "data"
    (data / "sae0" / "columns.js").unlink()
    (data / "sae1" / "columns.js").write_text("twinsae()")
    (data / "sae2.js").write_text("")
    faults = validate(match).faults
    assert len(faults) == 3
    assert f"{data}/sae2.js is of no chunk that the manifest names" in faults
    assert f"{data}/sae0/columns.js does not exist" in faults
    assert any("sae1/columns.js is damaged" in fault for fault in faults)


def test_all_pairs_of_many_are_checked(match, tmp_path):
    folder = tmp_path / "matches"
    seeds = {"format": "twinsae-match-all/2", "pairs": [{"a": "x", "b": "y"}, {"a": "x", "b": "z"}]}
    folder.mkdir()
    (folder / "seeds.json").write_text(json.dumps(seeds))
    shutil.copytree(match, folder / "x--y")
    assert only_fault(folder).endswith("x--z/summary.json'")
    (folder / "seeds.json").write_text("[]")
    assert "seeds.json: " in only_fault(folder)


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing to check in .*: expected a folder of"):
        validate(tmp_path)


def test_the_command_prints_a_line_a_fault_and_ends_with_1(match, capsys):
    assert main(["validate", str(match)]) == 0
    assert capsys.readouterr().out.endswith("valid\n")
    (match / "encoder.npz").unlink()
    assert main(["validate", str(match)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{match}/encoder.npz does not exist"
    assert out[-1].endswith(": 1 fault")
    assert len(out) == 2


def test_counts_are_of_the_cosines_as_they_are_stored(tmp_path):
    above = 0.7 + 2e-9  # float32 rounds it to less than 0.7
    other = np.sqrt(1 - above**2)
    np.save(tmp_path / "a.npy", np.eye(2))
    np.save(tmp_path / "b.npy", np.array([[above, other], [-other, above]]))
    summary = match_files(tmp_path / "a.npy", tmp_path / "b.npy", ("decoder",), tmp_path / "match")
    stored = Matching.load(tmp_path / "match" / "decoder.npz")
    assert (stored.cosine < 0.7).all()
    assert summary["overlap"]["counts"]["decoder"] == 0
    assert validate(tmp_path / "match").faults == []
