"""What is measured and estimated of memory."""

import time
from pathlib import Path

import numpy as np
import pytest
from twinsae.common.memory import PeakMemory, available_memory

MIB = 2**20


def test_available_memory_is_a_part_of_the_machines():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total = int(lines["MemTotal"].split()[0]) * 1024
    assert 0 < available_memory() < total


def test_a_meminfo_without_the_line_is_an_error(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda _: "MemTotal: 1 kB\n")
    with pytest.raises(OSError, match="no line MemAvailable"):
        available_memory()


def test_the_peak_is_counted_even_if_freed_before_the_end():
    with PeakMemory() as memory:
        block = np.ones(200 * MIB // 8)
        deadline = time.monotonic() + 10
        while memory.peak_bytes < 190 * MIB and time.monotonic() < deadline:
            time.sleep(0.01)  # until the thread has looked
        del block
    assert 190 * MIB < memory.peak_bytes < 230 * MIB


def test_pages_of_a_mapped_file_do_not_count(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones(100 * MIB // 8))
    with PeakMemory() as memory:
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        assert mapped.sum() == len(mapped)
    assert memory.peak_bytes < 30 * MIB
