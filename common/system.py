"""What Linux and macOS answer in different ways; no other file asks one of them alone.

Linux is asked where nothing else is said. What macOS answers has not been tried on a Mac.
"""

import ctypes
import mmap
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import getpagesize
from typing import BinaryIO


def usable_cpus() -> int:
    """Return how many CPUs this process may run on; macOS binds no process to some of them."""
    if sys.platform == "darwin":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def total_memory() -> int:
    """Return the machine's bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def unused_memory() -> int:
    """Return the bytes that can be allocated without swapping, whatever control groups say."""
    if sys.platform == "darwin":
        return _unused_on_macos(_output("vm_stat"))
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no line MemAvailable")


def own_memory() -> int:
    """Return the bytes of the process's own memory, without pages of memory-mapped files."""
    if sys.platform == "darwin":
        return _footprint_on_macos()
    # https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html: size, resident, shared, ...
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * getpagesize()


def processor_name() -> str:
    """Return the processor's name, or its architecture where the system knows no name."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string").strip()
    for line in _cpuinfo().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def processor_features() -> set[str]:
    """Return the names that Linux gives to the processor's features; macOS names none."""
    return set() if sys.platform == "darwin" else set(_cpuinfo().split())


def nameless_memory() -> int:
    """Return the descriptor of an empty file that other processes can map but nobody can open.

    It is in memory on Linux. macOS has no such files: there it is a temporary file that was
    deleted.
    """
    if sys.platform == "darwin":
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    return os.memfd_create("twinsae")


def map_private(file: BinaryIO) -> mmap.mmap:
    """Return a file's bytes as memory that can be written to and never changes the file.

    Written pages are private copies. Without a flag Linux counts all of them beforehand, and
    refuses files larger than memory; macOS counts none.
    """
    # Python names the flag from 3.13 on.
    flag = 0 if sys.platform == "darwin" else getattr(mmap, "MAP_NORESERVE", 0x4000)
    return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | flag)


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _unused_on_macos(report: str) -> int:
    """Return what a report of ``vm_stat`` counts as free, or as kept only until it is wanted."""
    page = re.search(r"page size of (\d+) bytes", report)
    counts = [
        re.search(rf"^Pages {kind}:\s+(\d+)\.$", report, re.MULTILINE)
        for kind in ("free", "inactive", "speculative")
    ]
    if page is None or None in counts:
        raise OSError(f"vm_stat: expected a page size and counts of pages, got {report!r}")
    return int(page[1]) * sum(int(count[1]) for count in counts if count is not None)


class _RusageInfo(ctypes.Structure):
    """``rusage_info_v0`` of macOS' <sys/resource.h>."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "user_time", "system_time", "idle_wakeups", "interrupt_wakeups", "pageins",
                "wired_size", "resident_size", "phys_footprint", "start_time", "exit_time",
            )
        ),
    ]  # fmt: skip


def _footprint_on_macos() -> int:
    """Return the process's private memory, compressed pages included."""
    info = _RusageInfo()
    if ctypes.CDLL(None).proc_pid_rusage(os.getpid(), 0, ctypes.byref(info)) != 0:
        raise OSError("proc_pid_rusage: macOS does not say what memory this process has")
    return int(info.phys_footprint)
