"""Single-file archives of a trainer and of a replay: zips of safetensors, msgpack and JSON, never a pickle.

Invariant: an archive is written whole or not at all, and what is read was verified against its checksums. A file
of stock Stable-Baselines3, which holds pickles, is refused by name. Called by `DistRL.save`, `load` and
`save_replay_buffer`, `load_replay_buffer`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from distrl_trainer import checkpoint
from distrl_trainer.replay import Replay
from distrl_trainer.storage import write_atomic

STATE, POLICY, REPLAY = "state", "policy", "replay"


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
    """Write `replay` to exactly `path`.

    Raises:
        StorageError: The disk refused.
    """
    with TemporaryDirectory(prefix="distrl-") as temporary:
        replay.save(Path(temporary) / REPLAY)
        _zip(Path(temporary), path)


def load_replay(path: Path, replay: Replay) -> None:
    """Replace the content of `replay` by that of `path`.

    Raises:
        ArchiveError: `path` is missing or no archive of a replay.
        ReplayFileError: It is damaged; `replay` is unchanged.
    """
    with TemporaryDirectory(prefix="distrl-") as temporary:
        _unzip(path, Path(temporary), REPLAY, "DistRL.save_replay_buffer")
        replay.load(Path(temporary) / REPLAY)


def replay_tree(replay: Replay) -> dict[str, bytes]:
    """Return the files of `replay` by name, as a part of a checkpoint."""
    with TemporaryDirectory(prefix="distrl-") as temporary:
        folder = Path(temporary)
        replay.save(folder)
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def load_replay_tree(tree: Mapping[str, bytes], replay: Replay) -> None:
    """Replace the content of `replay` by what `replay_tree` returned."""
    with TemporaryDirectory(prefix="distrl-") as temporary:
        for name, data in tree.items():
            (Path(temporary) / Path(name).name).write_bytes(data)
        replay.load(Path(temporary))


def _zip(root: Path, path: Path) -> None:
    packed = root.with_name(f"{root.name}.packed")
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, file.relative_to(root).as_posix())
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, packed.read_bytes())
    finally:
        packed.unlink(missing_ok=True)


def _unzip(path: Path, root: Path, wanted: str, writer: str) -> None:
    if not path.is_file():
        raise ArchiveError(f"{path} does not exist; give a file that {writer} wrote")
    if not zipfile.is_zipfile(path):
        raise ArchiveError(
            f"{path} is no archive (a replay buffer of stock Stable-Baselines3 is a pickle, which can run code when "
            f"read and is refused); give a file that {writer} wrote"
        )
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.startswith(f"{wanted}/") for name in names):
            kind = "a stock Stable-Baselines3 model, which holds pickles" if "data" in names else "something else"
            raise ArchiveError(f"{path} is {kind}; it is refused. Give a file that {writer} wrote")
        archive.extractall(root)
