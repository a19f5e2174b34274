"""Tasks on a cluster of Ray: two nodes on this machine, of which one is killed in mid-task."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from twinsae.cli.main import main
from twinsae.common.ray_cluster import RayCluster
from twinsae.common.running import run_tasks
from twinsae.common.tasks import Tools
from twinsae.matching import AllSeeds, match_all

LIMIT = 240.0
MEMORY = 3 * 2**30
SLOW = '''
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from twinsae.common.tasks import Need


@dataclass(frozen=True)
class Slow:
    """A task that says on which node it begins, and goes on when it may."""

    task: Any
    folder: Path
    memory: int

    @property
    def name(self):
        return self.task.name

    def is_done(self):
        return self.task.is_done()

    def waits_for(self):
        return None

    def need(self):
        return Need(memory=self.memory)

    def run(self, tools):
        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{self.name}@{node}").touch()
        while not (self.folder / "go").exists():
            tools.progress("waiting", 0, 1, "steps")
            time.sleep(0.2)
        self.task.run(tools)
'''


@pytest.fixture(scope="module")
def modules(tmp_path_factory) -> Path:
    """A folder with a kind of task that nodes find, too."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "slow_tasks_of_tests.py").write_text(SLOW)
    return folder


def descendants(process: int) -> list[int]:
    """Return a process and all that it started, also indirectly."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it has ended
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [process]
    for each in found:
        found.extend(parents.get(each, ()))
    return found


def kill(processes: list[int]) -> None:
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


class Cluster:
    """Two nodes of one thread each."""

    def __init__(self, folder: str, modules: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(modules),
            "PYTHONSAFEPATH": "1",
        }
        port = self.address.rpartition(":")[2]
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")

    def _start(self, *options: str) -> None:
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1",
            "--node-ip-address=127.0.0.1", f"--memory={MEMORY}", "--disable-usage-stats",
            "--object-store-memory=80000000", *options,
        ]  # fmt: skip
        self.nodes.append(
            subprocess.Popen(
                command, env=self._environment, stdout=subprocess.DEVNULL, start_new_session=True
            )
        )

    def wait(self) -> None:
        """Wait until the head answers."""
        deadline = time.monotonic() + LIMIT
        host, _, port = self.address.rpartition(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                return

    def join(self) -> None:
        """Start the second node."""
        self._start(f"--address={self.address}", '--resources={"second": 1}')

    def close(self) -> None:
        for node in self.nodes:
            kill(descendants(node.pid))
            node.wait(10)


@pytest.fixture(scope="module")
def cluster(modules) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        started = Cluster(folder, modules)
        try:
            started.wait()
            started.join()
            yield started
        finally:
            started.close()


@pytest.fixture
def slow(modules, monkeypatch):
    monkeypatch.syspath_prepend(str(modules))
    invalidate_caches()
    return import_module("slow_tasks_of_tests").Slow


def quiet(stop):
    return Tools(lambda *_, **__: None, lambda _: None, stop)


def test_all_pairs_are_matched_though_a_node_dies_in_mid_task(
    cluster, slow, four_saes, assert_equal_matches, tmp_path
):
    import ray

    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    deadline = time.monotonic() + LIMIT
    lost = []

    def watch() -> bool:
        assert time.monotonic() < deadline, "the tasks took too long"
        begun = [mark.name.partition("@") for mark in marks.glob("*@*")]
        if len({node for _, _, node in begun}) == 2 and not lost:
            (second,) = (n["NodeID"] for n in ray.nodes() if "second" in n["Resources"])
            lost.extend(name for name, _, node in begun if node == second)
            kill(descendants(cluster.nodes[1].pid))
            (marks / "go").touch()
        return False

    seeds = AllSeeds(four_saes, out)
    tasks = [slow(task, marks, 2**30) for task in seeds.tasks()]
    with RayCluster(cluster.address, out, quiet(watch)) as engine:
        while len(ray.nodes()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        outcome = run_tasks(tasks, out, engine)
    assert outcome.failed == {}
    assert len(outcome.done) == 6
    assert len(lost) == 1
    begun = [mark.name.partition("@") for mark in marks.glob("*@*")]
    assert len([name for name, _, _ in begun if name == lost[0]]) == 2  # on both nodes
    assert not seeds.finish()["missing"]
    torch.set_num_threads(1)  # as there: with other threads, a product's roundings differ
    match_all(four_saes, tmp_path / "other")
    assert_equal_matches(out, tmp_path / "other", "row_price", "col_price")
    assert not list(out.glob(".ray*"))


def test_the_command_and_errors_on_a_cluster(cluster, four_saes, tmp_path, capsys):
    out = tmp_path / "out"
    save_file({"W_dec": torch.ones(4, 9), "encoder.weight": torch.ones(4, 9)},
              four_saes[3] / "sae.safetensors")  # fmt: skip
    words = ["match-all", *map(str, four_saes), "--out", str(out), "--ray", cluster.address]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert "3 pairs could not be matched: " in captured.err
    for name in ("s0--s3", "s1--s3", "s2--s3"):
        assert f"{name}: " in captured.err
        assert f"{name} failed: " in captured.out
    assert len(list(out.glob("s*--s*/summary.json"))) == 3
    assert len(list((out / ".failed").iterdir())) == 3


def test_what_can_never_run_is_refused_at_once(cluster, slow, four_saes, tmp_path):
    seeds = AllSeeds(four_saes, tmp_path / "out")
    tasks = [slow(task, tmp_path, 5 * 2**30) for task in seeds.tasks()]
    with (
        RayCluster(cluster.address, tmp_path / "out", quiet(lambda: False)) as engine,
        pytest.raises(ValueError, match=r"s0--s1 needs 5.00 GiB of memory, but the largest node"),
    ):
        run_tasks(tasks, tmp_path / "out", engine)


def test_local_joins_no_other_cluster(cluster, four_saes, tmp_path):
    import ray

    out = tmp_path / "out"
    with RayCluster("local", out, quiet(lambda: False)) as engine:
        assert cluster.address != ray.get_runtime_context().gcs_address
        assert len(ray.nodes()) == 1
        assert len(run_tasks(AllSeeds(four_saes, out).tasks(), out, engine).done) == 6


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "no cluster answers at 127.0.0.1:9: "),
        ("nowhere", "expected local or HOST:PORT, got nowhere"),
    ],
)
def test_addresses_that_are_none(address, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        RayCluster(address, tmp_path / "out", quiet(lambda: False))
    assert not (tmp_path / "out").exists()
