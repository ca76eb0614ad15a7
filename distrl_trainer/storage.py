"""Files that are either whole or absent: the one way trajectories, weights and settings are written to disk.

Invariant: a reader never sees a half-written file under its final name; a failed write leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


class StorageError(RuntimeError):
    """A file could not be stored; what was stored before is intact."""


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], None]) -> None:
    """Write `data`, or what the function `data` writes, to `path`: temporary name, fsync, rename, fsync of the folder.

    Raises:
        StorageError: The operating system refused, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w+b") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = _FULL.get(error.errno or 0, str(error))
        size = "" if callable(data) else f" ({len(data)} bytes)"
        raise StorageError(
            f"cannot write {path}{size}: {reason}; free space there or choose another folder, then resume"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
