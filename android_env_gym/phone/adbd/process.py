"""A running shell command as the transport sees it: `Process` (output, exit, feed, kill), and its standard input."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from android_env_gym.phone.adbd.commands.base import Emit, Input

KILLED = 137


class FeedInput:
    """Standard input that somebody writes while the command runs; reading waits, writing never does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._data = bytearray()
        self._ended = False

    def write(self, data: bytes) -> None:
        """Append `data`; b"" ends the input."""
        with self._changed:
            self._data += data
            self._ended = self._ended or not data
            self._changed.notify_all()

    def read(self) -> bytes:
        """Return everything up to the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._take(len(self._data))

    def read_line(self) -> bytes:
        """Return the next line with its line end, b"" at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or b"\n" in self._data)
            end = self._data.find(b"\n")
            return self._take(end + 1 if end >= 0 else len(self._data))

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._data) >= count)
            return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
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
    """

    def __init__(self, body: Callable[[Input, Emit, threading.Event], int]) -> None:
        self.exit = KILLED
        self._stdin = FeedInput()
        self._stopped = threading.Event()
        self._written: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(body,), name="device-shell", daemon=True)
        self._thread.start()

    @property
    def output(self) -> Iterator[tuple[int, bytes]]:
        """What the command writes, as it comes: (1, stdout bytes) or (2, stderr bytes)."""
        return iter(self._written.get, None)  # type: ignore[return-value]  # None is the sentinel, never yielded

    def feed(self, data: bytes) -> None:
        """Write to the command's stdin without waiting; b"" ends it."""
        self._stdin.write(data)

    def kill(self) -> None:
        """End the command's output now and the command itself soon; may be called twice."""
        self._stopped.set()
        self._stdin.write(b"")
        self._written.put(None)

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the command has ended, e.g. after `kill`."""
        self._thread.join(timeout)

    def _run(self, body: Callable[[Input, Emit, threading.Event], int]) -> None:
        status = KILLED
        try:
            status = body(self._stdin, self._emit, self._stopped)
        finally:
            if not self._stopped.is_set():
                self.exit = status
            self._written.put(None)

    def _emit(self, fd: int, data: bytes) -> None:
        if data and not self._stopped.is_set():
            self._written.put((fd, data))
