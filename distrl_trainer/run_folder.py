"""The folder of a run: what lies where, and who may start or continue in it.

    config.yaml  summary.json  curve.png  events.out.tfevents.*  policy/  warm/  checkpoints/  weights/
    inbox/  replay/  counted/  refused/  episodes/*.traj  evaluations/*.json
    seconds.json  saved.json  fleet.json  published.json  run.lock

Invariants: one process writes here at a time (`own`); a directory under its final name is complete; what a resumed run
builds upon is what the run wrote (`seals`), or it is refused by name. Callers: `train_command`, `rl_phase`,
`play_commands`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from android_env_gym.devices.make import is_blocking, split_devices
from distrl_trainer import seals
from distrl_trainer.config import RunConfig
from distrl_trainer.folders import sweep, write_folder
from distrl_trainer.run_lock import LOCK, hold
from distrl_trainer.settings import amend_config, load_config, to_yaml
from distrl_trainer.storage import StorageError, write_atomic

logger = logging.getLogger(__name__)

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
        "fleet.act_seconds",
        "fleet.restart_hours",
        "fleet.restarts",
        "fleet.start_seconds",
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
        self.saved = root / "saved.json"
        self.seconds = root / "seconds.json"
        self.episodes = root / "episodes"
        self.evaluations = root / "evaluations"

    @property
    def run(self) -> str:
        """The run's identity, empty if an older version wrote the folder.

        Raises:
            SealError: `config.yaml` differs from what the run wrote.
        """
        return seals.settings_run(self.config)

    @contextmanager
    def own(self) -> Iterator[None]:
        """Be the one process that works here while inside, and remove what killed ones left.

        Raises:
            RunFolderError: Something else than a run is here.
            FolderInUseError: Another process works here.
            StorageError: The disk refused.
        """
        if not self.config.exists():
            self._refuse_other_content()
        with hold(self.root) as outermost:
            if outermost:
                sweep(self.root)
            yield

    def begin(self, config: RunConfig) -> None:
        """Write the settings of a new run; called inside `own`.

        Raises:
            RunFolderError: There is a run, or something else.
            StorageError: The disk refused.
        """
        if self.config.exists():
            raise RunFolderError(f"{self.root} holds a run; continue it with --resume, or choose another --out")
        self._refuse_other_content()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {self.root}: {error.strerror}; choose another --out") from error
        # Not drawn from the run's seed: two runs with one seed are two runs.
        write_atomic(self.config, seals.seal_settings(to_yaml(config), secrets.token_hex(8)).encode())

    def abandon(self) -> None:
        """Remove the settings of a run that failed before anything of it was finished; else do nothing."""
        if {path.name for path in self.root.iterdir()} <= {self.config.name, LOCK}:
            self.config.unlink(missing_ok=True)
            (self.root / LOCK).unlink(missing_ok=True)
            self.root.rmdir()

    def _refuse_other_content(self) -> None:
        if self.root.is_file() or (self.root.is_dir() and any(path.name != LOCK for path in self.root.iterdir())):
            raise RunFolderError(f"{self.root} exists and is no run's folder; choose another --out")

    def resumed(self, given: Path | None, overrides: Sequence[str]) -> RunConfig:
        """Return the settings to continue with: those stored < `given` (a settings file) < `overrides`; writes nothing.

        Only what a run under way reads anew may change: `CHANGEABLE`, one real device for another, and the URL of a
        "vlm:MODEL@URL" judge.

        Raises:
            RunFolderError: There is no run, or a change is not allowed.
            SealError: The stored settings were changed or damaged.
            ConfigError: `given` or an override is wrong.
        """
        if not self.config.exists():
            raise RunFolderError(self._nothing_to_resume())
        if not self.run:
            logger.warning("%s carries no seal (an older version wrote it): damage is not noticed", self.config)
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

    def _nothing_to_resume(self) -> str:
        if self.checkpoints.exists() or self.warm.exists():
            return f"{self.root} has lost its config.yaml; put back a copy: every checkpoints/step-*/ holds one"
        return f"{self.root} holds no run to resume (no config.yaml); start one without --resume"

    def store(self, config: RunConfig) -> None:
        """Write the settings of a run that goes on with changed ones.

        Raises:
            StorageError: The disk refused.
        """
        if config != load_config(self.config):
            write_atomic(self.config, self.settings_text(config).encode())

    def settings_text(self, config: RunConfig) -> str:
        """Return `config` as this run's `config.yaml`."""
        text = to_yaml(config)
        return seals.seal_settings(text, self.run) if self.run else text

    def check_intact(self) -> None:
        """Check that what a resumed run builds upon is there and unchanged; called inside `own`.

        Raises:
            SealError, RunFolderError: It is not; the message names what.
        """
        before = self.evaluations / "before.json"
        if self.warm.is_dir():
            if not seals.check_manifest(self.warm, self.run):
                self._without_manifest(self.warm)
        elif any(path.exists() for path in (before, self.saved, self.checkpoints)):
            raise RunFolderError(
                f"{self.warm} is missing, and the run had come further than that; put back a copy, or start a new run "
                "with another --out"
            )

    def _without_manifest(self, folder: Path) -> None:
        if self.run:
            raise RunFolderError(
                f"{folder} has no {seals.MANIFEST}: it is part of a copy, or was exchanged; put back a whole copy, or "
                f"start a new run with another --out and --warmup.weights {folder}"
            )
        logger.warning("%s has no %s (an older version wrote it): damage is not noticed", folder, seals.MANIFEST)

    def check_nothing_saved(self) -> None:
        """Check that a run without any checkpoint has never written one.

        Raises:
            SealError, RunFolderError: It has.
        """
        if self.read(self.saved, dict[str, int]) is not None:
            raise RunFolderError(
                f"{self.checkpoints} holds no checkpoint, and the run has written some; put back a copy, or start a "
                f"new run with another --out and --warmup.weights {self.warm}"
            )

    def check_settings_of(self, checkpoint: Path, config: RunConfig) -> None:
        """Check that `checkpoint` is of this run, which goes on with `config`.

        Raises:
            SealError, ConfigError: Its settings are damaged.
            RunFolderError: It is another run's.
        """
        path = checkpoint / self.config.name
        if self.run and seals.settings_run(path) != self.run:
            raise RunFolderError(f"checkpoint {checkpoint} belongs to another run; move it away and resume")
        stored = load_config(path)
        other = [
            place
            for place in differences(stored, config)
            if not _may_change(place, _at(stored, place), _at(config, place))
        ]
        if other:
            raise RunFolderError(
                f"checkpoint {checkpoint} was made with another {', '.join(other)} than {self.config} says; put back "
                "the settings or the checkpoint that belong here"
            )

    def write_model(self, target: Path, fill: Callable[[Path], None]) -> None:
        """Put a model folder that `fill` writes in place of `target`, with a manifest, whole or not at all.

        Raises:
            StorageError: The disk refused; what was at `target` is there.
        """
        write_model(target, fill, self.run)

    def read(self, path: Path, kind: type[T]) -> T | None:
        """Return what `write` stored at `path`, None if it does not exist.

        Raises:
            SealError: It is damaged, or another run's.
        """
        return seals.read_sealed(path, kind, self.run)

    def write(self, path: Path, value: object) -> None:
        """Write a struct or dict to `path` as JSON, sealed.

        Raises:
            StorageError: The disk refused.
        """
        seals.write_sealed(path, value, self.run)


def write_model(target: Path, fill: Callable[[Path], None], run: str = "") -> None:
    """Put a model folder that `fill` writes in place of `target`, with a manifest, whole or not at all.

    Raises:
        StorageError: The disk refused; what was at `target` is there.
    """

    def fill_and_seal(folder: Path) -> None:
        fill(folder)
        seals.write_manifest(folder, run)

    write_folder(target, fill_and_seal)


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
