"""The main job from Python, as in the README, with text for every path."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from twinsae.matching import Matching, match, match_files, verify
from twinsae.matching.report import render
from twinsae.sae import SAEConfig, TrainConfig, load_sae, train
from twinsae.sae.activations import HarvestConfig, harvest, open_activations


def test_from_text_to_report(model_folder, tmp_path):
    run, out = str(tmp_path / "run"), str(tmp_path / "match")
    letters = np.random.default_rng(0).integers(97, 122, size=900, dtype=np.uint8)
    (tmp_path / "text.txt").write_bytes(letters.tobytes())
    text = str(tmp_path / "text.txt")
    config = HarvestConfig(str(model_folder), ("h.1.mlp",), text, tokens=800, context=16)
    harvest(config, f"{run}/activations")
    store = open_activations(f"{run}/activations/h.1.mlp")
    shape = SAEConfig(d_in=12, num_latents=40, k=4)
    training = TrainConfig(seeds=(0, 1), batch_size=64, epochs=5, lr=1e-2)
    saes = train(store, run, "h.1.mlp", shape, training)

    folders = [f"{run}/h.1.mlp/seed{seed}" for seed in (0, 1)]
    a, b = (load_sae(folder) for folder in folders)
    assert torch.equal(a.W_dec, saes[0].W_dec)
    summary = match_files(*folders, ("decoder", "encoder"), out)
    assert render(out, run=run, baseline=out).exists()

    unit = [torch.nn.functional.normalize(sae.W_dec.detach().double()) for sae in (a, b)]
    cosine = (unit[0] @ unit[1].T).numpy()
    best = cosine[linear_sum_assignment(cosine, maximize=True)].sum()
    matching = match(a.W_dec, b.W_dec)
    assert abs(matching.objective - best) < 1e-9
    assert abs(summary["sides"]["decoder"]["objective"] - best) < 1e-9
    assert verify(a.W_dec, b.W_dec, matching).valid
    assert np.array_equal(Matching.load(f"{out}/decoder.npz").cols, matching.cols)
