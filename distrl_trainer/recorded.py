"""Recorded episodes: one `.traj` file each, under a name that says what was played and that nothing overwrites.

Callers: `train_command` (the run's `episodes/`), `play_commands` (`eval --record`, `collect`).
"""

from __future__ import annotations

import re
from pathlib import Path

from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory import Trajectory, encode

SUFFIX = ".traj"
_MAX_NAME = 150
"""Characters of a name; file systems allow 255 bytes, and a number and a writer's temporary suffix are added."""


class EpisodeFiles:
    """Writes trajectories to `folder`, each to a file of its own.

    A second episode of the same task gets a number. `keeps_earlier`: so does one whose name an earlier session used;
    otherwise this session's episodes take the place of those of the same name, as a repeated evaluation wants.
    """

    def __init__(self, folder: Path, *, keeps_earlier: bool) -> None:
        self.folder = folder
        self._used: set[str] = set()
        if keeps_earlier and folder.is_dir():
            self._used = {path.name for path in folder.iterdir()}

    def write(self, trajectory: Trajectory) -> None:
        """Store `trajectory`.

        Raises:
            StorageError: The disk refused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Not the task's id: a line of an instruction file keeps its id however often it is played.
        played = f"{trajectory.template}_{trajectory.split}_{trajectory.instance}"
        stem = re.sub(r"[^\w.-]", "_", played if trajectory.task_id else trajectory.id)[:_MAX_NAME].lstrip(".")
        name, number = f"{stem}{SUFFIX}", 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}{SUFFIX}"
        self._used.add(name)
        write_atomic(self.folder / name, encode(trajectory))
