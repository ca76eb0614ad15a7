"""`Inbox`: trajectories on their way from collectors to the learner, one file each.

Invariant: a trajectory that was put is handed out at least once, and again after a restart until it was
acknowledged; a file is either whole or absent. A file that cannot be read is moved to `refused/`, never
deleted. File names sort by arrival and end in the checksum of the content, which is msgpack. Collectors put;
one consumer drains and acknowledges. After a crash the consumer may see a trajectory that it had already
used: `Replay.add` ignores an id it holds.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
import zlib
from pathlib import Path

import msgspec

from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory import Trajectory, decode, encode

logger = logging.getLogger(__name__)

SUFFIX = ".traj"
_CHECKSUM = re.compile(r"-([0-9a-f]{8})\.traj$")


class Received(msgspec.Struct, frozen=True):
    """A trajectory and the file it came from; acknowledge it after use."""

    path: Path
    trajectory: Trajectory


class Inbox:
    """A folder of trajectory files, made if absent. `refused` counts the files this instance could not read."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.refused = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._handed_out: set[str] = set()
        self._last_stamp = 0
        self._numbers = itertools.count()

    def put(self, trajectory: Trajectory) -> Path:
        """Store `trajectory` and return its path.

        Raises:
            StorageError: The disk is full or not writable; nothing half-written is visible.
        """
        data = encode(trajectory)
        path = self.folder / self._name(trajectory.collector, zlib.crc32(data))
        write_atomic(path, data)
        return path

    def drain(self, limit: int | None = None) -> list[Received]:
        """Return at most `limit` trajectories in order of arrival, none that this instance returned before."""
        received: list[Received] = []
        for name in self._waiting():
            if limit is not None and len(received) >= limit:
                break
            path = self.folder / name
            trajectory = self._read(path)
            if trajectory is not None:
                self._handed_out.add(name)
                received.append(Received(path, trajectory))
        return received

    def acknowledge(self, received: Received) -> None:
        """Delete the file of `received`, whose trajectory is now in the consumer's keeping."""
        received.path.unlink(missing_ok=True)
        self._handed_out.discard(received.path.name)

    def waiting(self) -> int:
        """Return how many files have not been handed out."""
        return len(self._waiting())

    def _waiting(self) -> list[str]:
        names = (entry.name for entry in os.scandir(self.folder))
        return sorted(
            name
            for name in names
            if name.endswith(SUFFIX) and not name.startswith(".") and name not in self._handed_out
        )

    def _name(self, collector: str, checksum: int) -> str:
        # The clock may be set back while we run; names of one collector must not.
        self._last_stamp = max(self._last_stamp + 1, time.time_ns())
        who = re.sub(r"[^A-Za-z0-9_]", "_", collector) or "collector"
        return f"{self._last_stamp:020d}-{who}-{os.getpid()}-{next(self._numbers)}-{checksum:08x}{SUFFIX}"

    def _read(self, path: Path) -> Trajectory | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        checksum = _CHECKSUM.search(path.name)
        if checksum is None:
            return self._refuse(path, f"its name does not end in -CHECKSUM{SUFFIX}")
        if int(checksum[1], 16) != zlib.crc32(data):
            return self._refuse(path, f"its {len(data)} bytes do not match the checksum in its name")
        try:
            trajectory = decode(data)
        except msgspec.DecodeError as error:
            return self._refuse(path, f"it is not a trajectory: {error}")
        if len(trajectory.frames) != len(trajectory.steps) + 1:
            return self._refuse(path, f"it has {len(trajectory.frames)} frames for {len(trajectory.steps)} steps")
        return trajectory

    def _refuse(self, path: Path, reason: str) -> None:
        refuge = self.folder / "refused"
        refuge.mkdir(exist_ok=True)
        path.replace(refuge / path.name)
        self.refused += 1
        logger.warning("refused trajectory file %s: %s; moved to %s", path.name, reason, refuge)
