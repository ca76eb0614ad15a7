"""Files that are either whole or absent: the one way inbox and weight store write to disk.

Invariant: a reader never sees a half-written file under its final name; a failed write leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


class StorageError(RuntimeError):
    """A file could not be stored; what was stored before is intact."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`: temporary name, fsync, rename, fsync of the folder.

    Raises:
        StorageError: The operating system refused, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = _FULL.get(error.errno or 0, str(error))
        raise StorageError(
            f"cannot write {path} ({len(data)} bytes): {reason}; free space there or choose another folder, then resume"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
