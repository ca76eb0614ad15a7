"""`Inbox`: trajectories on their way from collectors to the learner, one file each.

Invariants: a trajectory that was put is handed out by every consumer that starts, until its file is moved on by
`TrajectoryFiles`; a file is either whole or absent; what is no sound trajectory of the run is moved to `refused/`
beside the inbox with its reason, never deleted, never handed out, and never seen a second time. Collectors put; one
consumer drains.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec

from distrl_trainer.door import Rules, refusal
from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory import Trajectory, encode
from distrl_trainer.trajectory_file import (
    MAX_BYTES,
    TrajectoryFileError,
    file_name,
    listed,
    read_trajectory,
    refuse,
)

MAX_REFUSED_IN_A_ROW = 200
"""Episodes of the run's own collectors that may be refused in a row: more is a defect, and waiting would not end it."""


class InboxError(RuntimeError):
    """Whatever the collectors write is refused; the message carries the last reason."""


class Received(msgspec.Struct, frozen=True):
    """A trajectory and the name of its file."""

    name: str
    trajectory: Trajectory


class Inbox:
    """A folder of trajectory files, made if absent.

    Args:
        folder: Where they lie; refused ones go to `refused` beside it.
        rules: Returns what the run's trajectories look like now; None: any sound trajectory is handed out.

    Attributes:
        refused: How many files this instance refused.
        refused_steps: Steps of those that could be read: nobody will hand them over.
    """

    def __init__(self, folder: Path, rules: Callable[[], Rules] | None = None) -> None:
        self.folder = Path(folder)
        self.refused = 0
        self.refused_steps = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rules = rules
        self._seen: set[str] = set()
        self._refused_in_a_row = 0
        self._numbers = itertools.count()

    def put(self, trajectory: Trajectory) -> Path:
        """Store `trajectory` and return its path.

        Raises:
            ValueError: Its id cannot be part of a file's name.
            StorageError: The disk is full or not writable; nothing half-written is visible.
        """
        data = encode(trajectory)
        path = self.folder / file_name(next(self._numbers), trajectory.id, data)
        write_atomic(path, data)
        return path

    def drain(self, limit: int | None = None) -> list[Received]:
        """Return at most `limit` trajectories in order of arrival, none that this instance returned before.

        Raises:
            InboxError: `MAX_REFUSED_IN_A_ROW` sound files in a row were refused by the run's rules.
            StorageError: The process has run out of files or memory.
        """
        rules = self._rules() if self._rules is not None else None
        received: list[Received] = []
        names = listed(self.folder)
        # Names that are gone need no memory.
        self._seen.intersection_update(names)
        for name in names:
            if limit is not None and len(received) >= limit:
                break
            if name in self._seen:
                continue
            trajectory = self._read(self.folder / name, rules)
            if trajectory is not None:
                received.append(Received(name, trajectory))
        return received

    def waiting(self) -> int:
        """Return how many files have not been handed out."""
        return sum(name not in self._seen for name in listed(self.folder))

    def _read(self, path: Path, rules: Rules | None) -> Trajectory | None:
        """Return the trajectory in `path`; None after it was refused, or if somebody took it away."""
        # Whatever happens to it, it is looked at once: what cannot be moved away must not be met for ever.
        self._seen.add(path.name)
        try:
            trajectory = read_trajectory(path, rules.max_bytes if rules is not None else MAX_BYTES)
        except FileNotFoundError:
            return None
        except TrajectoryFileError as error:
            self._refuse(path, str(error))
            return None
        reason = refusal(trajectory, rules) if rules is not None else ""
        if not reason:
            self._refused_in_a_row = 0
            return trajectory
        self._refuse(path, reason)
        self.refused_steps += len(trajectory.steps)
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= MAX_REFUSED_IN_A_ROW:
            raise InboxError(
                f"the last {self._refused_in_a_row} finished episodes were all refused, the last because {reason}; "
                f"they are in {path.parent.parent / 'refused'}. Collectors and learner disagree: check env and policy"
            )
        return None

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused += 1
        if refuse(path, path.parent.parent / "refused", reason):
            self._seen.discard(path.name)
