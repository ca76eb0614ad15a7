"""`TrajectoryFiles`: what becomes of a trajectory's file after it has arrived, and how a run finds all of them again.

    inbox/     finished, waiting for the learner             replay/   admitted: the same file, moved by a rename
    counted/   arrived and counted, but not admitted         refused/  not sound, with the reason beside

A file is *held* while replay's index names it, and *spent* once it is counted and no longer held: it was not admitted,
or replay evicted it. Invariants: every step of a file's life is one rename or one removal, so a learner killed at any
instant leaves each file in one folder; a spent file is removed only when every kept checkpoint calls it spent; so,
whichever of them a run resumes from, the files that this checkpoint does not name are exactly the episodes it has not
counted, and `restore` lets them arrive again. Nothing is lost and nothing is used twice. Caller: `replay.Replay`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from distrl_trainer.inbox import Inbox, Received
from distrl_trainer.storage import StorageError
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.trajectory_file import TrajectoryFileError, id_of, listed, read_trajectory, refuse


class TrajectoryCache:
    """The trajectories read last, as many as fit into `max_bytes` of file content."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._held: OrderedDict[str, tuple[Trajectory, int]] = OrderedDict()

    def get(self, name: str) -> Trajectory | None:
        """Return the trajectory of file `name` if it is here."""
        found = self._held.get(name)
        if found is None:
            return None
        self._held.move_to_end(name)
        return found[0]

    def put(self, name: str, trajectory: Trajectory) -> None:
        """Keep `trajectory`; those that were not asked for longest make room."""
        self.drop(name)
        size = _content_bytes(trajectory)
        self._held[name] = (trajectory, size)
        self.bytes += size
        while self.bytes > self.max_bytes:
            _, (_, freed) = self._held.popitem(last=False)
            self.bytes -= freed

    def drop(self, name: str) -> None:
        """Forget file `name`."""
        found = self._held.pop(name, None)
        if found is not None:
            self.bytes -= found[1]


class TrajectoryFiles:
    """The trajectory files of the run in `root`.

    Args:
        root: Of the run; its folders are made when they are needed.
        cache_bytes: Of file content kept in memory.

    Attributes:
        keep_spent: Whether spent files stay until `sweep`, for a run that writes checkpoints. False: they are removed
            at once, because nobody will go back to an earlier state.
        spent: Names of the spent files that still lie on the disk.
    """

    def __init__(self, root: Path, cache_bytes: int = 0) -> None:
        self.inbox = root / "inbox"
        self.replay = root / "replay"
        self.counted = root / "counted"
        self.refused = root / "refused"
        self.keep_spent = False
        self.spent: set[str] = set()
        self._cache = TrajectoryCache(cache_bytes)
        self._writer: Inbox | None = None

    def put(self, trajectory: Trajectory) -> Received:
        """Write `trajectory` to the inbox, as a collector does, and return it as received.

        Raises:
            ValueError: Its id cannot be part of a file's name.
            StorageError: The disk refused.
        """
        self._writer = self._writer or Inbox(self.inbox)
        return Received(self._writer.put(trajectory).name, trajectory)

    def admit(self, received: Received) -> None:
        """Move the file of `received` from the inbox to replay.

        Raises:
            StorageError: The disk refused.
        """
        if received.name in self.spent:
            # An episode that was set aside and played again to the same file.
            self._remove(received.name)
        _move(self.inbox, self.replay, received.name)
        self._cache.put(received.name, received.trajectory)

    def count(self, name: str) -> None:
        """Take `name` out of the inbox: it was counted and does not enter replay.

        Raises:
            StorageError: The disk refused.
        """
        if (self.replay / name).exists():
            # Somebody copied a file of replay into the inbox: the name belongs to that one.
            _unlink(self.inbox / name)
            return
        _move(self.inbox, self.counted, name)
        self._spend([name])

    def evict(self, names: Sequence[str]) -> None:
        """Take note that replay no longer holds `names`.

        Raises:
            StorageError: The disk refused.
        """
        for name in names:
            self._cache.drop(name)
        self._spend(names)

    def read(self, name: str) -> Trajectory:
        """Return a trajectory that replay holds, from the cache or its file.

        Raises:
            TrajectoryFileError: The file is damaged.
            FileNotFoundError: It is gone.
        """
        found = self._cache.get(name)
        if found is None:
            found = read_trajectory(self.replay / name)
            self._cache.put(name, found)
        return found

    def recover(self, names: Sequence[str]) -> dict[str, str]:
        """Check the files of `names`, which a checkpoint says are held; return the reason for each that is lost.

        A damaged one is moved to `refused`. One that is still in the inbox, because the rename did not outlive a power
        cut, is moved to replay.
        """
        lost: dict[str, str] = {}
        for name in names:
            path = self.replay / name
            try:
                if not path.exists() and (self.inbox / name).exists():
                    _move(self.inbox, self.replay, name)
                read_trajectory(path)
            except FileNotFoundError:
                lost[name] = "it is missing"
            except TrajectoryFileError as error:
                lost[name] = str(error)
                refuse(path, self.refused, f"{error}; a checkpoint names it")
        return lost

    def restore(self, held: Collection[str], recall: Callable[[set[str]], set[str]]) -> None:
        """Put every file where it belongs, before anybody collects: what is neither held nor spent arrives again.

        A file in the inbox that has the name of one in replay stays there: whoever put it there, replay's is the sound
        one, and the inbox tells whether this is a copy.

        Args:
            held: Names in replay's index.
            recall: `Fleet.recall`: takes the ids that would arrive again and returns those that the fleet will play
                again itself, to the same ids; their files are spent instead.

        Raises:
            StorageError: The disk refused.
        """
        found = {folder: listed(folder) for folder in (self.replay, self.counted, self.inbox)}
        held = set(held)
        known = held | self.spent
        played_again = recall({id_of(name) for names in found.values() for name in names if name not in known} - {""})
        for folder, names in found.items():
            for name in names:
                if name in held:
                    target = self.replay
                elif name in self.spent or id_of(name) in played_again:
                    target = self.counted if folder == self.inbox else folder
                    self.spent.add(name)
                else:
                    target = self.inbox
                if target != folder and not (target == self.replay and (target / name).exists()):
                    _move(folder, target, name)
        # What a killed sweep has removed already need not be named any more.
        self.spent.intersection_update(*[{name for names in found.values() for name in names}])
        if not self.keep_spent:
            self._spend(list(self.spent))

    def sweep(self, checkpoints: Iterable[Collection[str]]) -> None:
        """Remove the files that every kept checkpoint calls spent; `checkpoints` are their lists of spent files.

        Raises:
            StorageError: The disk refused.
        """
        lists = [set(names) for names in checkpoints]
        for name in self.spent.intersection(*lists) if lists else ():
            self._remove(name)

    def _spend(self, names: Sequence[str]) -> None:
        self.spent.update(names)
        if not self.keep_spent:
            for name in names:
                self._remove(name)

    def _remove(self, name: str) -> None:
        for folder in (self.replay, self.counted):
            _unlink(folder / name)
        self.spent.discard(name)


def _move(source: Path, target: Path, name: str) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        (source / name).rename(target / name)
    except OSError as error:
        raise StorageError(
            f"cannot move {source / name} to {target}: {error.strerror}; make the folder writable, then resume"
        ) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}; make its folder writable, then resume") from error


def _content_bytes(trajectory: Trajectory) -> int:
    """Return about how much memory `trajectory` takes: its frames, and 1 KB a step for all else (measured: 0.7)."""
    # Frames of an unchanged screen are separate objects once they were read from a file.
    return sum(map(len, trajectory.frames)) + 1024 * (len(trajectory.steps) + 1)
