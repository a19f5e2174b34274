"""The contracts make their tensors on the device that `--device` names. Their sources show it."""

import ast
from pathlib import Path

import pytest

CONTRACTS = sorted(Path(__file__).parent.glob("test_*_contract.py"))
FACTORIES = {
    "arange", "as_tensor", "empty", "eye", "from_numpy", "full", "linspace", "ones", "rand",
    "randint", "randn", "randperm", "tensor", "zeros",
}  # fmt: skip


def of_the_cpu(source: str) -> list[str]:
    """List what only works on the CPU: tensors that torch makes there, and numpy of a device's.

    Parameters and tests of wrong arguments are left out: no test of a GPU reads them.
    """
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("test_wrong_"):
            calls = [node for part in function.body for node in ast.walk(part)]
            found += [ast.unparse(call) for call in calls if _only_on_the_cpu(call)]
    return found


def _only_on_the_cpu(call: ast.AST) -> bool:
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return False
    owner, name = ast.unparse(call.func.value), call.func.attr
    if owner == "torch" and name in FACTORIES:
        return not any(keyword.arg == "device" for keyword in call.keywords)
    return name == "numpy" and ".cpu()" not in owner


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_no_contract_needs_a_cpu(path: Path) -> None:
    assert of_the_cpu(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("torch.ones(3)", ["torch.ones(3)"]),
        ("f(torch.tensor([1.0]).double())", ["torch.tensor([1.0])"]),
        ("torch.ones(3, device=x.device)", []),
        ("make.ones(3)", []),
        ("top.indices.numpy()", ["top.indices.numpy()"]),
        ("top.indices.cpu().numpy()", []),
    ],
)
def test_what_needs_a_cpu_is_found(line: str, expected: list[str]) -> None:
    assert of_the_cpu(f"def test_it(x):\n    {line}\n") == expected


def test_there_are_contracts() -> None:
    assert len(CONTRACTS) >= 8
