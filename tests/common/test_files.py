import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from twinsae.common.files import atomic_write, sha256


def test_a_write_appears_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    synced = []

    def fsync(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert synced == [(temporary, False), (tmp_path, True)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_keeps_the_old_content(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_os_error_names_the_file_that_could_not_be_written(tmp_path):
    path = tmp_path / "a.txt"

    def full():
        with atomic_write(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"cannot write .*/a\.txt: No space left on device") as caught:
        full()
    assert caught.value.errno == errno.ENOSPC


_WRITE = """
import sys, time
from pathlib import Path
from twinsae.common.files import atomic_write
for number in range(int(sys.argv[3])):
    with atomic_write(Path(sys.argv[1])) as temporary:
        temporary.write_text(sys.argv[2] * 10_000)
        print("writes", flush=True)
        time.sleep(float(sys.argv[4]))
"""


def writer(path, letter, times, seconds):
    command = [sys.executable, "-c", _WRITE, str(path), letter, str(times), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_left_is_deleted_by_the_next_write(tmp_path):
    path = tmp_path / "a[1].txt"
    killed = writer(path, "k", 1, 60)
    killed.stdout.readline()
    (leftover,) = tmp_path.iterdir()
    with atomic_write(path) as temporary:  # the process lives: its file stays
        temporary.write_text("x")
    assert sorted(tmp_path.iterdir()) == sorted([path, leftover])
    killed.kill()
    killed.wait()
    with atomic_write(path) as temporary:
        temporary.write_text("y")
    assert path.read_text() == "y"
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_may_write_the_same_path(tmp_path):
    path = tmp_path / "a.txt"
    writers = [writer(path, letter, 100, 0) for letter in "ab"]
    for each in writers:
        output, _ = each.communicate(timeout=60)
        assert each.returncode == 0
        assert output.count("writes") == 100
    assert path.read_text() in ("a" * 10_000, "b" * 10_000)
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("links", [True, False])
def test_the_first_of_two_writers_wins(tmp_path, monkeypatch, links):
    def link(*_):
        raise OSError(errno.EPERM, "no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "file"
    with (
        atomic_write(path, first_wins=True) as one,
        atomic_write(tmp_path / "another", first_wins=True) as two,
    ):
        one.write_text("first")
        two.write_text("another")
    with atomic_write(path, first_wins=True) as temporary:
        temporary.write_text("second")
    assert path.read_text() == ("first" if links else "second")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["another", "file"]
