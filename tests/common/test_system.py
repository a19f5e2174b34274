"""What the operating system is asked: Linux's own answers, and macOS' from what its tools print.

No Mac was at hand: a platform is pretended, and what stands for its answers was written by hand.
"""

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from twinsae.common import system

VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               12001.
Pages active:                            300000.
Pages inactive:                            5000.
Pages speculative:                          700.
Pages throttled:                              0.
"Translation faults":                 123456789.
"""


@pytest.fixture
def mac(monkeypatch):
    """Pretend to be a Mac whose commands print what is given, and that lacks what Linux has."""
    outputs = {
        ("vm_stat",): VM_STAT,
        ("sysctl", "-n", "machdep.cpu.brand_string"): "Apple M1\n",
    }

    def run(words, **_):
        return SimpleNamespace(stdout=outputs[words])

    def refuse(path, *_, **__):
        raise FileNotFoundError(path)

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(Path, "read_text", refuse)
    for name in ("sched_getaffinity", "memfd_create"):
        monkeypatch.delattr(os, name)
    monkeypatch.delattr(mmap, "MAP_NORESERVE", raising=False)
    return outputs


def test_linux_tells_of_memory():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total = int(lines["MemTotal"].split()[0]) * 1024
    assert system.total_memory() == total
    assert 0 < system.unused_memory() < total
    assert 0 < system.own_memory() < total


def test_linux_tells_of_the_processor():
    assert system.usable_cpus() == len(os.sched_getaffinity(0))
    text = Path("/proc/cpuinfo").read_text()
    assert system.processor_features() <= set(text.split())
    assert system.processor_name() in text or system.processor_name() == os.uname().machine


def test_an_arm_cpu_without_a_name_is_called_by_its_architecture(monkeypatch):
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"
    monkeypatch.setattr(Path, "read_text", lambda _: text)
    assert system.processor_name() == os.uname().machine
    assert {"asimd", "asimddp"} <= system.processor_features()


@pytest.mark.usefixtures("mac")
def test_a_mac_counts_pages_that_are_kept_until_they_are_wanted():
    assert system.unused_memory() == (12001 + 5000 + 700) * 16384


def test_a_report_of_another_form_is_an_error(mac):
    mac[("vm_stat",)] = VM_STAT.replace("inactive", "idle")
    with pytest.raises(OSError, match="vm_stat: expected a page size and counts of pages"):
        system.unused_memory()


@pytest.mark.usefixtures("mac")
def test_a_mac_tells_of_the_processor():
    assert system.processor_name() == "Apple M1"
    assert system.processor_features() == set()
    assert system.usable_cpus() == os.cpu_count()


@pytest.mark.usefixtures("mac")
@pytest.mark.parametrize("refused", [False, True])
def test_a_macs_memory_is_the_footprint_of_the_process(monkeypatch, refused):
    def proc_pid_rusage(pid, flavor, buffer):
        assert (pid, flavor) == (os.getpid(), 0)
        # rusage_info_v0: 16 bytes, then ten numbers, of which the eighth is the footprint.
        numbers = (ctypes.c_uint64 * 12).from_address(ctypes.addressof(buffer._obj))
        assert ctypes.sizeof(buffer._obj) == ctypes.sizeof(numbers)
        numbers[2 + 7] = 123_456_789
        return -1 if refused else 0

    library = SimpleNamespace(proc_pid_rusage=proc_pid_rusage)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    if refused:
        with pytest.raises(OSError, match="proc_pid_rusage"):
            system.own_memory()
    else:
        assert system.own_memory() == 123_456_789


def check_nameless_memory() -> None:
    memory = system.nameless_memory()
    os.ftruncate(memory, 100)
    ours, theirs = mmap.mmap(memory, 100), mmap.mmap(os.dup(memory), 100)
    ours[7] = 42
    assert theirs[7] == 42
    assert os.fstat(memory).st_nlink == 0
    os.close(memory)


def test_nameless_memory_is_shared_and_cannot_be_opened():
    check_nameless_memory()


@pytest.mark.usefixtures("mac")
def test_nameless_memory_is_shared_and_cannot_be_opened_on_a_mac():
    check_nameless_memory()


def check_private_map(path: Path) -> None:
    path.write_bytes(b"twinsae")
    with path.open("rb") as file:
        mapped = system.map_private(file)
    mapped[0:4] = b"four"
    assert mapped[:] == b"foursae"
    assert path.read_bytes() == b"twinsae"


def test_writing_to_a_private_map_leaves_the_file(tmp_path):
    check_private_map(tmp_path / "file")


@pytest.mark.usefixtures("mac")
def test_writing_to_a_private_map_leaves_the_file_on_a_mac(tmp_path):
    check_private_map(tmp_path / "file")
