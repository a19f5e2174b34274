"""What every script of this folder shares: tiny parameters, published layouts, and writing a case.

A case is a folder of ``data/``: ``files/`` holds one SAE exactly as its owner publishes it,
``expected.npz`` what its owner's code makes of it, ``oracle.json`` who computed that, and the paths
below ``files/`` that name the SAE.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

DATA = Path(__file__).parent / "data"
D, L, N = 6, 10, 7
_LARGEST = 60_000  # bytes of a case
_SHAKE = 1e-4  # of the inputs, relative; it must not change which latents are active


class Parameters(NamedTuple):
    """Weights with one latent a row, in float32."""

    encoder: Tensor  # (L, D)
    decoder: Tensor  # (L, D_out)
    b_enc: Tensor  # (L,)
    b_dec: Tensor  # (D_out,)
    threshold: Tensor  # (L,), positive
    skip: Tensor  # (D_out, D)
    x: Tensor  # (N, D)


class Result(NamedTuple):
    """What the owner's code makes of the inputs."""

    codes: Tensor  # (N, L)
    reconstruction: Tensor  # (N, D_out)


Run = Callable[[Tensor], Result]


def parameters(seed: int, d_out: int = D, latents: int = L) -> Parameters:
    """Return weights whose rows have unlike norms, and biases that no convention may ignore."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    scales = 0.5 + 1.5 * torch.rand(latents, 1, generator=random)
    return Parameters(
        encoder=normal(latents, D) * 0.5,
        decoder=normal(latents, d_out) * scales,
        b_enc=normal(latents) * 0.4,
        b_dec=normal(d_out) * 0.8,
        threshold=0.2 + 0.6 * torch.rand(latents, generator=random),
        skip=normal(d_out, D) * 0.4,
        x=normal(N, D) * 1.5 + 0.3,
    )


def new_case(name: str) -> Path:
    """Return the empty folder ``files`` of a case; an older one is removed."""
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    files = folder / "files"
    files.mkdir(parents=True)
    return files


def finish(
    files: Path,
    paths: list[str],
    x: Tensor,
    run: Run | None,
    *,
    decoder: Tensor | None,
    encoder: Tensor | None,
    oracle: str,
    version: str,
    command: str,
    refused: Mapping[str, str] | None = None,
) -> None:
    """Write ``expected.npz`` and ``oracle.json``.

    Args:
        files: the folder that `new_case` returned.
        paths: what names the SAE below ``files``, each on its own.
        x: (N, D), the inputs.
        run: the owner's code; None if only the dictionaries are wanted.
        decoder: (L, D_out), or None if there is none to match.
        encoder: (L, D), or None.
        oracle: whose code it is.
        version: of that code.
        command: what writes this case again.
        refused: for "load", "decoder" or "encoder", words that the refusal must hold.
    """
    expected: dict[str, NDArray[np.float32]] = {"x": _array(x)}
    if run is not None:
        with torch.no_grad():
            result, shaken = run(x), run(x * (1 + _SHAKE))
        active = result.codes != 0
        assert torch.equal(active, shaken.codes != 0), f"{files}: a code is near a threshold"
        assert 0.08 < active.float().mean() < 0.9, f"{files}: {active.float().mean()} are active"
        expected |= {"codes": _array(result.codes), "reconstruction": _array(result.reconstruction)}
    for side, matrix in (("decoder", decoder), ("encoder", encoder)):
        if matrix is not None:
            expected[side] = _array(matrix)
    np.savez(files.parent / "expected.npz", **expected)
    for path in paths:
        named = path.partition("#")[0]  # without "#layer=N"
        assert (files / named).exists(), f"{files}: {named} is missing"
    write_json(
        files.parent / "oracle.json",
        {"oracle": oracle, "version": version, "command": command, "paths": paths}
        | ({"refused": dict(refused)} if refused else {}),
    )
    size = sum(file.stat().st_size for file in files.parent.rglob("*") if file.is_file())
    assert size < _LARGEST, f"{files} holds {size} bytes"
    print(f"{files.parent.name}: {size} bytes")


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write arrays, with the folders above them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def write_pt(path: Path, holds: Mapping[str, Any]) -> None:
    """Write a dict as ``torch.save`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            name: value.detach().contiguous() if isinstance(value, Tensor) else value
            for name, value in holds.items()
        },
        path,
    )


def write_npz(path: Path, tensors: Mapping[str, Tensor], *, compressed: bool = False) -> None:
    """Write arrays of NumPy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)


def write_json(path: Path, holds: object) -> None:
    """Write JSON, with the folders above it."""
    write_text(path, json.dumps(holds, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().contiguous().numpy()
