"""What is listed of folders, from headers alone; of the Hub in hub/test_loopback.py."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from twinsae.cli.main import main
from twinsae.sae import SAE, SAEConfig, save_sae
from twinsae.sae.formats.dictionary import load_dictionary
from twinsae.sae.listing import Described, list_saes

DATA = Path(__file__).parents[1] / "oracles" / "data"


def test_public_layouts_are_told_as_they_are_read():
    told = 0
    for case in sorted(DATA.glob("*/oracle.json")):
        known = json.loads(case.read_text())
        if "decoder" in known.get("refused", {}):
            continue
        (path, *_) = known["paths"]
        root = case.parent / "files"
        for sae in list_saes(root):
            if "#" in path or not (root / path).samefile(root / sae.path):
                continue
            side = "encoder" if "-clt-encoder" in case.parent.name else "decoder"
            weight = load_dictionary(root / path, side)
            described = sae.described
            assert (described.num_latents, described.d_in) == tuple(weight.shape), case
            assert described.dtype == str(weight.dtype).removeprefix("torch."), case
            assert sae.size >= weight.numel() * weight.element_size()
            told += 1
    assert told > 80


def test_what_metadata_do_not_tell_is_empty(tmp_path):
    save_sae(SAE(SAEConfig(d_in=3, num_latents=5, k=2), seed=0), tmp_path / "h.0" / "seed0")
    torch.save({"W": torch.ones(2)}, tmp_path / "h.0" / "seed0" / "optimizer.pt")
    save_file({"x": torch.ones(4, 3)}, tmp_path / "h.0" / "seed0" / "checkpoint.safetensors")
    save_file({"x": torch.ones(4, 3)}, tmp_path / "shard_00001.safetensors")
    square = {"W_enc": torch.ones(4, 4), "W_dec": torch.ones(4, 4)}
    save_file(square, tmp_path / "square.safetensors")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "ae").mkdir()
    (tmp_path / "ae" / "ae.pt").write_bytes(b"old")
    trainer = {"dict_size": 7, "activation_dim": 2}
    (tmp_path / "ae" / "config.json").write_text(json.dumps({"trainer": trainer}))
    found = {sae.path: sae.described for sae in list_saes(tmp_path)}
    nothing = Described(None, None, None, None)
    assert found == {
        "ae": Described(None, 7, 2, None),
        "damaged.npz": nothing,
        "h.0/seed0": Described("sparsify", 5, 3, "float32"),
        "square.safetensors": nothing,
    }


def test_shards_are_told_together():
    (root,) = DATA.glob("opensae-sharded/files")
    (sae,) = list_saes(root)
    assert sae.described.family == "opensae"
    weight = load_dictionary(root / sae.path, "decoder")
    assert (sae.described.num_latents, sae.described.d_in) == tuple(weight.shape)


def test_the_command_lists_a_folder(tmp_path, capsys):
    save_sae(SAE(SAEConfig(d_in=3, num_latents=5, k=2), seed=0), tmp_path / "run" / "seed0")
    assert main(["list", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "seed0" in line and "│" in line]
    cells = [cell.strip() for cell in row.split("│")[1:6]]
    assert cells == ["seed0", "sparsify", "5", "3", "float32"]
    (tmp_path / "empty").mkdir()
    for place, told in (
        (tmp_path / "empty", f"{tmp_path / 'empty'} has no SAE"),
        (tmp_path / "no", f"PLACE: expected a folder or hf:OWNER/REPO[@REVISION][:PREFIX], got "
         f"'{tmp_path / 'no'}'"),
    ):  # fmt: skip
        assert main(["list", str(place)]) == 2
        assert capsys.readouterr().err == f"error: {told}\n"
