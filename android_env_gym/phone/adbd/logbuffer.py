"""The log of a served phone: what `logcat` prints, in its formats. `ServedPhone.record` writes it, in phone time."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime

import msgspec

CAPACITY = 4096
BUFFERS = ("main", "system", "crash", "events")
FORMATS = ("brief", "process", "tag", "thread", "raw", "time", "threadtime", "long")
MODIFIERS = ("color", "descriptive", "epoch", "printable", "uid", "usec", "UTC", "year", "zone")
LEVELS = "VDIWEF"
_SYSTEM_SERVER = 1412


class LogEntry(msgspec.Struct, frozen=True):
    """One line of the log; `serial` counts all lines ever written, `at` is phone time in milliseconds."""

    serial: int
    at: int
    tag: str
    message: str
    level: str = "I"
    buffer: str = "main"
    pid: int = _SYSTEM_SERVER
    tid: int = _SYSTEM_SERVER + 38

    def __str__(self) -> str:
        return self.format("threadtime")

    def format(self, style: str, modifiers: frozenset[str] = frozenset()) -> str:
        """Return the entry as `logcat -v style` prints it, without the line end; "epoch" and "year" change the time."""
        moment = datetime.fromtimestamp(self.at / 1000, UTC)
        stamp = f"{moment:%Y-%m-%d %H:%M:%S}" if "year" in modifiers else f"{moment:%m-%d %H:%M:%S}"
        stamp = f"{self.at // 1000:>19}" if "epoch" in modifiers else stamp
        stamp += f".{self.at % 1000:03d}" + ("000" if "usec" in modifiers else "")
        head, pid = f"{self.level}/{self.tag:<8}", f"{self.pid:5d}"
        return {
            "brief": f"{head}({pid}): {self.message}",
            "process": f"{self.level}({pid}) {self.message}  ({self.tag})",
            "tag": f"{head}: {self.message}",
            "thread": f"{self.level}({pid}:{self.tid:5d}) {self.message}",
            "raw": self.message,
            "time": f"{stamp} {head}({pid}): {self.message}",
            "threadtime": f"{stamp} {pid} {self.tid:5d} {self.level} {self.tag:<8}: {self.message}",
            "long": f"[ {stamp} {pid}:{self.tid:5d} {head} ]\n{self.message}\n",
        }[style]


class LogBuffer:
    """The newest `CAPACITY` entries; `changed` is notified after each.

    Args:
        lock: Shared with the phone, so that an entry never tells of a state that cannot be seen yet.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self.changed = threading.Condition(lock)
        self.entries: deque[LogEntry] = deque(maxlen=CAPACITY)
        self.count = 0

    def append(self, at: int, tag: str, message: str, level: str, buffer: str) -> None:
        """Append a message, one entry a line."""
        with self.changed:
            for line in message.splitlines() or ("",):
                self.count += 1
                self.entries.append(LogEntry(self.count, at, tag, line, level, buffer))
            self.changed.notify_all()

    def clear(self) -> None:
        """Drop every entry; the count goes on."""
        with self.changed:
            self.entries.clear()

    def since(self, serial: int, buffers: frozenset[str]) -> list[LogEntry]:
        """Return the entries of `buffers` that are newer than `serial`, oldest first."""
        with self.changed:
            return [entry for entry in self.entries if entry.serial > serial and entry.buffer in buffers]
