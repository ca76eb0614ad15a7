"""A running shell command as the transport sees it: `Process` (output, exit, feed, kill), and its standard input.

Invariant: who writes faster than the other side reads has to wait, so what waits in between is bounded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from android_env_gym.phone.adbd.budget import Budget
from android_env_gym.phone.adbd.commands.base import CommandError, Emit

KILLED = 137
INTERRUPTED = 130
PIPE_BYTES = 1 << 16  # what Linux keeps in a pipe
OUTPUT_BYTES = 1 << 20


class FeedInput:
    """Standard input that somebody writes while the command runs.

    Writing waits while `PIPE_BYTES` are there, unless the reader asks for more at once.

    Args:
        memory: What waits here is taken from it.
    """

    def __init__(self, memory: Budget) -> None:
        self._changed = threading.Condition()
        self._memory = memory
        self._data = bytearray()
        self._wanted = 0.0
        self._ended = False
        self._paused = False
        self._overflowed = False
        self.interrupted = threading.Event()

    def write(self, data: bytes) -> None:
        """Append `data`; b"" ends the input. After the end nothing is kept."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not data or self._has_room())
            if not self._ended and data:
                self._append(data)
            self._ended = self._ended or not data
            self._changed.notify_all()

    def pause(self) -> None:
        """End the input for who reads it now, as Ctrl-D does; the next reader waits for more."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Let who reads now, and whoever reads until `interrupted` is cleared, fail as with Ctrl-C."""
        with self._changed:
            self.interrupted.set()
            self._changed.notify_all()

    def close(self) -> None:
        """End the input and forget what nobody has read; may be called twice."""
        with self._changed:
            self._ended = True
            self._take(len(self._data))

    def read(self) -> bytes:
        """Return everything up to the end.

        Raises:
            CommandError: There is more than fits into the phone's memory; so do the others.
        """
        with self._changed:
            self._wait(lambda: self._ended, float("inf"))
            return self._take(len(self._data))

    def read_line(self) -> bytes:
        """Return the next line with its line end, b"" at the end."""
        with self._changed:
            self._wait(lambda: self._ended or b"\n" in self._data, float("inf"))
            end = self._data.find(b"\n")
            return self._take(end + 1 if end >= 0 else len(self._data))

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer at the end."""
        with self._changed:
            self._wait(lambda: self._ended or len(self._data) >= count, count)
            return self._take(count)

    def _has_room(self) -> bool:
        return len(self._data) < max(PIPE_BYTES, self._wanted)

    def _append(self, data: bytes) -> None:
        if self._memory.take(len(data)):
            self._data += data
        else:
            self._ended = self._overflowed = True

    def _wait(self, there: Callable[[], bool], wanted: float) -> None:
        if not there():
            self._wanted = wanted
            self._changed.notify_all()
            self._changed.wait_for(lambda: there() or self._paused or self.interrupted.is_set())
            self._wanted = 0.0
        if self.interrupted.is_set():
            raise CommandError("", INTERRUPTED)
        self._paused = False
        if self._overflowed:
            raise CommandError("cannot allocate memory", KILLED)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        self._memory.give(len(taken))
        self._changed.notify_all()
        return taken


class Either(threading.Event):
    """An event that is also set when another one is."""

    def __init__(self, *others: threading.Event) -> None:
        super().__init__()
        self._others = others

    def is_set(self) -> bool:
        """Return whether this event or one of the others is set."""
        return super().is_set() or any(other.is_set() for other in self._others)


class Process:
    """A command that runs in a thread of its own.

    Invariant: `output` ends exactly once, after the command ended or was killed; then `exit` holds its status.

    Args:
        body: Runs the command: `(stdin, emit, stopped) -> exit status`.
        memory: What waits on its stdin is taken from it.
    """

    def __init__(self, body: Callable[[FeedInput, Emit, threading.Event], int], memory: Budget) -> None:
        self.exit = KILLED
        self._stdin = FeedInput(memory)
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._written: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._over = False
        self._thread = threading.Thread(target=self._run, args=(body,), name="device-shell", daemon=True)
        self._thread.start()

    @property
    def output(self) -> Iterator[tuple[int, bytes]]:
        """What the command writes, as it comes: (1, stdout bytes) or (2, stderr bytes)."""
        while (piece := self._next()) is not None:
            yield piece

    def feed(self, data: bytes) -> None:
        """Write to the command's stdin, waiting while it does not read; b"" ends it."""
        self._stdin.write(data)

    def end_of_file(self) -> None:
        """End stdin for who reads it now."""
        self._stdin.pause()

    def interrupt(self) -> None:
        """End what runs in an interactive shell, not the shell itself."""
        self._stdin.interrupt()

    def echo(self, data: bytes) -> None:
        """Write to the command's output what its terminal shows of the keys."""
        self._emit(1, data)

    def kill(self) -> None:
        """End the command's output now and the command itself soon; may be called twice."""
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()
        self._stdin.write(b"")  # what is there can still be read

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the command has ended, e.g. after `kill`."""
        self._thread.join(timeout)

    def _run(self, body: Callable[[FeedInput, Emit, threading.Event], int]) -> None:
        status = KILLED
        try:
            status = body(self._stdin, self._emit, self._stopped)
        finally:
            self._stdin.close()
            with self._changed:
                if not self._stopped.is_set():
                    self.exit = status
                self._over = True
                self._changed.notify_all()

    def _emit(self, fd: int, data: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < OUTPUT_BYTES or self._stopped.is_set())
            if data and not self._stopped.is_set():
                self._written.append((fd, data))
                self._waiting += len(data)
                self._changed.notify_all()

    def _next(self) -> tuple[int, bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._written or self._over or self._stopped.is_set())
            if self._stopped.is_set() or not self._written:
                return None
            piece = self._written.popleft()
            self._waiting -= len(piece[1])
            self._changed.notify_all()
            return piece
