import numpy as np
import pytest
import safetensors.torch
import torch
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.formats.dictionary import load_dictionary, load_firing_counts
from twinsae.sae.formats.paths import weight_file
from twinsae.sae.formats.registry import FORMATS

W_DEC = torch.arange(12.0).reshape(4, 3)
ENCODER = -W_DEC


def write(path, arrays):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(arrays, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in arrays.items()})
    else:
        torch.save(arrays, path)
    return path


@pytest.fixture(params=[".safetensors", ".npz", ".pt"])
def suffix(request):
    return request.param


def test_each_side_is_found_in_each_format(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", {"W_dec": W_DEC, "encoder.weight": ENCODER})
    assert torch.equal(load_dictionary(path, "decoder"), W_DEC)
    assert torch.equal(load_dictionary(path, "encoder"), ENCODER)
    assert weight_file(path) == path


def test_a_npy_file_is_the_array_itself(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, W_DEC.numpy().astype(np.float16))
    for side in ("decoder", "encoder"):
        weight = load_dictionary(path, side)
        assert weight.dtype == torch.float16
        assert torch.equal(weight.float(), W_DEC)


def test_an_sae_folder_is_read_with_its_dtype(tmp_path):
    sae = SAE(SAEConfig(d_in=3, num_latents=4, k=1), seed=0, dtype=torch.bfloat16)
    save_sae(sae, tmp_path)
    assert torch.equal(load_dictionary(tmp_path, "decoder"), sae.W_dec)
    assert torch.equal(load_dictionary(tmp_path, "encoder"), sae.encoder.weight)
    assert load_dictionary(tmp_path, "decoder").dtype == torch.bfloat16
    assert weight_file(tmp_path) == tmp_path / "sae.safetensors"


@pytest.mark.parametrize("to", FORMATS)
def test_each_side_is_found_in_every_format(tmp_path, to):
    settings = {"activation": "relu", "transcode": True} if to == "openai" else {}
    if to == "arrays":
        settings = {"normalize_decoder": False}
    sae = SAE(SAEConfig(d_in=3, num_latents=4, k=1, **settings), seed=0)
    path = tmp_path / f"there{FORMATS[to].suffix}"
    FORMATS[to].save(sae.stored(), path)
    assert torch.equal(load_dictionary(path, "decoder"), sae.W_dec)
    assert torch.equal(load_dictionary(path, "encoder"), sae.encoder.weight)


def test_a_missing_side_is_told_with_what_was_found(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", {"W_enc": ENCODER, "b_dec": torch.zeros(3)})
    with pytest.raises(
        ValueError, match=r"no (matrix|'W_dec') \(the decoder\); it holds: W_enc, b_dec"
    ):
        load_dictionary(path, "decoder")


@pytest.mark.parametrize("bad", [torch.zeros(4), torch.zeros(2, 2, 2), torch.zeros(2, 2).int()])
def test_only_a_floating_point_matrix_is_a_dictionary(tmp_path, suffix, bad):
    path = write(tmp_path / f"a{suffix}", {"W_dec": bad})
    with pytest.raises(ValueError, match=r"must be (a matrix|floating-point)"):
        load_dictionary(path, "decoder", orientation="LD/LD")


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".npy", ".pt"])
@pytest.mark.parametrize("content", [b"", b"not such a file at all, by any means"])
def test_a_corrupt_file_is_told_by_name(tmp_path, ending, content):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\{ending} ") as caught:
        load_dictionary(path, "decoder")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".npz", ".npy", ".pt"])
def test_a_truncated_file_is_told_by_name(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    if ending == ".npy":
        np.save(path, W_DEC.numpy())
    else:
        write(path, {"W_dec": torch.zeros(500, 30)})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    with pytest.raises(ValueError, match=rf"a\{ending} cannot be read"):
        load_dictionary(path, "decoder")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("ending", [".npz", ".npy", ".pt"])
def test_nothing_in_a_file_is_executed(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    if ending == ".pt":
        torch.save({"W_dec": Trap()}, path)
    elif ending == ".npy":
        np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    else:
        np.savez(path, W_dec=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=r"cannot be read|has no matrix"):
        load_dictionary(path, "decoder")


def test_a_pt_file_must_hold_named_tensors(tmp_path):
    torch.save([W_DEC], tmp_path / "a.pt")
    with pytest.raises(ValueError, match="must hold a dict of tensors, not list"):
        load_dictionary(tmp_path / "a.pt", "decoder")


def test_what_is_not_there_or_of_no_known_ending_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"it has no sae_weights\.safetensors, sae\.saf"):
        load_dictionary(tmp_path, "decoder")
    with pytest.raises(FileNotFoundError, match=r"b\.npy does not exist"):
        load_dictionary(tmp_path / "b.npy", "decoder")
    (tmp_path / "c.txt").write_text("")
    with pytest.raises(ValueError, match=r"c\.txt: expected an SAE folder or a file ending in"):
        load_dictionary(tmp_path / "c.txt", "decoder")


def test_firing_counts_stand_beside_the_weights(tmp_path):
    write(tmp_path / "sae.safetensors", {"W_dec": W_DEC})
    assert load_firing_counts(tmp_path) is None
    fired = torch.tensor([3, 0, 2**40, 1])
    write(tmp_path / "latents.safetensors", {"fired": fired})
    assert torch.equal(load_firing_counts(tmp_path), fired)
    assert torch.equal(load_firing_counts(tmp_path / "sae.safetensors"), fired)
    other = write(tmp_path / "other.safetensors", {"W_dec": W_DEC})
    assert load_firing_counts(other) is None


def test_wrong_firing_counts_are_refused(tmp_path):
    write(tmp_path / "sae.safetensors", {"W_dec": W_DEC})
    write(tmp_path / "latents.safetensors", {"counts": torch.zeros(4)})
    with pytest.raises(ValueError, match="no 1-D array 'fired'; it holds: counts"):
        load_firing_counts(tmp_path)
