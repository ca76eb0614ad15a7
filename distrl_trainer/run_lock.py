"""One run, one folder, one process: `run.lock` says which process works in a folder.

Invariant: at most one process holds the lock of a folder, and the operating system takes it back when that process
dies, however it dies. Child processes do not inherit it (Python opens files close-on-exec, and they are spawned).
Callers: `run_folder`, `train_command.warmup`, `algorithm.DistRL.learn`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from distrl_trainer.storage import StorageError

LOCK = "run.lock"
_MAX_BYTES = 4096
"""Of a lock file that are read: what names an owner has some 100."""


class FolderInUseError(Exception):
    """Another process works in the folder; the message names it."""


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock. `since` is local time with its offset from UTC."""

    pid: int
    host: str
    since: str


@contextmanager
def hold(folder: Path, lock: Path | None = None) -> Iterator[bool]:
    """Be the one process that works in `folder` while inside; a process that is already may enter again.

    Args:
        folder: Made if it is missing, unless `lock` lies elsewhere.
        lock: The lock's file; None: `run.lock` in `folder`.

    Yields:
        Whether this is the outermost entry.

    Raises:
        FolderInUseError: Another process is inside; nothing was touched.
        StorageError: The lock's file cannot be made.
    """
    path = lock or folder / LOCK
    # A singleton by its path, so that the same process can enter again; for all threads, as `learn` may run in another.
    found = FileLock(str(path.resolve()), timeout=0, thread_local=False, is_singleton=True)
    outermost = not found.is_locked
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.acquire()
    except Timeout:
        raise FolderInUseError(_refusal(folder, path)) from None
    except (OSError, NotImplementedError) as error:
        raise StorageError(
            f"cannot lock {path}: {error}; choose a folder where files can be made and locked"
        ) from error
    try:
        if outermost:
            _sign(path)
        yield outermost
    finally:
        found.release()


def _sign(path: Path) -> None:
    """Write the owner into the lock's file, in place: a rename would take the lock to a file without a name."""
    owner = Owner(os.getpid(), socket.gethostname(), datetime.now().astimezone().isoformat(timespec="seconds"))
    with path.open("r+b") as file:
        file.write(msgspec.json.encode(owner) + b"\n")
        file.truncate()


def _refusal(folder: Path, path: Path) -> str:
    advice = "wait for its end or stop it, then try again"
    try:
        with path.open("rb") as file:
            owner = msgspec.json.decode(file.read(_MAX_BYTES), type=Owner)
    except (OSError, msgspec.DecodeError):  # its owner has not signed yet
        return f"{folder} is in use by another process; {advice}"
    return f"{folder} is in use by process {owner.pid} on {owner.host} since {owner.since}; {advice}"
