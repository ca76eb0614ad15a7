"""`Lifeline`: a child process that ends when its parent does, whatever either of them is doing just then.

The parent passes a `Lifeline` as the first argument of the process's target, and the target is a function of a module
that imports next to nothing: arguments are unpickled in order, so the child is tied before it imports anything heavy.
On Linux the kernel kills it, even stopped or inside a C call; elsewhere, and for the moment before the kernel knows, a
thread waits for the end of the parent. Callers: `process_fleet`, `collector_process`.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Lifeline:
    """Ties the process that unpickles it to the process `parent`."""

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def __reduce__(self) -> tuple[Callable[[int], Lifeline], tuple[int]]:
        return tie, (self.parent,)


def tie(parent: int) -> Lifeline:
    """Let the kernel kill this process when `parent` dies (Linux only), and end it if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return Lifeline(parent)


def run_tied(lifeline: Lifeline, body: Callable[..., None], *arguments: Any) -> None:
    """Call `body(*arguments)` in a process that ends with its parent: the target of a child process."""
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    body(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "run_tied is the target of a child process"
    wait([parent.sentinel])
    # At once and without clean-up: the main thread may be blocked for ever, and files are whole at every instant.
    os._exit(1)
