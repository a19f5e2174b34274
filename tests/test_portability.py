"""What only Linux has is asked for in two files: common/system.py, and util/system.h in C++."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("bench", "cli", "common", "kernels", "matching", "sae", "sweep")
# Control groups are Linux's; without the files under these paths there are none.
PYTHON_EXCEPT = {"common/system.py", "common/control_groups.py"}
CPP_EXCEPT = {"kernels/native/util/system.h"}

# Names of os, mmap and others that macOS lacks, and what names a path or a number of Linux.
PYTHON = re.compile(
    r"""["']/(?:proc|sys|dev/shm)\b | SC_AVPHYS_PAGES | \bMAP_(?:NORESERVE|POPULATE|ANONYMOUS)\b
    | \bos\.(?:sched_\w+|memfd_create|posix_fadvise|posix_fallocate|sendfile|splice|pipe2|eventfd
               |copy_file_range|getrandom|getxattr|setxattr|pidfd_open|unshare)\b
    | \bMADV_(?:HUGEPAGE|POPULATE\w*|DONTFORK)\b | \bru_maxrss\b | \bselect\.epoll\b | \bprctl\b
    | \bSOCK_CLOEXEC\b | \bO_(?:DIRECT|TMPFILE|PATH|NOATIME)\b""",
    re.VERBOSE,
)
CPP = re.compile(
    r"""\#\s*include\s*<(?:sys/|linux/|asm/|unistd\.h|sched\.h|malloc\.h|numa\.h|features\.h)
    | \b(?:madvise|mmap|getauxval|sched_\w+affinity|syscall|prctl|malloc_trim|pthread_setaffinity_np
           |get_nprocs|aligned_alloc)\b | \b__linux__\b | \b(?:HWCAP|MADV|MAP)_[A-Z]""",
    re.VERBOSE,
)


def found(rooms: tuple[str, ...], suffixes: set[str], pattern: re.Pattern[str]) -> set[str]:
    return {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for room in rooms
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in suffixes and "node_modules" not in path.parts
        for line in path.read_text().splitlines()
        if (match := pattern.search(line.partition(" //")[0]))
    }


def test_python_asks_linux_in_one_place():
    places = found(ROOMS, {".py"}, PYTHON)
    files = {place.partition(":")[0] for place in places}
    assert files >= PYTHON_EXCEPT, "these files need no exception"
    assert files == PYTHON_EXCEPT, places


def test_cpp_asks_linux_in_one_place():
    places = found(("kernels", "matching"), {".cpp", ".h", ".inc"}, CPP)
    files = {place.partition(":")[0] for place in places}
    assert files == CPP_EXCEPT, places


@pytest.mark.parametrize(
    "line", ['Path("/proc/meminfo")', "os.sched_getaffinity(0)", 'os.sysconf("SC_AVPHYS_PAGES")']
)
def test_calls_of_linux_are_recognised(line):
    assert PYTHON.search(line)


@pytest.mark.parametrize("line", ["#include <sys/mman.h>", "  madvise(data_, whole, 14);"])
def test_calls_of_linux_in_cpp_are_recognised(line):
    assert CPP.search(line)
