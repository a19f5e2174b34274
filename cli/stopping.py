"""SIGINT and SIGTERM while SAEs train: they are saved, and the run ends."""

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(BaseException):
    """Training ended between its first and last step, saved, because a signal asked for it."""

    def __init__(self, step: int, total: int, number: signal.Signals) -> None:
        super().__init__(f"stopped at step {step:,} of {total:,}")
        self.exit_code = 128 + number


class StopRequest:
    """Training's ``stop`` while its ``with`` block runs: says whether SIGINT or SIGTERM came.

    The first signal only asks; from then on signals act as they did before the block, so that a
    second Ctrl-C ends at once. The block ends in `StoppedBySignal` where training did stop.
    Between two trainings nobody would hear the first one: see `nobody_asks`.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._signal: signal.Signals | None = None
        self._is_heard = True
        self._handlers: dict[signal.Signals, Any] = {}  # those of before, None where C set one

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        from ..sae.training import StoppedError

        self._restore()
        if isinstance(error, StoppedError) and self._signal is not None:
            raise StoppedBySignal(error.step, error.total, self._signal) from error

    def __call__(self) -> bool:
        """Return whether to stop, and say on the console that it takes a moment."""
        self._is_heard = True
        if self._signal is not None:
            self._console.print(f"{self._signal.name}: saving; a second one ends at once")
        return self._signal is not None

    def nobody_asks(self) -> None:
        """Let signals act as before the block until `stop` is asked again, also one that came."""
        self._is_heard = False
        if self._signal is not None:
            signal.raise_signal(self._signal)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._restore()
        if self._is_heard:
            self._signal = signal.Signals(number)
        else:
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
