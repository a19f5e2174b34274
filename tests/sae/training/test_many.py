"""SAEs of several architectures, sizes and seeds on one stream: each as if it were alone."""

import json
from dataclasses import replace

import pytest
import torch
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae
from twinsae.sae.activations import StoredBatches
from twinsae.sae.training import HeldOut, Job, train_many
from twinsae.sae.training.architectures import thresholded

CONFIG = TrainConfig(batch_size=40, epochs=3, lr=1e-2, warmup_steps=3, log_every=3, save_every=7)
D_IN = 13


def job(name, seed=0, *, sae=None, **settings):
    activation = name.partition("-")[0]
    shape = {"num_latents": 30, "k": 4} | (sae or {})
    if activation in ("relu", "gated", "jumprelu"):
        settings = {"sparsity": 0.5} | settings
    return Job(
        "h",
        SAEConfig(D_IN, activation=activation, **shape),
        replace(CONFIG, **settings),
        seed,
        f"h/{name}/seed{seed}",
    )


JOBS = (
    job("topk", 0),
    job("topk", 1),
    job("topk-aux", 0, aux=0.1, dead_after=100),
    job("topk-multi", 0, multi_topk=0.125, clip=0.5),
    job("topk-wide", 0, sae={"num_latents": 45, "k": 3}),
    job("topk-nested", 0, sae={"prefixes": (7, 30)}, init="data"),
    job("batch_topk", 0),
    job("batch_topk-nested", 0, sae={"prefixes": (7, 30)}, aux=0.1, dead_after=100),
    job("relu-raw", 0, sae={"transcode": True}),
    job("groupmax", 0, sae={"num_latents": 32}),
    job("relu", 0, sae={"normalize_decoder": False}),
    job("relu-scaled", 0, input_scale="sqrt_d", sparsity=3.0, init="tied"),
    job("gated", 0, decay=0.0),
    job("jumprelu", 0, bandwidth=0.5, target_l0=4.0),
    job("topk-signum", 0, optimizer="signum", lr=1e-2),
    job("topk-muon", 0, optimizer="muon", lr=3e-2),
    job("topk-moments", 0, moments="bfloat16"),
    job("topk-half", 0, precision="bfloat16"),
    job("relu-half", 0, precision="bfloat16", sae={"normalize_decoder": False}),
    job("jumprelu-tanh", 0, bandwidth=0.5, penalty="tanh", pre_act=0.1, dead_after=100),
)
FILES = ("cfg.json", "sae.safetensors", "checkpoint.safetensors", "latents.safetensors")


def bits(run, one):
    return [(run / one.folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def together(tmp_path_factory, make_activations):
    run = tmp_path_factory.mktemp("together")
    saes = train_many(StoredBatches({"h": make_activations(400, D_IN)}), run, JOBS)
    return run, saes


@pytest.mark.parametrize("one", JOBS, ids=lambda one: one.folder)
def test_each_is_bit_identical_to_itself_alone_and_resumed(
    together, make_activations, tmp_path, interrupt_at, one
):
    source = StoredBatches({"h": make_activations(400, D_IN)})
    with pytest.raises(KeyboardInterrupt):
        train_many(source, tmp_path, [one], progress=interrupt_at(18))
    train_many(source, tmp_path, [one])
    assert bits(tmp_path, one) == bits(together[0], one)
    lines = (together[0] / "log.jsonl").read_text().splitlines()
    alone = (tmp_path / "log.jsonl").read_text().splitlines()
    assert alone == [line for line in lines if json.loads(line)["sae"] == one.folder]


def test_how_similar_saes_begin_is_recorded(together, make_activations, tmp_path):
    run, _ = together
    found = json.loads((run / "initial.json").read_text())
    assert len(found) == len(JOBS) * (len(JOBS) - 1) // 2
    cosine = {(record["a"], record["b"]): record["mean_max_cosine"] for record in found}
    a, b = (SAE(JOBS[0].sae, seed=seed).encoder.weight.detach() for seed in (0, 1))
    a, b = (rows / rows.norm(dim=1, keepdim=True) for rows in (a, b))
    expected = (a @ b.T).amax(dim=1).mean().item()
    assert cosine["h/topk/seed0", "h/topk/seed1"] == pytest.approx(expected, abs=1e-6)
    assert cosine["h/topk/seed0", "h/gated/seed0"] == pytest.approx(1)  # one seed, equal weights
    # SAEs that are added later are compared with one another; what was recorded stays.
    source = StoredBatches({"h": make_activations(400, D_IN)})
    train_many(source, tmp_path, JOBS[:2])
    train_many(source, tmp_path, [job("topk", 2), job("topk", 3)])
    pairs = [(each["a"], each["b"]) for each in json.loads((tmp_path / "initial.json").read_text())]
    assert pairs == [(f"h/topk/seed{a}", f"h/topk/seed{b}") for a, b in ((0, 1), (2, 3))]


def test_saes_are_measured_on_held_out_activations(small_store, make_activations, tmp_path):
    one, source = JOBS[0], StoredBatches({"h": make_activations(400, D_IN)})
    held_out = HeldOut({"h": small_store}, 10)
    (sae,) = train_many(source, tmp_path / "run", [one], held_out=held_out)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    measured = {line["step"]: line["held_out_fvu"] for line in lines if "held_out_fvu" in line}
    assert [*measured] == [10, 20, 30]
    x = next(small_store.in_order(400))
    assert measured[30] == pytest.approx(sae(x).fvu.item(), rel=1e-5)
    assert measured[30] < measured[10]
    train_many(source, tmp_path / "plain", [one])
    assert bits(tmp_path / "run", one) == bits(tmp_path / "plain", one)
    with pytest.raises(ValueError, match=r"^held_out: no activations of 'h', only g"):
        train_many(source, tmp_path / "no", [one], held_out=HeldOut({"g": small_store}, 10))


def test_they_learn(together):
    run, _ = together
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for one in JOBS:
        fvu = [line["fvu"] for line in lines if line["sae"] == one.folder]
        assert fvu[-1] < 0.8 * fvu[0], one.folder
    by_name = {line["sae"]: line for line in lines}
    assert {"fvu_7", "auxk_loss"} <= by_name["h/batch_topk-nested/seed0"].keys()
    assert by_name["h/topk/seed0"]["l0"] <= 4
    assert 1 < by_name["h/jumprelu/seed0"]["l0"] < 15
    assert by_name["h/jumprelu/seed0"]["l0_loss"] > 0
    dense = {line["sae"]: line.get("dense_share") for line in lines}
    assert dense["h/topk/seed0"] is None
    assert dense["h/relu/seed0"] == 1.0  # at 30 latents more than a tenth is active


def test_the_files_hold_the_returned_saes(together):
    run, saes = together
    for one, sae in zip(JOBS, saes, strict=True):
        loaded = load_sae(run / one.folder)
        scaled = one.config.input_scale != "none"
        expected = replace(one.sae, normalize_decoder=False) if scaled else one.sae
        assert loaded.config == expected
        for (name, mine), other in zip(sae.named_parameters(), loaded.parameters(), strict=True):
            assert torch.equal(mine, other), name


def test_a_batch_topk_sae_has_about_k_active_latents_by_its_threshold(together, make_activations):
    _, saes = together
    sae = saes[[one.folder for one in JOBS].index("h/batch_topk/seed0")]
    assert len(sae.threshold.unique()) == 1
    active = sae.encode(make_activations(400, D_IN).x).indices >= 0
    assert 2.5 < float(active.sum(dim=1).float().mean()) < 6


def test_the_saes_compute_what_training_saw(together, make_activations):
    """The last batch's FVU, before its update, is nearly that of all activations after it."""
    run, saes = together
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for one, sae in zip(JOBS, saes, strict=True):
        last = [line["fvu"] for line in lines if line["sae"] == one.folder][-1]
        found = sae(make_activations(400, D_IN).x).fvu.item()
        assert found == pytest.approx(last, rel=0.25), one.folder


@pytest.mark.parametrize("name", ["relu", "gated", "jumprelu"])
def test_sparse_steps_lead_where_dense_ones_do(make_activations, tmp_path, monkeypatch, name):
    one = job(name, epochs=1)
    source = StoredBatches({"h": make_activations(400, D_IN)})
    (dense,) = train_many(source, tmp_path / "dense", [one])
    monkeypatch.setattr(thresholded, "DENSE_SHARE", 1.0)
    (sparse,) = train_many(source, tmp_path / "sparse", [one])
    last = json.loads((tmp_path / "sparse/log.jsonl").read_text().splitlines()[-1])
    assert last["dense_share"] == 0
    for (parameter, a), b in zip(dense.named_parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=parameter)


def test_one_that_diverges_stops_alone(together, make_activations, tmp_path):
    good = JOBS[0]
    bad = job("relu-bad", 0, lr=1e25, warmup_steps=0)
    with pytest.raises(ValueError, match=r"^lr: h/relu-bad/seed0 diverged at step \d+, its FVU is"):
        train_many(StoredBatches({"h": make_activations(400, D_IN)}), tmp_path, [bad, good])
    assert bits(tmp_path, good) == bits(together[0], good)
    assert not (tmp_path / bad.folder / "latents.safetensors").exists()


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([], "jobs: at least one is needed"),
        ([JOBS[0], JOBS[0]], "jobs: two have the folder 'h/topk/seed0'"),
        ([JOBS[0], job("relu", batch_size=50)], "batch_size: 50 and 40 in one run"),
        ([job("relu", sparsity=0.0)], "sparsity: relu needs a positive number"),
        ([job("topk", sparsity=0.1)], "sparsity: only for relu, gated, jumprelu, not topk"),
        ([job("relu", aux=0.1)], "aux: only for topk, batch_topk, groupmax, not relu"),
        ([JOBS[0]._replace(hookpoint="g")], "hookpoint: no activations of 'g', only h"),
        ([JOBS[0]._replace(target="h")], "target: 'h' is for a transcoder, with transcode = True"),
        ([JOBS[0]._replace(folder="../x")], "hookpoint: 'h' cannot name a folder"),
        ([job("abs_topk")], "sae_config: an SAE like this cannot be trained"),
        (
            [job("topk", moments="bfloat16", precision="bfloat16")],
            "moments: bfloat16 only with the optimizer adam",
        ),
        (
            [job("jumprelu", penalty="tanh", target_l0=3.0)],
            "target_l0: only with the penalty l0, not tanh",
        ),
        (
            [job("topk", multi_topk=0.1, sae={"prefixes": (3, 30)})],
            "multi_topk: not together with prefixes",
        ),
    ],
)
def test_jobs_that_do_not_fit_are_refused(make_activations, tmp_path, jobs, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        train_many(StoredBatches({"h": make_activations(400, D_IN)}), tmp_path / "run", jobs)
    assert not (tmp_path / "run").exists()
