"""The half of `DistRL` that writes and reads files in SB3's verbs, without SB3's pickles.

Invariant: `save` then `load` gives a trainer with the same policy (its number type and tuning too), optimizer, settings
and books; the replay travels apart, as in SB3. Base class of `algorithm.DistRL`, which says what its state is.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import msgspec
import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import get_system_info

from distrl_trainer import archive
from distrl_trainer.config import RunConfig
from distrl_trainer.learner import Learner
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.replay import Replay
from distrl_trainer.sb3_arguments import SB3Arguments

POLICY, OPTIMIZER = "policy", "policy.optimizer"
"""Names of what has parameters, as stock algorithms call them."""


class ArchivedAlgorithm(OffPolicyAlgorithm):
    """An off-policy algorithm that is stored as zips of safetensors and msgpack.

    Attributes:
        config: All settings.
        replay: The replay.
        learner: Holds the optimizer.
    """

    config: RunConfig
    replay: Replay
    learner: Learner

    def training_state(self) -> dict[str, Any]:
        """Return everything that a run continues from; `policy` and `replay` are among its parts."""
        raise NotImplementedError

    def load_training_state(self, parts: dict[str, Any]) -> None:
        """Install what `training_state` returned; `replay` may be missing."""
        raise NotImplementedError

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """Write policy, optimizer, books and settings to one zip; the replay has `save_replay_buffer`.

        Args:
            path: A path, to which `.zip` is added if it has no suffix, or a file open for writing bytes.
            exclude: Refused, as `include` is.
            include: Refused.

        Raises:
            TypeError: `exclude` or `include` is given: nothing here is pickled by attribute.
            StorageError: The disk refused.
        """
        if exclude or include:
            raise TypeError("DistRL.save writes a fixed set of parts and takes neither exclude nor include")
        parts = self.training_state()
        del parts["replay"]
        parts["counted_files"] = [*self.replay.file_names, *sorted(self.replay.files.spent)]
        parts["config"] = msgspec.to_builtins(self.config)
        parts["arguments"] = {
            "verbose": self.verbose,
            "tensorboard_log": self.tensorboard_log,
            "stats_window_size": self._stats_window_size,
        }
        parts["system"] = _system()
        with _written(path) as file:
            archive.save_archive(file, self.num_timesteps, parts, cast(Policy, self.policy).save)

    @classmethod
    def load(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        path: Any,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        config: RunConfig | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return the trainer that `save` wrote.

        Of the episodes in `folder`, those finished since then arrive, when it learns. Those that it had counted do not
        arrive twice: they come back by `load_replay_buffer`, or `learn` removes them.

        Args:
            path: A path or a file open for reading bytes.
            env: As in the constructor; None to predict, or to call `set_env` later.
            device: Where the policy lives; "auto": a GPU if there is one.
            custom_objects: Constructor arguments by name, as in `kwargs`.
            print_system_info: Print where the trainer was saved, and where this is.
            force_reset: Accepted; phones always begin with new episodes.
            config: Replaces the saved settings.
            kwargs: Constructor arguments; those not given are as they were. Demonstrations are not in the file: pass
                them for the cloning term to go on.

        Raises:
            ArchiveError: `path` is missing or not written by `save`.
            CheckpointError: It is damaged.
            TypeError: `custom_objects` names what is no argument of the constructor.
        """
        for name in custom_objects or {}:
            if name not in SB3Arguments.__annotations__:
                raise TypeError(
                    f"nothing in a file of DistRL needs replacing to be read; got {name!r} in custom_objects, which "
                    f"takes {', '.join(sorted(SB3Arguments.__annotations__))}"
                )
        with TemporaryDirectory(prefix="distrl-") as temporary, _readable(path) as file:
            copied = Path(temporary) / "policy"
            # The settings, which say how the policy is loaded, lie beside it: it is read when both are there.
            parts, _ = archive.load_archive(file, lambda folder: folder.rename(copied))
            saved = config or msgspec.convert(parts["config"], RunConfig)
            described = msgspec.structs.replace(saved.policy, device=str(device))
            policy = load_policy(msgspec.structs.replace(described, model=str(copied)))
        if print_system_info:
            for title, system in (("CURRENT SYSTEM", _system()), ("SAVED MODEL SYSTEM", parts["system"])):
                sys.stdout.write(f"== {title} INFO ==\n")
                sys.stdout.writelines(f"- {key}: {text}\n" for key, text in system.items())
        arguments = {**parts["arguments"], **(custom_objects or {}), **kwargs}
        model = cast(Any, cls)(policy, env, config=saved, **arguments)
        model.load_training_state(parts)
        # The books have counted them; a file of an earlier version does not say.
        model.replay.files.spent.update(parts.get("counted_files", ()))
        return model

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """Return copies of the tensors of `policy` and `policy.optimizer`."""
        return {
            POLICY: {name: tensor.clone() for name, tensor in cast(Policy, self.policy).state_dict().items()},
            OPTIMIZER: copy.deepcopy(self.learner.optimizer.state()),
        }

    def set_parameters(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, load_path_or_dict: Any, exact_match: bool = True, device: torch.device | str = "auto"
    ) -> None:
        """Install parameters; those that are not given stay, if `exact_match` is False. Nothing changes on an error.

        Args:
            load_path_or_dict: What `get_parameters` returned, or a path or file that `save` wrote.
            exact_match: Whether all parameters must be given.
            device: Accepted; the policy stays on its device.

        Raises:
            ValueError: Names or shapes are not those of this trainer.
            LearnerError: The optimizer's state belongs to another policy.
        """
        given = load_path_or_dict if isinstance(load_path_or_dict, Mapping) else _parameters_in(load_path_or_dict)
        policy = cast(Policy, self.policy)
        own = policy.state_dict()
        _check_names("parameters", given, {POLICY, OPTIMIZER}, exact_match)
        tensors = given.get(POLICY, own)
        _check_names("policy", tensors, set(own), exact_match)
        for name, tensor in tensors.items():
            if tensor.shape != own[name].shape:
                raise ValueError(f"{name} has the shape {tuple(own[name].shape)}, got {tuple(tensor.shape)}")
        if OPTIMIZER in given:
            self.learner.load_optimizer(copy.deepcopy(given[OPTIMIZER]))
        policy.load_state_dict({**own, **tensors})

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay to exactly `path`, or to a file open for writing bytes: a zip without pickles.

        Raises:
            StorageError: The disk refused.
        """
        with _written(path) as file:
            archive.save_replay(file, self.replay)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> None:
        """Replace the replay by what `save_replay_buffer` wrote; `truncate_last_traj` does not apply.

        Raises:
            ArchiveError: `path` is missing or not ours, for instance a pickle of stock SB3.
            ReplayFileError: It is damaged.
        """
        with _readable(path) as file:
            archive.load_replay(file, self.replay)


def _system() -> dict[str, str]:
    # Versions are objects of their libraries, which a file without pickles does not hold.
    return {key: str(text) for key, text in get_system_info(print_info=False)[0].items()}


def _parameters_in(path: Any) -> dict[str, Any]:
    with _readable(path) as file:
        parts, _ = archive.load_archive(file, lambda folder: folder)
    return {POLICY: parts["policy"], OPTIMIZER: parts["learner"]["optimizer"]}


def _check_names(what: str, given: Mapping[str, Any], own: set[str], exact_match: bool) -> None:
    unknown, missing = sorted(set(given) - own), sorted(own - set(given))
    if unknown:
        raise ValueError(f"{what} of this trainer have other names: got {unknown[:3]}, there are {sorted(own)[:3]} ...")
    if missing and exact_match:
        raise ValueError(f"{what} lack {missing[:3]}; give all {len(own)}, or say exact_match=False")


@contextmanager
def _written(target: Any) -> Iterator[Path]:
    """Give a path to write; if `target` is an open file, what was written there goes to it."""
    if not hasattr(target, "write"):
        yield Path(target)
        return
    with TemporaryDirectory(prefix="distrl-") as temporary:
        path = Path(temporary) / "archive.zip"
        yield path
        target.write(path.read_bytes())


@contextmanager
def _readable(source: Any) -> Iterator[Path]:
    """Give a path to read, which holds all of `source` if that is an open file, wherever its position is."""
    if not hasattr(source, "read"):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="distrl-") as temporary:
        path = Path(temporary) / "archive.zip"
        source.seek(0)
        path.write_bytes(source.read())
        yield path
