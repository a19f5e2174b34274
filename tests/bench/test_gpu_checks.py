"""The checks of `bench gpu`: right kernels pass all of them, and each wrong one fails some."""

import pytest
import torch
from torch import Tensor
from twinsae.bench import oracle
from twinsae.bench.clock import CpuClock
from twinsae.bench.gpu import cases, checks, pair_cases
from twinsae.bench.gpu.cuda_clock import LostDeviceError
from twinsae.bench.gpu.setting import Setting
from twinsae.bench.problem import Shape
from twinsae.bench.refuse import WrongResultError

ODD, REAL = Shape(37, 19, 301, 7), Shape(40, 64, 600, 8)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CPU = torch.device("cpu")


def jobs() -> list[checks.Job]:
    return [*checks.usual_jobs(ODD, [REAL]), *checks.big_jobs(2_000, 40)]


def problems(kernel: str, dtype: torch.dtype = torch.float32) -> dict[str, str]:
    """Return {case: what is wrong} for the cases that fail."""
    setting = Setting(CPU, dtype, "native")
    found = [checks.run_check(j, setting, CpuClock()) for j in jobs() if j.kernel == kernel]
    return {check.case: check.problem for check in found if check.problem}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_right_kernels_pass(dtype: torch.dtype, backend: str) -> None:
    setting = Setting(CPU, dtype, backend)
    for job in jobs():
        check = checks.run_check(job, setting, CpuClock())
        assert check.problem == "", (job.kernel, job.case)
        assert check.dtype == str(dtype).removeprefix("torch.")


def test_every_op_has_checks_of_each_kind() -> None:
    kernels = {"linear_topk", "sparse_decode", "gather_dot", "decode_error", "latent_grads"}
    kernels |= {"topk_autoencode", "mutual_topk", "pairs_above"}
    by_kernel = {kernel: {j.case for j in jobs() if j.kernel == kernel} for kernel in kernels}
    assert {j.kernel for j in jobs()} == kernels
    for found in by_kernel.values():
        assert {"whole numbers", "real numbers, D = 64"} < found
        assert {"N D beyond 2,000", "L D beyond 2,000"} < found
    for job in checks.big_jobs():
        rows, d_in, latents, _ = job.shape
        assert max(rows, latents) * d_in > 2**31


def break_result(monkeypatch, kernel: str, change) -> None:
    """Let `change` spoil the result of a kernel, and not that of the reference."""
    module = pair_cases if kernel in ("mutual_topk", "pairs_above") else cases
    right = getattr(module, kernel)
    monkeypatch.setattr(module, kernel, lambda *given, **options: change(right, given, options))


def field(name: str, change):
    """Change one field of the result."""

    def spoil(right, given, options):
        result = right(*given, **options)
        return result._replace(**{name: change(getattr(result, name).clone())})

    return spoil


def last(add: float):
    """Change the last number, which shows that not only the first ones are compared."""

    def change(numbers: Tensor) -> Tensor:
        if numbers.numel():
            numbers.view(-1)[-1] += add
        return numbers

    return change


def without_mask(right, given, options):
    return right(*given, **{**options, "mask": None})


def without_floor(right, given, options):
    return right(*given, **{**options, "floor": 0.0})


def within_a_tile(right, given, options):
    """Name latents of the second tile of 128 by their place in the tile."""
    result = right(*given, **options)
    wrong = torch.where(result.indices >= 128, result.indices - 128, result.indices)
    return result._replace(indices=wrong)


def unstable_ties(right, given, options):
    """Give ties to the higher index, as an unstable sort may."""
    x, weight, bias, k = given
    if options.get("mask") is not None or options.get("groups", 1) != 1:
        return right(*given, **options)
    result = right(x, weight.flip(0), None if bias is None else bias.flip(0), k, **options)
    turned = torch.where(result.indices < 0, -1, len(weight) - 1 - result.indices)
    return result._replace(indices=turned)


@pytest.mark.parametrize(
    ("change", "case"),
    [
        (field("values", last(0.5)), "whole numbers"),
        (field("values", last(0.5)), "real numbers, D = 64"),
        (field("indices", last(1)), "whole numbers"),
        (field("indices", last(1)), "real numbers, D = 64"),
        (within_a_tile, "real numbers, D = 64"),
        (within_a_tile, "L D beyond 2,000"),
        (unstable_ties, "whole numbers"),
        (without_mask, "mask and floors"),
        (without_floor, "mask and floors"),
        (field("indices", lambda t: t.clamp(min=0)), "fewer than k"),
    ],
)
def test_a_wrong_encoding_is_caught(change, case: str, monkeypatch) -> None:
    break_result(monkeypatch, "linear_topk", change)
    assert case in problems("linear_topk")


def test_a_stack_whose_seeds_differ_from_lone_calls_is_caught(monkeypatch) -> None:
    def other_bits(right, given, options):
        result = right(*given, **options)
        return result._replace(values=result.values.nextafter(torch.tensor(9.0)))

    def stacked_only(right, given, options):
        return (other_bits if options.get("groups", 1) > 1 else right_one)(right, given, options)

    def right_one(right, given, options):
        return right(*given, **options)

    break_result(monkeypatch, "linear_topk", stacked_only)
    assert set(problems("linear_topk")) == {"two seeds"}


def test_a_latent_named_twice_is_caught(monkeypatch) -> None:
    def twice(indices: Tensor) -> Tensor:
        indices[:, 1] = indices[:, 0]
        return indices

    def spoil(right, given, options):
        result = right(*given, **options)
        return result._replace(
            values=twice(result.values.clone()), indices=twice(result.indices.clone())
        )

    break_result(monkeypatch, "linear_topk", spoil)
    assert "real numbers, D = 64" in problems("linear_topk")
    x, weight = torch.ones(1, 2), torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    both = torch.tensor([[2.0, 2.0]])
    oracle.check_topk((both, torch.tensor([[0, 1]])), x, weight, None, both)
    with pytest.raises(WrongResultError, match="1 latents are named twice"):
        oracle.check_topk((both, torch.tensor([[1, 1]])), x, weight, None, both)


@pytest.mark.parametrize("kernel", ["sparse_decode", "gather_dot"])
@pytest.mark.parametrize("case", ["whole numbers", "real numbers, D = 64", "N D beyond 2,000"])
def test_wrong_rows_are_caught(kernel: str, case: str, monkeypatch) -> None:
    def spoil(right, given, options):
        return last(1.0)(right(*given, **options).clone())

    break_result(monkeypatch, kernel, spoil)
    assert case in problems(kernel)


@pytest.mark.parametrize("name", ["squares", "g", "d_values"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_wrong_error_is_caught(name: str, dtype: torch.dtype, monkeypatch) -> None:
    break_result(monkeypatch, "decode_error", field(name, last(0.5)))
    found = problems("decode_error", dtype)
    assert {"whole numbers", "real numbers, D = 64"} <= set(found)
    assert all(problem.startswith(f"{name}: 1 of ") for problem in found.values())


@pytest.mark.parametrize("name", ["recon", "values", "indices", "squares", "deviations"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_wrong_autoencoding_is_caught(name: str, dtype: torch.dtype, monkeypatch) -> None:
    add = 1 if name == "indices" else 20.0
    break_result(monkeypatch, "topk_autoencode", field(name, last(add)))
    assert {"whole numbers", "real numbers, D = 64"} <= set(problems("topk_autoencode", dtype))


@pytest.mark.parametrize("name", ["dW_dec", "dW_enc", "db_enc", "fired"])
def test_a_wrong_gradient_is_caught(name: str, monkeypatch) -> None:
    break_result(monkeypatch, "latent_grads", field(name, last(1)))
    found = problems("latent_grads")
    assert {"whole numbers", "real numbers, D = 64", "L D beyond 2,000"} <= set(found)
    assert all(problem.startswith(f"{name}: 1 of ") for problem in found.values())


@pytest.mark.parametrize(
    "name", ["row_values", "row_indices", "col_values", "col_indices"]
)  # fmt: skip
def test_wrong_candidates_are_caught(name: str, monkeypatch) -> None:
    break_result(monkeypatch, "mutual_topk", field(name, last(1)))
    assert {"whole numbers", "real numbers, D = 64"} <= set(problems("mutual_topk"))


def fewer_pairs(right, given, options):
    """Leave out the last pair."""
    result = right(*given, **options)
    return result._replace(rows=result.rows[:-1], cols=result.cols[:-1])


def other_pairs(right, given, options):
    """Name the neighbour of each last column."""
    result = right(*given, **options)
    return result._replace(cols=last(-1)(result.cols.clone()))


def unsorted_pairs(right, given, options):
    result = right(*given, **options)
    return result._replace(rows=result.rows.flip(0), cols=result.cols.flip(0))


def untiled_pairs(right, given, options):
    return right(*given, **{**options, "tiles": None})


@pytest.mark.parametrize(
    ("change", "case", "problem"),
    [
        (fewer_pairs, "whole numbers", "pairs where"),
        (other_pairs, "whole numbers", "1 pairs are missing and 1 are too many"),
        (unsorted_pairs, "real numbers, D = 64", "not in ascending order"),
        (untiled_pairs, "tiles", "too many"),
    ],
)
def test_wrong_pairs_are_caught(change, case: str, problem: str, monkeypatch) -> None:
    monkeypatch.setattr(oracle, "ROWS", 100)  # all
    break_result(monkeypatch, "pairs_above", change)
    assert problem in problems("pairs_above")[case]


def test_other_bits_in_a_second_run_are_caught(monkeypatch) -> None:
    calls: list[None] = []

    def unsteady(right, given, options):
        calls.append(None)
        out = right(*given, **options)
        return out.nextafter(torch.tensor(9.0)) if len(calls) % 2 else out

    break_result(monkeypatch, "sparse_decode", unsteady)
    found = problems("sparse_decode")
    assert set(found) == {job.case for job in jobs() if job.kernel == "sparse_decode"}
    assert all(problem.startswith("a second run differs in ") for problem in found.values())


def test_a_product_of_rounded_factors_is_not_float32(monkeypatch) -> None:
    def tf32(numbers: Tensor) -> Tensor:  # 10 bits of mantissa
        return (numbers.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)

    def rounded(right, given, options):
        return right(tf32(given[0]), tf32(given[1]), *given[2:], **options)

    break_result(monkeypatch, "linear_topk", rounded)
    setting = Setting(CPU, torch.float32, "native")
    cases.encode_whole(setting, ODD)  # whole numbers lose nothing
    with pytest.raises(WrongResultError, match=r"the best scores: .* numbers are off"):
        cases.encode_real(setting, Shape(40, 768, 600, 8))


def test_what_is_raised_is_a_failed_check(monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Triton Error [CUDA]: out of resources\nmore of it")

    break_result(monkeypatch, "gather_dot", fails)
    found = problems("gather_dot")
    assert set(found.values()) == {"RuntimeError: Triton Error [CUDA]: out of resources"}
    clock = CpuClock()
    monkeypatch.setattr(clock, "answers", lambda: False)
    job = next(j for j in jobs() if j.kernel == "gather_dot")
    with pytest.raises(LostDeviceError, match="gather_dot, whole numbers: RuntimeError"):
        checks.run_check(job, Setting(CPU, torch.float32, "native"), clock)
