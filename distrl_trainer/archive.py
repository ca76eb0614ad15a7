"""Single-file archives of a trainer and of a replay: zips of safetensors, msgpack and JSON, never a pickle.

Invariant: an archive is written whole or not at all, and what is read was verified against its checksums. A file
of stock Stable-Baselines3, which holds pickles, is refused by name. Called by `DistRL.save`, `load` and
`save_replay_buffer`, `load_replay_buffer`.
"""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from distrl_trainer import checkpoint
from distrl_trainer.replay import Replay, ReplayFileError, names_of
from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory_file import TrajectoryFileError, read_trajectory

STATE, POLICY, REPLAY, INDEX, TRAJECTORIES = "state", "policy", "replay", "index", "trajectories"


class ArchiveError(ValueError):
    """A file is no archive of this package; the message says what it is and what to do."""


def save_archive(path: Path, env_steps: int, parts: Mapping[str, Any], save_policy: Callable[[Path], None]) -> Path:
    """Write `parts` (trees of tensors and plain data) and a policy folder to `path` (`.zip` is added if missing).

    Raises:
        StorageError: The disk refused.
    """
    path = path if path.suffix else path.with_suffix(".zip")
    with TemporaryDirectory(prefix="distrl-") as temporary:
        root = Path(temporary)
        checkpoint.save(root / "steps", env_steps, parts).rename(root / STATE)
        (root / "steps").rmdir()
        save_policy(root / POLICY)
        _zip(root, path)
    return path


def load_archive(path: Path, use_policy: Callable[[Path], Any]) -> tuple[dict[str, Any], Any]:
    """Return the parts in `path` and what `use_policy` makes of its policy folder.

    Raises:
        ArchiveError: `path` is missing or no archive of a trainer.
        CheckpointError: It is damaged.
    """
    path = path if path.exists() or path.suffix else path.with_suffix(".zip")
    with TemporaryDirectory(prefix="distrl-") as temporary:
        root = Path(temporary)
        _unzip(path, root, STATE, "DistRL.save")
        return checkpoint.load(root / STATE), use_policy(root / POLICY)


def save_replay(path: Path, replay: Replay) -> None:
    """Write `replay` to exactly `path`: its index, and the trajectory files it names.

    Raises:
        StorageError: The disk refused.
    """
    with TemporaryDirectory(prefix="distrl-") as temporary:
        root = Path(temporary)
        index = checkpoint.save(root / "index", 0, {INDEX: replay.state() | {"spent": []}})
        index.rename(root / REPLAY)
        _zip(root, path, [replay.files.replay / name for name in replay.file_names])


def load_replay(path: Path, replay: Replay) -> None:
    """Replace the content of `replay` by that of `path`, whose trajectory files become its own.

    Raises:
        ArchiveError: `path` is missing or no archive of a replay.
        CheckpointError, ReplayFileError: It is damaged; `replay` is unchanged.
        StorageError: The disk refused.
    """
    # Beside the files of the run, so that taking them over is a rename.
    root = replay.files.replay / f".draft-archive-{os.getpid()}"
    root.mkdir(parents=True, exist_ok=True)
    try:
        _unzip(path, root, REPLAY, "DistRL.save_replay_buffer")
        state = checkpoint.load(root / REPLAY)[INDEX]
        found = [root / TRAJECTORIES / Path(name).name for name in names_of(state)]
        for file in found:
            try:
                read_trajectory(file)
            except (TrajectoryFileError, FileNotFoundError) as error:
                raise ReplayFileError(f"{path}: {file.name} is missing or damaged: {error}") from error
        for file in found:
            file.rename(replay.files.replay / file.name)
        replay.load_state(state | {"spent": list(replay.files.spent)})
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _zip(root: Path, path: Path, trajectories: Sequence[Path] = ()) -> None:
    def fill(target: BinaryIO) -> None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, file.relative_to(root).as_posix())
            for file in trajectories:
                archive.write(file, f"{TRAJECTORIES}/{file.name}")

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, fill)


def _unzip(path: Path, root: Path, wanted: str, writer: str) -> None:
    if not path.is_file():
        raise ArchiveError(f"{path} does not exist; give a file that {writer} wrote")
    if not zipfile.is_zipfile(path):
        raise ArchiveError(
            f"{path} is no archive (a replay buffer of stock Stable-Baselines3 is a pickle, which can run code when "
            f"read and is refused); give a file that {writer} wrote"
        )
    try:
        _extract(path, root, wanted, writer)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{path} is damaged ({error}); give a file that {writer} wrote") from error


def _extract(path: Path, root: Path, wanted: str, writer: str) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.startswith(f"{wanted}/") for name in names):
            kind = "a stock Stable-Baselines3 model, which holds pickles" if "data" in names else "something else"
            raise ArchiveError(f"{path} is {kind}; it is refused. Give a file that {writer} wrote")
        if f"{wanted}/{checkpoint.MANIFEST}" not in names:
            raise ArchiveError(f"{path} was written by an earlier version, whose form of {wanted} is not read any more")
        archive.extractall(root)
