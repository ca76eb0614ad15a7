"""The files of a saved replay: `trajectories.msgpack` (records end to end) and `replay.npz` (arrays).

Invariant: what `read_replay` returns is what `write_replay` was given, bit for bit, or it raises. No pickle.
Called by `Replay.save` and `Replay.load`.
"""

from __future__ import annotations

import io
import itertools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distrl_trainer.storage import write_atomic

TRAJECTORIES = "trajectories.msgpack"
ARRAYS = "replay.npz"
_KEYS = ("components", "refreshed", "measured", "means", "counters", "sizes", "checksum")


class ReplayFileError(RuntimeError):
    """A saved replay is missing or corrupt; the message names the file."""


def write_replay(folder: Path, state: dict[str, Any]) -> None:
    """Write a `Replay.state` to `folder`, made if absent.

    Raises:
        StorageError: The disk is full or not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records: list[bytes] = state["records"]
    data = b"".join(records)
    write_atomic(folder / TRAJECTORIES, data)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        components=state["components"],
        refreshed=state["refreshed"],
        measured=state["measured"],
        means=state["means"],
        counters=state["counters"],
        sizes=np.array([len(record) for record in records], dtype=np.int64),
        checksum=np.array([zlib.crc32(data)], dtype=np.int64),
    )
    write_atomic(folder / ARRAYS, buffer.getvalue())


def read_replay(folder: Path) -> dict[str, Any]:
    """Return the state that `write_replay` wrote to `folder`.

    Raises:
        ReplayFileError: A file is missing or corrupt.
    """
    arrays = _read_arrays(folder / ARRAYS)
    path = folder / TRAJECTORIES
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReplayFileError(f"cannot read {path}: {error.strerror}") from error
    if zlib.crc32(data) != int(arrays.pop("checksum")[0]):
        raise ReplayFileError(f"{path} is corrupt: its {len(data)} bytes do not match the checksum in {ARRAYS}")
    ends = np.cumsum(arrays.pop("sizes")).tolist()
    return {"records": [data[start:end] for start, end in itertools.pairwise([0, *ends])], **arrays}


def _read_arrays(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in _KEYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ReplayFileError(f"cannot read {path}: {error}") from error
