"""The folder of a run: what lies where, and who may start or continue in it.

    config.yaml  summary.json  curve.png  events.out.tfevents.*  policy/  warm/  best/  checkpoints/  weights/  inbox/
    episodes/*.traj  evaluations/*.json

Invariant: a directory under its final name is complete (written beside it, then renamed). Callers: `train_command`,
`play_commands`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from distrl_trainer.config import RunConfig
from distrl_trainer.settings import load_config, to_yaml
from distrl_trainer.storage import StorageError, write_atomic

T = TypeVar("T")


class RunFolderError(Exception):
    """The folder holds a run already, or none to continue; the message says what to do."""


class RunFolder:
    """Paths of the run in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.summary = root / "summary.json"
        self.curve = root / "curve.png"
        self.warm = root / "warm"
        self.best = root / "best"
        self.policy = root / "policy"
        self.checkpoints = root / "checkpoints"
        self.weights = root / "weights"
        self.inbox = root / "inbox"
        self.episodes = root / "episodes"
        self.evaluations = root / "evaluations"

    def begin(self, config: RunConfig) -> None:
        """Make the folder and write its settings.

        Raises:
            RunFolderError: It is not empty.
            StorageError: The disk refused.
        """
        if self.config.exists():
            raise RunFolderError(f"{self.root} holds a run; continue it with --resume, or choose another --out")
        if self.root.is_file() or (self.root.is_dir() and any(self.root.iterdir())):
            raise RunFolderError(f"{self.root} exists and is no run's folder; choose another --out")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {self.root}: {error.strerror}; choose another --out") from error
        write_atomic(self.config, to_yaml(config).encode())

    def abandon(self) -> None:
        """Remove the settings of a run that failed before anything of it was finished; else do nothing."""
        if {path.name for path in self.root.iterdir()} <= {self.config.name}:
            self.config.unlink()
            self.root.rmdir()

    def resume(self, given: Path | None, overrides: Sequence[str]) -> RunConfig:
        """Return the settings to continue with: those stored, changed by `overrides`.

        Raises:
            RunFolderError: There is no run, or `given` (a settings file) differs from the stored settings.
            ConfigError: The stored settings are damaged or an override is wrong.
        """
        if not self.config.exists():
            raise RunFolderError(f"{self.root} holds no run to resume (no config.yaml); start one without --resume")
        stored = load_config(self.config)
        changed = load_config(self.config, overrides) if overrides else stored
        if given is not None:
            wanted = load_config(given, overrides)
            places = differences(changed, wanted, ignored=("run.out",))
            if places:
                raise RunFolderError(
                    f"{given} differs from the run's own settings in {', '.join(places)}; "
                    "leave --config out to continue with those stored"
                )
        if changed != stored:
            write_atomic(self.config, to_yaml(changed).encode())
        return changed


def differences(left: RunConfig, right: RunConfig, ignored: Sequence[str] = ()) -> list[str]:
    """Return the settings that differ, as `section.field`."""
    found: list[str] = []
    for section in RunConfig.__struct_fields__:
        one, two = getattr(left, section), getattr(right, section)
        fields = type(one).__struct_fields__
        found += [f"{section}.{field}" for field in fields if getattr(one, field) != getattr(two, field)]
    return [place for place in found if place not in ignored]


def write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Put a directory that `fill` writes in place of `target`, whole or not at all.

    Raises:
        StorageError: The disk refused; what was at `target` is intact.
    """
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        fill(draft)
        if target.exists():
            target.rename(old)
        draft.rename(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error}; free some space and continue with --resume") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def read_json(path: Path, kind: type[T]) -> T | None:
    """Return what `path` holds, None if it does not exist.

    Raises:
        RunFolderError: It is damaged.
    """
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise RunFolderError(f"{path} is damaged ({error}); move it away to have it made again") from error


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as JSON.

    Raises:
        StorageError: The disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
