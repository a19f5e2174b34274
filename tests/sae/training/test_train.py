import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from twinsae.sae import SAE, SAEConfig, TrainConfig, load_sae, train
from twinsae.sae.training.optimizer import Schedule

SHAPE = SAEConfig(d_in=13, num_latents=37, k=5)
CONFIG = TrainConfig(seeds=(0, 1, 2), batch_size=50, epochs=3, lr=1e-2, warmup_steps=5, log_every=4)
FILES = ("cfg.json", "sae.safetensors", "checkpoint.safetensors", "latents.safetensors")


def read_log(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def reference_training(activations, seed, config, dense_fvu):
    """Train as section 2.1 of the paper says, densely and in float64; return what was seen.

    It differs from transformers' schedule as `Schedule` says.
    """
    start = SAE(SHAPE, seed=seed)
    parameters = {n: p.detach().double().requires_grad_() for n, p in start.named_parameters()}
    adam = torch.optim.Adam(parameters.values(), foreach=False)
    total = activations.rows // config.batch_size * config.epochs
    losses = []
    batches = activations.batches(config.batch_size, shuffle_seed=42, epochs=config.epochs)
    for step, x in enumerate(batches):
        x = x.double()
        W_dec = parameters["W_dec"]
        if step == 0:
            parameters["b_dec"].data = x.mean(dim=0)
        loss = dense_fvu(x, parameters, SHAPE.k)
        adam.zero_grad()
        loss.backward()
        if SHAPE.normalize_decoder:
            W_dec.grad -= (W_dec.grad * W_dec).sum(dim=1, keepdim=True) * W_dec.data
        rise = (step + 1) / (config.warmup_steps + 1)
        fall = (total - step) / (total - config.warmup_steps)
        adam.param_groups[0]["lr"] = config.lr * min(rise, fall)
        adam.step()
        W_dec.data /= W_dec.data.norm(dim=1, keepdim=True)
        losses.append(loss.item())
    return parameters, losses


def test_training_is_what_the_paper_says(activations, tmp_path, dense_fvu):
    config = replace(CONFIG, seeds=(5,), log_every=1)
    (sae,) = train(activations, tmp_path, "h", SHAPE, config)
    expected, losses = reference_training(activations, 5, config, dense_fvu)
    log = read_log(tmp_path)
    assert [line["step"] for line in log] == list(range(1, 25))
    assert [line["fvu"] for line in log] == pytest.approx(losses, rel=1e-3)
    assert losses[-1] < 0.7 * losses[0]
    for name, parameter in sae.named_parameters():
        torch.testing.assert_close(
            parameter.double(), expected[name].data, rtol=1e-2, atol=1e-3, msg=name
        )


@pytest.mark.parametrize(
    ("rows", "shape", "batch"),
    [
        (400, SHAPE, 50),
        (90, SAEConfig(d_in=7, num_latents=9, k=9), 17),
        (600, SAEConfig(d_in=65, num_latents=131, k=1), 128),
    ],
)
def test_each_seed_is_bit_identical_to_itself_trained_alone(
    make_activations, tmp_path, same_bits, rows, shape, batch
):
    activations = make_activations(rows, shape.d_in)
    config = replace(CONFIG, batch_size=batch)
    together = train(activations, tmp_path / "together", "h", shape, config)
    for seed, sae in zip(config.seeds, together, strict=True):
        (alone,) = train(
            activations, tmp_path / "alone", "h", shape, replace(config, seeds=(seed,))
        )
        assert same_bits([sae], [alone])
        for name in FILES:
            path = f"h/seed{seed}/{name}"
            alone_bytes = (tmp_path / "alone" / path).read_bytes()
            assert (tmp_path / "together" / path).read_bytes() == alone_bytes, name
    by_seed = sorted(read_log(tmp_path / "together"), key=lambda line: line["seed"])
    assert by_seed == read_log(tmp_path / "alone")


def test_the_bits_do_not_depend_on_the_number_of_threads(make_activations, tmp_path, same_bits):
    """The matrices are large enough for torch to split its loops among threads."""
    activations = make_activations(512, 65)
    shape = SAEConfig(d_in=65, num_latents=1203, k=8)
    config = replace(CONFIG, seeds=(0, 1), batch_size=256, epochs=2)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(train(activations, tmp_path / str(count), "h", shape, config))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(*results)


def test_the_files_hold_the_returned_saes(activations, tmp_path, same_bits):
    saes = train(activations, tmp_path, "h", SHAPE, CONFIG)
    for seed, sae in zip(CONFIG.seeds, saes, strict=True):
        folder = tmp_path / "h" / f"seed{seed}"
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        loaded = load_sae(folder)
        assert loaded.config == SHAPE
        assert same_bits([sae], [loaded])
        norms = sae.W_dec.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))


def test_the_returned_saes_do_not_share_memory(activations, tmp_path):
    a, b, _ = train(activations, tmp_path, "h", SHAPE, CONFIG)
    storage = a.encoder.weight.untyped_storage()
    assert storage.nbytes() == 37 * 13 * 4
    assert storage.data_ptr() != b.encoder.weight.untyped_storage().data_ptr()


def test_the_decoder_keeps_its_norms_if_asked_to(activations, tmp_path):
    shape = replace(SHAPE, normalize_decoder=False)
    (sae,) = train(activations, tmp_path, "h", shape, replace(CONFIG, seeds=(0,)))
    assert (sae.W_dec.norm(dim=1) - 1).abs().max() > 0.1


def test_fired_counts_the_last_epoch(activations, tmp_path):
    """With a learning rate of nearly 0 the final SAE is the one that was counted."""
    config = replace(CONFIG, seeds=(0,), lr=1e-30, epochs=2)
    (sae,) = train(activations, tmp_path, "h", SHAPE, config)
    fired = load_file(tmp_path / "h/seed0/latents.safetensors")["fired"]
    indices = sae.encode(activations.x).indices
    assert fired.dtype == torch.int64
    assert torch.equal(fired, torch.bincount(indices[indices >= 0], minlength=37))


def test_the_log_counts_latents_that_have_not_fired_as_dead(activations, tmp_path):
    """At a learning rate of nearly 0 the dead are those that fire on none of the tokens so far."""
    config = replace(CONFIG, seeds=(0,), lr=1e-30, epochs=1, dead_after=100, log_every=1)
    (sae,) = train(activations, tmp_path, "h", SHAPE, config)
    batches = list(activations.batches(50, shuffle_seed=42, epochs=1))
    for line in read_log(tmp_path):
        recent = sae.encode(torch.cat(batches[max(line["step"] - 2, 0) : line["step"]])).indices
        silent = 37 - len(recent[recent >= 0].unique())
        assert line["dead"] == (silent if line["step"] >= 2 else 0)


def test_the_log_holds_its_facts(activations, tmp_path):
    train(activations, tmp_path, "layers.3.mlp", SHAPE, CONFIG)
    log = read_log(tmp_path)
    assert [line["seed"] for line in log] == [0, 1, 2] * 7
    assert [line["step"] for line in log[::3]] == [1, 4, 8, 12, 16, 20, 24]
    for line in log:
        names = "step tokens sae hookpoint seed fvu l0 dead lr"
        assert list(line) == names.split()
        assert line["sae"] == f"layers.3.mlp/seed{line['seed']}"
        assert line["tokens"] == 50 * line["step"]
        assert line["hookpoint"] == "layers.3.mlp"
        assert 0 < line["l0"] <= 5


def test_l0_is_the_mean_number_of_positive_latents(activations, tmp_path):
    config = replace(CONFIG, seeds=(0,), lr=1e-30, epochs=1, log_every=1)
    (sae,) = train(activations, tmp_path, "h", replace(SHAPE, k=30), config)
    batches = activations.batches(50, shuffle_seed=42, epochs=1)
    for line, x in zip(read_log(tmp_path), batches, strict=True):
        positive = (sae.encode(x).values > 0).sum(dim=1).double().mean()
        assert line["l0"] == pytest.approx(float(positive))
        assert line["l0"] < 30


def test_two_hookpoints_share_a_run_folder(activations, tmp_path):
    train(activations, tmp_path, "a", SHAPE, CONFIG)
    before = read_log(tmp_path)
    train(activations, tmp_path, "b", SHAPE, CONFIG)
    assert read_log(tmp_path)[: len(before)] == before
    assert len(read_log(tmp_path)) == 2 * len(before)


def test_progress_hears_of_every_step(activations, tmp_path):
    calls = []
    train(
        activations,
        tmp_path,
        "h",
        SHAPE,
        CONFIG,
        progress=lambda *args, **facts: calls.append((args, facts)),
    )
    assert [args for args, _ in calls] == [("train", done, 24, "steps") for done in range(25)]
    assert calls[0][1] == {}
    assert len({facts["fvu"] for _, facts in calls[1:]}) == 24  # no step shows an earlier one's
    last = [line for line in read_log(tmp_path) if line["step"] == 24]
    assert calls[-1][1]["fvu"] == pytest.approx(sum(line["fvu"] for line in last) / 3)
    assert calls[-1][1]["dead"] == 0


def test_the_schedule_rises_and_falls_linearly():
    schedule = Schedule(replace(CONFIG, lr=1.0, warmup_steps=3), 37, total_steps=11)
    expected = [0.25, 0.5, 0.75, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert [schedule.lr(step) for step in range(11)] == pytest.approx(expected)


def test_the_warm_up_is_at_most_half_of_a_short_run():
    schedule = Schedule(replace(CONFIG, lr=1.0, warmup_steps=1000), 37, total_steps=4)
    assert [schedule.lr(step) for step in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 1 / 2])


def test_the_default_rate_is_the_papers():
    assert Schedule(replace(CONFIG, lr=None), 2**14, 10).peak == pytest.approx(2e-4)
    assert Schedule(replace(CONFIG, lr=None), 2**16, 10).peak == pytest.approx(1e-4)


def test_training_reads_a_store(small_store, tmp_path):
    (sae,) = train(small_store, tmp_path, "h", SHAPE, replace(CONFIG, seeds=(0,), epochs=20))
    assert read_log(tmp_path)[-1]["fvu"] < 0.5 * read_log(tmp_path)[0]["fvu"]
    assert sae.W_dec.shape == (37, 13)
