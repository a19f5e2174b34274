"""What control groups leave to this process, as Docker, Kubernetes and Slurm set them.

https://docs.kernel.org/admin-guide/cgroup-v2.html (memory, cpu),
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and
https://docs.kernel.org/scheduler/sched-bwc.html (cpu in version 1)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


class _Names(NamedTuple):
    """How a version of control groups calls its files, and the lines of ``memory.stat``."""

    limit: str
    usage: str
    file_pages: tuple[str, str]


_V1 = _Names(
    "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
)
_V2 = _Names("memory.max", "memory.current", ("active_file", "inactive_file"))


def memory_left(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int | None:
    """Return the bytes that this process may still allocate within its control groups.

    Args:
        mount: where the groups' file system is.
        membership: the file that says which groups the process is in.

    Returns:
        What the tightest of the groups and those above them leaves; pages of files count as free,
        since the kernel drops them when memory is wanted. None if no group has a limit.
    """
    left = [
        _left(group, _V1 if version == 1 else _V2)
        for version, group in _groups("memory", mount, membership)
    ]
    return min((each for each in left if each is not None), default=None)


def cpu_quota(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> float | None:
    """Return how many CPUs' time this process may take within its control groups.

    Args:
        mount: where the groups' file system is.
        membership: the file that says which groups the process is in.

    Returns:
        That of the tightest of the groups and those above them; None if no group has a limit.
    """
    quotas = [
        _quota_of_v1(group) if version == 1 else _quota_of_v2(group)
        for version, group in _groups("cpu", mount, membership)
    ]
    return min((each for each in quotas if each is not None), default=None)


def _groups(controller: str, mount: Path, membership: Path) -> Iterator[tuple[int, Path]]:
    """Yield the version and the folder of each group that the process is in, up to the root."""
    if not membership.is_file():
        return
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            version, root = 2, mount
        elif controller in controllers.split(","):
            version, root = 1, mount / controller
        else:
            continue
        group = root / path.lstrip("/")
        # Without a namespace of its own, a container sees its group as the root: its path is gone.
        groups = [group, *group.parents] if group.is_dir() else [root]
        yield from ((version, each) for each in groups if each.is_relative_to(root))


def _quota_of_v2(group: Path) -> float | None:
    file = group / "cpu.max"
    if not file.is_file():
        return None
    quota, period = file.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_of_v1(group: Path) -> float | None:
    quota, period = group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us"
    if not (quota.is_file() and period.is_file()) or int(quota.read_text()) < 0:
        return None
    return int(quota.read_text()) / int(period.read_text())


def _left(group: Path, names: _Names) -> int | None:
    limit, usage, stat = (group / name for name in (names.limit, names.usage, "memory.stat"))
    if not (limit.is_file() and usage.is_file() and stat.is_file()):
        return None
    allowed = limit.read_text().strip()
    if allowed == "max":
        return None
    numbers = dict(line.split() for line in stat.read_text().splitlines())
    cached = sum(int(numbers.get(name, 0)) for name in names.file_pages)
    return max(0, int(allowed) - int(usage.read_text()) + cached)
