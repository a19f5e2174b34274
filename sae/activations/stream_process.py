"""The trainer's end of the process that harvests for it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from mmap import mmap
from multiprocessing import Pipe
from typing import Any

from torch import Tensor

from ...common.system import nameless_memory
from .blocks import BlockLayout
from .messages import Begin, Filled, Free, Job, Ready

_WORKER = f"{__package__}.stream_worker"


class StreamProcess:
    """A process that loads a language model and fills blocks with its activations.

    It shares with this one a socket and memory that has no name, so that both are gone with the
    last process that holds them, whatever ends it.

    Args:
        job: what to load.

    Attributes:
        ready: what the process found.
        pid: its number.

    Raises:
        FileNotFoundError, OSError, ImportError, ValueError: as `HookedModel`, in that process.
        ChildProcessError: it was killed.
    """

    def __init__(self, job: Job) -> None:
        self._link, theirs = Pipe()
        self._memory = nameless_memory()
        numbers = (theirs.fileno(), self._memory)
        words = [sys.executable, "-P", "-m", _WORKER, *map(str, numbers), str(os.getpid())]
        # A session of its own: Ctrl-C on the terminal is the trainer's, which ends this one.
        self._process = subprocess.Popen(
            words,
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        theirs.close()
        self.pid = self._process.pid
        self._slots: list[dict[str, Tensor]] = []
        try:
            self._send(job)
            self.ready: Ready = self._receive()
        except BaseException:
            self.close()
            raise

    def begin(self, layout: BlockLayout, epoch: int, block: int, epochs: int) -> None:
        """Let it fill the blocks from number ``block`` of ``epoch`` on; call it once."""
        self._slots = layout.slots(mmap(self._memory, layout.memory))
        self._send(Begin(epoch, block, epochs))

    def next_block(self) -> dict[str, Tensor]:
        """Wait for the next block and return its activations, (rows, d_in) by hookpoint.

        Raises:
            OSError, ImportError, ValueError: the harvest failed.
            ChildProcessError: its process was killed.
        """
        filled: Filled = self._receive()
        return {name: rows[: filled.rows] for name, rows in self._slots[filled.slot].items()}

    def free(self) -> None:
        """Say that the activations of the oldest block are used no more."""
        with suppress(OSError):  # after the last block it may have ended; else `next_block` tells
            self._link.send(Free())

    def close(self) -> None:
        """End the process and give its memory back."""
        if self._link.closed:
            return
        self._link.close()
        os.close(self._memory)
        self._slots = []
        self._process.kill()  # it holds nothing that would be lost
        self._process.wait()

    def _send(self, message: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `_receive` says what happened
            self._link.send(message)

    def _receive(self) -> Any:
        if self._link.closed:
            raise ValueError(
                "stream: these batches ended when it was closed or others were asked for"
            )
        try:
            message = self._link.recv()
        except (EOFError, ConnectionResetError):
            raise ChildProcessError(self._death()) from None
        if isinstance(message, Exception):
            raise message
        return message

    def _death(self) -> str:
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return (
            f"the process that harvests, {self.pid}, {how}; if memory ran out, smaller blocks or "
            f"fewer sequences take less; the same command goes on from the last checkpoint"
        )
