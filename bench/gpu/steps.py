"""Runs the steps of a stage, in a process of its own, so that none ends the others.

A step that raises is recorded, and the next one begins. A step that hangs, that loses the device or
that kills its process ends the process: its parent starts the stage again, and it goes on behind.
"""

import faulthandler
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .records import Record, append, read

if TYPE_CHECKING:
    from ..clock import CpuClock

LOST = 75  # exit code: the device does not work any more
SECONDS = 30.0


class Steps:
    """The steps of one stage.

    Args:
        stage: its name.
        file: the records; steps that began in an earlier process of the stage are not run again.
        clock: tells whether the device still works.
    """

    def __init__(self, stage: str, file: Path, clock: "CpuClock") -> None:
        self.file = file
        self._stage = stage
        self._clock = clock
        self._parent = os.getppid()
        self._begun = {r["step"] for r in read(file) if r["stage"] == stage and "step" in r}

    def run(
        self,
        name: str,
        call: Callable[[], Record],
        seconds: float = SECONDS,
        ours: bool = True,
    ) -> None:
        """Run a step, and record the facts that it returns, or the error that it raises.

        Args:
            name: of the step, unique in its stage.
            call: its work.
            seconds: after so many, the process ends.
            ours: whether a failure is one of twinsae, and not that of a peer.
        """
        if name in self._begun:
            return
        if os.getppid() != self._parent:  # it was killed; nobody waits for more results
            os._exit(1)
        append(self.file, stage=self._stage, step=name, state="begin")
        faulthandler.dump_traceback_later(seconds, exit=True)
        started = time.monotonic()
        try:
            facts = call()
            self._clock.synchronize()
        except Exception as error:  # a compiler or a driver may raise any
            facts = {"problem": said(error), "ours": ours}
            traceback.print_exc()
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = round(time.monotonic() - started, 3)
        append(self.file, stage=self._stage, step=name, state="end", took=took, **facts)
        if "problem" in facts and not self._clock.answers():
            os._exit(LOST)
        self._clock.release()


def said(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line}"[:300]
