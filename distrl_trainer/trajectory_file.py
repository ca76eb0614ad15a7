"""One trajectory file: its name, its checksum, and how to read what may be hostile.

    NUMBER-ID-CHECKSUM.traj, for instance 00000017-c0.2-00000041-9f2c64c1d0b7a35e.traj

A trajectory is one immutable file from birth to eviction, under one name. The number counts what one writer wrote, so
names sort by arrival and no clock enters; the id makes a name unique; the checksum is of the content, which is msgpack.
Callers: `inbox.Inbox` and `trajectory_files.TrajectoryFiles`.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import stat
from pathlib import Path

import msgspec

from distrl_trainer.storage import StorageError, write_atomic
from distrl_trainer.trajectory import Trajectory, decode

logger = logging.getLogger(__name__)

SUFFIX = ".traj"
MAX_BYTES = 1 << 30
"""Size of a file where no run says what its episodes can need: 50 of them would fill the memory of a workstation."""
WELL_FORMED = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
"""Ids are part of file names: no separators, no control characters, not hidden, not long."""
_NAME = re.compile(rf"(\d+)-({WELL_FORMED})-([0-9a-f]{{16}})\.traj", re.ASCII)
_LONGEST_NAME = 150
"""Bytes of a refused file's name that are kept: with a number and `.reason` it stays below a file system's 255."""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class TrajectoryFileError(ValueError):
    """A file that is no sound trajectory; the message is the reason, without the name."""


def file_name(number: int, trajectory_id: str, data: bytes) -> str:
    """Return the name of the file of `data`, the `number`-th that its writer writes.

    Raises:
        ValueError: The id cannot be part of a file's name.
    """
    if not is_well_formed(trajectory_id):
        raise ValueError(f"got the id {trajectory_id!r}; allowed are 1 to 100 letters, digits, '.', '_', '-'")
    return f"{number:08d}-{trajectory_id}-{_checksum(data)}{SUFFIX}"


def is_well_formed(trajectory_id: str) -> bool:
    """Return whether `trajectory_id` can be part of a file's name: 1 to 100 letters, digits, ".", "_", "-"."""
    return re.fullmatch(WELL_FORMED, trajectory_id, re.ASCII) is not None


def id_of(name: str) -> str:
    """Return the trajectory id in a file's name, "" if it is not named like a trajectory."""
    match = _NAME.fullmatch(name)
    return match[2] if match else ""


def arrival(name: str) -> tuple[int, str]:
    """Return what files are sorted by: the writer's number, then the name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]) if match else 0), name


def listed(folder: Path) -> list[str]:
    """Return the names of the trajectory files in `folder` (none if it is absent), in order of arrival."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted((name for name in names if name.endswith(SUFFIX) and not name.startswith(".")), key=arrival)


def read_trajectory(path: Path, max_bytes: int = MAX_BYTES) -> Trajectory:
    """Return the trajectory in `path`.

    Nothing here waits or follows: a FIFO without a writer, a device or a link to elsewhere is refused.

    Raises:
        TrajectoryFileError: It is no sound trajectory.
        FileNotFoundError: It is not there.
        StorageError: The process has run out of files or memory, which is not the file's fault.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise TrajectoryFileError(f"its name is not NUMBER-ID-CHECKSUM{SUFFIX}")
    data = _read_regular(path, max_bytes)
    if _checksum(data) != match[3]:
        raise TrajectoryFileError(f"its {len(data)} bytes do not match the checksum in its name")
    try:
        trajectory = decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TrajectoryFileError(f"it is not a trajectory: {error}") from error
    if trajectory.id != match[2]:
        raise TrajectoryFileError(f"it holds the trajectory {trajectory.id[:100]!a}, unlike its name")
    return trajectory


def refuse(path: Path, refused: Path, reason: str) -> bool:
    """Move `path` to the folder `refused`, with its reason beside it, and log one line; return whether it could go.

    Never raises for what lies at `path`: what cannot even be moved is told and left alone.
    """
    shown = ascii(path.name)[1:-1]
    # A decoder's message may quote the content: one printable line, not more.
    reason = ascii(reason)[1:-1][:500]
    try:
        refused.mkdir(parents=True, exist_ok=True)
        path.rename(target := _free(refused, path.name))
    except OSError as error:
        logger.warning("refused trajectory file %s: %s; it cannot be moved (%s)", shown, reason, error.strerror)
        return False
    try:
        write_atomic(target.with_name(f"{target.name}.reason"), f"{reason}\n".encode())
    except StorageError as error:
        logger.warning("the reason of %s is not written: %s", shown, error)
    logger.warning("refused trajectory file %s: %s; moved to %s", shown, reason, refused)
    return True


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _read_regular(path: Path, max_bytes: int) -> bytes:
    try:
        # Without O_NONBLOCK, opening a FIFO waits for its writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise StorageError(f"cannot read {path}: {error.strerror}; give the process more and resume") from error
        raise TrajectoryFileError(f"it cannot be opened as a plain file: {error.strerror}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise TrajectoryFileError("it is not a plain file")
    with os.fdopen(handle, "rb") as file:
        if found.st_size > max_bytes:
            raise TrajectoryFileError(f"it has {found.st_size} bytes; a trajectory has at most {max_bytes}")
        try:
            data = file.read(max_bytes + 1)
        except OSError as error:
            raise TrajectoryFileError(f"it cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise TrajectoryFileError(f"it grew beyond {max_bytes} bytes while it was read")
    return data


def _free(folder: Path, name: str) -> Path:
    """Return a path in `folder` that nothing lies at, named like `name`."""
    short = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
    target, again = folder / short, 1
    while os.path.lexists(target):
        again += 1
        target = folder / f"{short}.{again}"
    return target
