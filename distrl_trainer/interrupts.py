"""SIGINT, SIGTERM and SIGHUP, turned into a flag where a run can stop in order and into an exception where it cannot.

Invariant: a second signal always ends what is going on. Caller: `train_command`, in the main thread.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to stop; what is complete on disk stays so."""


class Interrupts:
    """While entered, a first signal raises `Interrupted`, or inside `deferred` only sets `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._notify: Callable[[], None] | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            # nohup has SIGHUP ignored: a run started with it survives its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self, notify: Callable[[], None]) -> Iterator[None]:
        """Make the first signal call `notify` instead of raising: the body promises to look at `requested`."""
        self._notify = notify
        try:
            yield
        finally:
            self._notify = None

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come: for long parts of a `deferred` body that can be left out."""
        if self.requested:
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.requested = not self.requested, True
        if first and self._notify is not None:
            self._notify()
            return
        raise Interrupted(signal.Signals(number).name)
