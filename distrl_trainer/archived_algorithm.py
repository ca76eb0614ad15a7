"""The half of `DistRL` that writes and reads files in SB3's verbs, without SB3's pickles.

Invariant: `save` then `load` gives a trainer with the same policy, optimizer and books; the replay travels apart, as
in SB3. Base class of `algorithm.DistRL`, which says what its state is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import msgspec
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from distrl_trainer import archive
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.replay import Replay


class ArchivedAlgorithm(OffPolicyAlgorithm):
    """An off-policy algorithm that is stored as zips of safetensors and msgpack.

    Attributes:
        config: All settings.
        replay: The replay.
    """

    config: RunConfig
    replay: Replay

    def training_state(self) -> dict[str, Any]:
        """Return everything that a run continues from; `policy` and `replay` are among its parts."""
        raise NotImplementedError

    def load_training_state(self, parts: dict[str, Any]) -> None:
        """Install what `training_state` returned; `replay` may be missing."""
        raise NotImplementedError

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """Write policy, optimizer, books and settings to one zip; the replay has `save_replay_buffer`.

        Raises:
            TypeError: `exclude` or `include` is given: nothing here is pickled by attribute.
            StorageError: The disk refused.
        """
        if exclude or include:
            raise TypeError("DistRL.save writes a fixed set of parts and takes neither exclude nor include")
        parts = self.training_state()
        del parts["replay"]
        parts["config"] = msgspec.to_builtins(self.config)
        archive.save_archive(Path(path), self.num_timesteps, parts, cast(Policy, self.policy).save)

    @classmethod
    def load(cls, path: Any, env: Any = None, *, config: RunConfig | None = None, **kwargs: Any) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the trainer that `save` wrote; `config` replaces its settings, `kwargs` go to the constructor.

        Raises:
            ArchiveError: `path` is missing or not written by `save`.
            CheckpointError: It is damaged.
        """

        def use_policy(folder: Path) -> Policy:
            return load_policy(msgspec.structs.replace(PolicyConfig(), model=str(folder)))

        parts, policy = archive.load_archive(Path(path), use_policy)
        config = config or msgspec.convert(parts["config"], RunConfig)
        model = cast(Any, cls)(policy, env, config=config, **kwargs)
        model.load_training_state(parts)
        return model

    def save_replay_buffer(self, path: Any) -> None:
        """Write the replay to exactly `path`, a zip without pickles.

        Raises:
            StorageError: The disk refused.
        """
        archive.save_replay(Path(path), self.replay)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> None:
        """Replace the replay by what `save_replay_buffer` wrote; `truncate_last_traj` does not apply.

        Raises:
            ArchiveError: `path` is missing or not ours, for instance a pickle of stock SB3.
            ReplayFileError: It is damaged.
        """
        archive.load_replay(Path(path), self.replay)
