"""The folder of a run: what lies where, and who may start or continue in it.

    config.yaml  summary.json  curve.png  events.out.tfevents.*  policy/  warm/  checkpoints/  weights/  inbox/
    episodes/*.traj  evaluations/*.json

Invariant: a directory under its final name is complete (written beside it, then renamed). Callers: `train_command`,
`play_commands`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from android_env_gym.devices.make import is_blocking, split_devices
from distrl_trainer.config import RunConfig
from distrl_trainer.settings import amend_config, load_config, to_yaml
from distrl_trainer.storage import StorageError, write_atomic

T = TypeVar("T")

CHANGEABLE = frozenset(
    {
        "algorithm.cloning_coef",
        "algorithm.entropy_coef",
        "algorithm.invalid_coef",
        "algorithm.max_grad_norm",
        "algorithm.value_coef",
        "env.adb.command_seconds",
        "env.adb.connect_seconds",
        "env.adb.emulator",
        "env.adb.reset_seconds",
        "env.adb.settle",
        "env.adb.stay_awake",
        "env.adb.step_seconds",
        "env.step_timeout",
        "eval.envs",
        "fleet.restarts",
        "policy.device",
        "run.eval_every_env_steps",
        "run.keep_checkpoints",
        "run.out",
        "run.record_episodes",
        "run.save_every_env_steps",
        "run.tensorboard",
        "run.threads",
        "run.total_env_steps",
    }
)
"""Settings (or sections) that `RunFolder.resumed` may change: how long, on what and how often. Everything else is part
of a result that is kept (warm start, first evaluation) or of a state that is restored (fleet, replay, learning rates in
the optimizer): a change would be ignored there, or make two halves of a run that cannot be compared."""


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
        self.policy = root / "policy"
        self.checkpoints = root / "checkpoints"
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

    def resumed(self, given: Path | None, overrides: Sequence[str]) -> RunConfig:
        """Return the settings to continue with: those stored < `given` (a settings file) < `overrides`; writes nothing.

        Only what a run under way reads anew may change: `CHANGEABLE`, one real device for another, and the URL of a
        "vlm:MODEL@URL" judge.

        Raises:
            RunFolderError: There is no run, or a change is not allowed.
            ConfigError: The stored settings are damaged, or `given` or an override is wrong.
        """
        if not self.config.exists():
            raise RunFolderError(f"{self.root} holds no run to resume (no config.yaml); start one without --resume")
        stored = load_config(self.config)
        wanted = amend_config(stored, given, overrides)
        refused = [
            f"{place} (stored {_at(stored, place)!r}, asked for {_at(wanted, place)!r})"
            for place in differences(stored, wanted)
            if not _may_change(place, _at(stored, place), _at(wanted, place))
        ]
        if refused:
            raise RunFolderError(
                f"a run under way keeps its {', '.join(refused)}: start a new run with another --out for that, without "
                f"--resume; --resume may change {', '.join(sorted(CHANGEABLE))}, one real device in env.device for "
                "another, and the URL in env.judge"
            )
        return wanted

    def store(self, config: RunConfig) -> None:
        """Write the settings of a run that goes on with changed ones.

        Raises:
            StorageError: The disk refused.
        """
        if config != load_config(self.config):
            write_atomic(self.config, to_yaml(config).encode())


def differences(left: msgspec.Struct, right: msgspec.Struct, ignored: Sequence[str] = (), where: str = "") -> list[str]:
    """Return the settings that differ, as `section.field`."""
    found: list[str] = []
    for name in left.__struct_fields__:
        one, two = getattr(left, name), getattr(right, name)
        if isinstance(one, msgspec.Struct):
            found += differences(one, two, where=f"{where}{name}.")
        elif one != two:
            found.append(where + name)
    return [place for place in found if place not in ignored]


def _at(config: RunConfig, place: str) -> Any:
    return attrgetter(place)(config)


def _may_change(place: str, old: Any, new: Any) -> bool:
    if place == "env.device":
        return all(is_blocking(device) for names in (old, new) for device in split_devices(names))
    if place == "env.judge":
        return old.startswith("vlm:") and old.rpartition("@")[0] == new.rpartition("@")[0]
    return place in CHANGEABLE or place.rpartition(".")[0] in CHANGEABLE


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
