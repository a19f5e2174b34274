"""The machine code that the Triton kernels compile to, for GPUs that this machine lacks."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from twinsae.kernels.backends import interpreting

if interpreting():
    pytest.skip("the interpreter's functions cannot be compiled", allow_module_level=True)

from twinsae.kernels import aot
from twinsae.kernels.aot_builds import builds, functions
from twinsae.kernels.topk.triton.tiles import HALF_TILES, ODD_ROWS

KERNELS = {"linear_topk": "scan_groups", "mutual_topk": "scan_both", "pairs_above": "list_pairs"}


def test_every_kernel_that_is_launched_is_compiled() -> None:
    room = Path(aot.__file__).parent
    files = [*room.glob("*/triton.py"), *room.glob("*/triton/*.py")]
    text = "\n".join(file.read_text() for file in files)
    launched = {name for name in functions() if re.search(rf"\b{name}\[.*\]\(", text)}
    called = {name for name in functions() if re.search(rf"(?<!def )\b{name}\(", text)}
    assert launched | called == set(functions())
    assert {build.kernel for build in builds(every=False)} == launched


@pytest.mark.parametrize("every", [False, True])
def test_arguments_are_those_of_the_kernels(every: bool) -> None:
    names = [build.name for build in builds(every)]
    assert len(set(names)) == len(names)
    for build in builds(every):
        arguments = set(functions()[build.kernel].arg_names)
        assert set(build.signature) | set(build.constants) <= arguments
        assert not set(build.signature) & set(build.constants)
        assert set(build.odd) <= set(build.signature)
        left_out = arguments - set(build.signature) - set(build.constants)
        slack = arguments & {"row_slack_ptr", "latent_slack_ptr", "col_slack_ptr"}
        slack |= arguments & {"scale_ptr"} if slack else set()
        prices = {"row_price_ptr", "col_price_ptr", "margin_ptr"}
        pointers, described = {"x_ptr", "weight_ptr"}, {"x_desc", "weight_desc"}
        # Kernels that rank keys have all that a proof takes, or nothing of it.
        proof = arguments & {"unseen_ptr", "proved_ptr", "redone_ptr"}
        if "proved_ptr" in proof:
            assert proof <= left_out or not proof & left_out
            proof |= {"chosen_ptr"} if build.kernel == "finish_rows" else set()
        if build.kernel == "scan_groups":
            assert left_out & (pointers | described) in (pointers, described)
            assert (" described" in build.name) == (pointers <= left_out)
            left_out -= pointers | described
        scores = {"scores_ptr"} if build.name.startswith("list_above fp32") else set()
        assert left_out <= {"mask_ptr", "offsets_ptr", *scores, *proof, *slack, *prices}
        if slack:  # rough scans have all arguments of the slack, and no exact prices
            rough = " fp32 " in build.name and " full " not in build.name
            assert left_out >= slack or (rough and not left_out & slack)
            assert (prices & arguments <= left_out) or not rough


def test_first_configurations_are_among_all() -> None:
    assert {build.name for build in builds(False)} <= {build.name for build in builds(True)}


@pytest.fixture(scope="module")
def scan() -> aot.Resources:
    build = next(build for build in builds(False) if build.kind == "half product")
    return aot.compile_one(build, aot.TARGETS[1])


def test_a_good_kernel_has_no_problems(scan: aot.Resources) -> None:
    assert scan.problems() == []
    assert 0 < scan.registers <= 255
    assert 1000 < scan.epilogue < scan.instructions
    assert scan.shared > 90_000  # three stages of two tiles of 128 x 64 numbers
    assert scan.predicted_seconds == pytest.approx(2 * 8192 * 131_072 * 4096 / 989e12)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"stack": 8}, "spills: 8 bytes of stack"),
        ({"opcodes": frozenset({"HGMMA.64x128x16.F32", "STL.64"})}, "spills"),
        ({"shared": 300_000}, "300000 bytes of shared memory, more than 232448"),
        ({"opcodes": frozenset({"HMMA.16816.F32"})}, "no HGMMA instruction"),
        ({"float_atomics": True}, "atomics on floats"),
        ({"serialised": True}, "serialised wgmma instructions"),
    ],
)
def test_problems_are_named(scan: aot.Resources, change: dict, problem: str) -> None:
    assert problem in dataclasses.replace(scan, **change).problems()[0]


def test_what_ptxas_says_of_serialised_products() -> None:
    said = (
        "ptxas info    : (C7515) Potential Performance Loss: wgmma.mma_async instructions are "
        "serialized due to insufficient register resources for the wgmma pipeline in function 'f'"
    )
    assert aot.is_serialised(said)
    assert not aot.is_serialised("ptxas info    : Used 242 registers, used 16 barriers")


def test_every_cut_that_may_be_chosen_is_compiled_for_its_gpus() -> None:
    for dtype in ("bf16", "fp16", "fp32"):
        for op, kernel in KERNELS.items():
            for tile in HALF_TILES[op]:
                own = [
                    build for build in builds(True)
                    if build.kernel == kernel and build.name.startswith(f"{kernel} {dtype} ")
                    and build.name.count("described") == tile.described
                    and (build.warps, build.stages) == (tile.warps, tile.stages)
                    and (build.constants["BLOCK_M"], build.constants["BLOCK_N"],
                         build.constants["BLOCK_K"]) == (tile.rows, tile.cols, tile.depth)
                ]  # fmt: skip
                assert own
                assert {build.archs for build in own} == {tile.archs}


def test_what_odd_widths_take_is_compiled() -> None:
    rows = {
        (build.kernel, build.constants["BLOCK_M"])
        for build in builds(True) if "dim" in build.odd and "BLOCK_M" in build.constants
    }  # fmt: skip
    kernels = {*KERNELS.values(), "score_all", "list_above"}
    assert rows == {(kernel, ODD_ROWS) for kernel in kernels}


def test_words_leave_out_others() -> None:
    found = list(aot.compile_all(words=["rank_chosen bf16 k 64 sm_90"]))
    assert [(one.build.kernel, one.target.arch) for one in found] == [("rank_chosen", 90)]
    assert aot.table(found).splitlines()[2].startswith("| `rank_chosen bf16 k 64` |  | ")


def test_narrow_loads_are_a_problem_of_gathers(scan: aot.Resources) -> None:
    gather = next(build for build in builds(False) if build.kind == "gather")
    found = dataclasses.replace(scan, build=gather, opcodes=frozenset({"LDG.E.64"}))
    assert found.problems() == ["no 16-byte loads"]


def test_a_kernel_that_spills_is_found_out() -> None:
    # One warp compares 8,192 pairs of keys at once: 256 keys of two registers for each thread.
    build = next(build for build in builds(False) if build.name == "rank_chosen bf16 k 64")
    build = dataclasses.replace(build, warps=1)
    assert "spills" in aot.compile_one(build, aot.TARGETS[0]).problems()[0]


@pytest.mark.aot
def test_the_first_configurations_compile_well_for_every_gpu() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twinsae.kernels.aot"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    every_gpu = tuple(target.arch for target in aot.TARGETS)
    jobs = [(one.kernel, arch) for one in builds(False) for arch in one.archs or every_gpu]
    assert set(jobs) == {(kernel, arch) for kernel, _ in jobs for arch in every_gpu}
    assert len(lines) == len(jobs)
    assert [line for line in lines if not line.endswith("  ok")] == []
    assert done.returncode == 0
