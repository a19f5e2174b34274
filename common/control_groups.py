"""The memory that control groups leave to this process, as Docker, Kubernetes and Slurm set them.

https://docs.kernel.org/admin-guide/cgroup-v2.html#memory and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

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
    if not membership.is_file():
        return None
    left = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            left += _left_along(mount, path, _V2)
        elif "memory" in controllers.split(","):
            left += _left_along(mount / "memory", path, _V1)
    return min(left, default=None)


def _left_along(root: Path, path: str, names: _Names) -> list[int]:
    """Return what each group with a limit leaves, from the process's own up to the root."""
    group = root / path.lstrip("/")
    # Without a namespace of its own, a container sees its group as the root, and its path is gone.
    groups = [group, *group.parents] if group.is_dir() else [root]
    within = (each for each in groups if each.is_relative_to(root))
    return [left for each in within if (left := _left(each, names)) is not None]


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
