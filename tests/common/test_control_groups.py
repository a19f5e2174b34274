"""What control groups leave, from planted files of both versions."""

from pathlib import Path

import pytest
from twinsae.common import memory
from twinsae.common.control_groups import cpu_quota, memory_left

GIB = 2**30


def v2(group: Path, limit: str, usage: int = 0, cached: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{usage}\n")
    stat = f"anon 5\nactive_file {cached // 2}\ninactive_file {cached - cached // 2}\n"
    (group / "memory.stat").write_text(stat)


def v1(group: Path, limit: int, usage: int = 0, cached: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (group / "memory.usage_in_bytes").write_text(f"{usage}\n")
    stat = f"inactive_file 7\ntotal_active_file 0\ntotal_inactive_file {cached}\n"
    (group / "memory.stat").write_text(stat)


@pytest.fixture
def left(tmp_path):
    def call(membership: str) -> int | None:
        (tmp_path / "cgroup").write_text(membership)
        return memory_left(tmp_path / "groups", tmp_path / "cgroup")

    call.mount = tmp_path / "groups"
    return call


def test_pages_of_files_count_as_free(left):
    v2(left.mount / "job", str(8 * GIB), usage=5 * GIB, cached=2 * GIB + 1)
    assert left("0::/job\n") == 5 * GIB + 1


def test_the_tightest_group_above_decides(left):
    v2(left.mount / "slurm/job/task", "max", usage=GIB)
    v2(left.mount / "slurm/job", str(4 * GIB), usage=GIB)
    v2(left.mount / "slurm", str(64 * GIB), usage=62 * GIB)
    assert left("0::/slurm/job/task\n") == 2 * GIB


def test_a_container_whose_group_is_its_root(left):
    v2(left.mount, str(GIB), usage=GIB // 4)
    assert left("0::/docker/0123\n") == GIB - GIB // 4


def test_the_first_version(left):
    v1(left.mount / "memory/job", 3 * GIB, usage=2 * GIB, cached=GIB)
    v2(left.mount / "job", str(GIB))  # of another controller's path
    assert left("4:cpu,memory:/job\n3:cpuset:/\n") == 2 * GIB


def test_a_group_above_its_limit_leaves_nothing(left):
    v2(left.mount / "job", str(GIB), usage=2 * GIB)
    assert left("0::/job\n") == 0


@pytest.mark.parametrize("membership", ["0::/\n", "", "2:cpu:/job\n"])
def test_no_limit(left, membership):
    v2(left.mount, "max", usage=GIB)
    assert left(membership) is None


def test_systems_without_control_groups(tmp_path):
    assert memory_left(tmp_path, tmp_path / "cgroup") is None


def test_what_is_available_is_within_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "memory_left", lambda: 1234)
    assert memory.available_memory() == 1234
    monkeypatch.setattr(memory, "memory_left", lambda: 2**60)
    assert memory.available_memory() < 2**50


def quota(group: Path, **files: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (group / f"cpu.{name}").write_text(f"{content}\n")


@pytest.fixture
def cpus(tmp_path):
    def call(membership: str) -> float | None:
        (tmp_path / "cgroup").write_text(membership)
        return cpu_quota(tmp_path / "groups", tmp_path / "cgroup")

    call.mount = tmp_path / "groups"
    return call


def test_the_tightest_quota_decides(cpus):
    quota(cpus.mount / "pod/container", max="max 100000")
    quota(cpus.mount / "pod", max="150000 50000")
    quota(cpus.mount, max="6400000 100000")
    assert cpus("0::/pod/container\n") == 3


def test_the_quota_of_the_first_version(cpus):
    quota(cpus.mount / "cpu/job/step", cfs_quota_us="-1", cfs_period_us="100000")
    quota(cpus.mount / "cpu/job", cfs_quota_us="250000", cfs_period_us="100000")
    quota(cpus.mount / "job", max="100000 100000")  # of another controller's path
    assert cpus("4:cpu,cpuacct:/job/step\n3:memory:/job\n") == 2.5


def test_no_quota(cpus):
    quota(cpus.mount / "job", max="max 100000")
    assert cpus("0::/job\n") is None
    assert cpus("0::/gone\n2:memory:/job\n") is None
