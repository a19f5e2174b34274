"""The log in TensorBoard and wandb: names, and nothing twice, however often a run is continued."""

import json
import sys
from types import ModuleType

import pytest
from twinsae.sae import log_to
from twinsae.sae.log_to import open_sinks, peer_keys


def record(step, sae="h/seed0", **more):
    facts = {"hookpoint": "h", "seed": 0, "fvu": 1 / step, "l0": 4.0, "dead": 2, "lr": 0.5}
    return {"step": step, "tokens": 10 * step, "sae": sae} | facts | more


class FakeWandb(ModuleType):
    """Notes the calls of `init` and what its run was given."""

    def __init__(self):
        super().__init__("wandb")
        self.inits, self.logged, self.finished = [], [], 0

    def init(self, **settings):
        self.inits.append(settings)
        return self

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "step")

    def log(self, values):
        self.logged.append(values)

    def finish(self):
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(log_to, "_package", lambda name: name)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake


def test_keys_are_the_peers():
    more = {"sparsity": 3.0, "dense_share": 0.5, "auxk_loss": 0.25, "l1_loss": 0.125}
    more |= {"held_out_fvu": 0.5}
    assert peer_keys(record(4, **more)) == {
        "metrics/fvu": 0.25,
        "metrics/explained_variance": 0.75,
        "metrics/l0": 4.0,
        "sparsity/dead_features": 2.0,
        "details/n_training_samples": 40.0,
        "details/current_learning_rate": 0.5,
        "details/sparsity_coefficient": 3.0,
        "details/dense_share": 0.5,
        "losses/auxiliary_reconstruction_loss": 0.25,
        "losses/l1_loss": 0.125,
        "held_out/fvu": 0.5,
    }


def test_wandb_gets_each_record_once_and_the_same_run(wandb, tmp_path):
    run = tmp_path / "my-run"
    with open_sinks(["wandb"], run) as send:
        send([record(1), record(1, "h/seed1")])
        send([record(2)])
        send([{"step": 3, "sae": "h/seed0", "failure": "it diverged"}])
    with open_sinks(["wandb"], run) as send:
        send([record(1), record(2), record(3)])
        send([record(1, "g/seed0")])  # added to a finished run
    steps = [(values["step"], min(values.keys() - {"step"})) for values in wandb.logged]
    key = "details/current_learning_rate"
    names = [(1, "h/seed0"), (1, "h/seed1"), (2, "h/seed0"), (3, "h/seed0"), (1, "g/seed0")]
    assert steps == [(step, f"{sae}/{key}") for step, sae in names]
    first, second = wandb.inits
    assert first == second
    assert (first["project"], first["name"], first["resume"]) == ("twinsae", "my-run", "allow")
    assert first["dir"] == str(run)
    assert wandb.finished == 2


def test_tensorboard_has_every_step_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((1, 2), (1, 2, 3, 4)):
        with open_sinks(["tensorboard"], tmp_path) as send:
            for step in steps:
                send([record(step), record(step, "h/seed1", fvu=0.5)])
    for sae, fvu in (("h/seed0", [1, 1 / 2, 1 / 3, 1 / 4]), ("h/seed1", [0.5] * 4)):
        found = EventAccumulator(str(tmp_path / "tensorboard" / sae), purge_orphaned_data=False)
        found.Reload()
        events = found.Scalars("metrics/fvu")
        assert [event.step for event in events] == [1, 2, 3, 4]
        assert [event.value for event in events] == pytest.approx(fvu)


def test_wandb_itself_works_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for step in (1, 2):
        with open_sinks(["wandb"], tmp_path) as send:
            send([record(step)])
    ids = {path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*")}
    assert ids == {json.loads((tmp_path / "wandb/sent.json").read_text())["id"]}
