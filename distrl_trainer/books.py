"""The books of a run: what arrived, what was admitted, which version is out, which tasks are worth drawing.

Invariant: every arriving trajectory is counted exactly once, as failed, too late, a duplicate or admitted; only
an admitted one has entered replay. `state` holds all of it. Owned by `algorithm.DistRL`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from distrl_trainer.config import RunConfig
from distrl_trainer.curriculum import Curriculum
from distrl_trainer.inbox import Received
from distrl_trainer.learner import Learner
from distrl_trainer.replay import Replay
from distrl_trainer.staleness import PublishPacer, StalenessCounts, StalenessGate
from distrl_trainer.trajectory import Trajectory


class Counters(msgspec.Struct):
    """What a run has done so far.

    `new_steps` are those of the trajectories that were admitted to replay: the replay ratio and the start of learning
    count them. Steps of episodes that failed, came too late or came twice were made and cost budget
    (`DistRL.num_timesteps`), but nobody can learn from them. `surplus_steps` are the new ones that no training step
    has used up yet.
    """

    trajectories: int = 0
    new_steps: int = 0
    failures: int = 0
    duplicates: int = 0
    updates: int = 0
    version: int = 0
    updates_since_version: int = 0
    surplus_steps: int = 0
    values_fitted: bool = False


class Books:
    """Counters, staleness gate, pacer and curriculum of one run.

    Args:
        config: Settings.
        templates: Task templates of the curriculum.
        recent: Number of recent episodes in logged means.
    """

    def __init__(self, config: RunConfig, templates: Sequence[str], recent: int = 100) -> None:
        fleet = config.fleet
        self.counters = Counters()
        self.gate = StalenessGate(config.staleness.max_lag)
        self.pacer = PublishPacer(config.staleness.max_lag)
        self.curriculum = Curriculum(templates, uniform=fleet.curriculum_uniform if fleet.curriculum else 1.0)
        self.recent: deque[Trajectory] = deque(maxlen=recent)
        self._jumps: list[tuple[int, int]] = []
        self._updates_per_version = config.algorithm.updates_per_version

    def arrive(self, received: Received, replay: Replay, learner: Learner, delay: float) -> int:
        """Count a trajectory and move its file on: into `replay` if it is valid, new and not too late.

        Args:
            received: As the fleet handed it over.
            replay: Takes it.
            learner: Notes its return.
            delay: Seconds that a finished trajectory may have waited for the learner.

        Returns:
            How many new steps it brought: all of its steps or none.

        Raises:
            StorageError: The file cannot be moved; it arrives again after a resume.
        """
        new_steps = self._count(received.trajectory, replay, delay)
        if new_steps:
            replay.admit(received)
            learner.observe(received.trajectory)
        else:
            replay.files.count(received.name)
        return new_steps

    def _count(self, trajectory: Trajectory, replay: Replay, delay: float) -> int:
        """Count a trajectory and return how many new steps it brings."""
        self.counters.trajectories += 1
        if not trajectory.reward_valid or not trajectory.steps:
            self.counters.failures += 1
            return 0
        self.pacer.episode_ended(trajectory.seconds + delay)
        if trajectory.id in replay:
            self.counters.duplicates += 1
            return 0
        self.curriculum.record(trajectory.template, trajectory.success)
        # Without the frames, which would hold the memory of a hundred episodes.
        self.recent.append(msgspec.structs.replace(trajectory, frames=()))
        if not self.gate.arrive(self._collected_at(trajectory.oldest_version), self.counters.version):
            return 0
        self.counters.new_steps += len(trajectory.steps)
        return len(trajectory.steps)

    def jump_to(self, version: int) -> None:
        """Give the weights as they are the higher number `version`, because those between were given before.

        That changes no weights, so it makes no episode late, however often it happens: the lag of those that come from
        before a jump counts from the number that these weights had. Of versions that a killed learner published after
        its last checkpoint nothing is left; what they collected is no older than the checkpoint.
        """
        self._jumps.append((self.counters.version, version))
        self.counters.version = version

    def _collected_at(self, version: int) -> int:
        """Return `version` of an episode's oldest step as numbered after all jumps."""
        return version + sum(after - max(before, version) for before, after in self._jumps if version < after)

    def next_version(self, now: float, episodes_running: int) -> int | None:
        """Count one update; return the version to publish now, or None if it is not time yet."""
        counters = self.counters
        counters.updates += 1
        counters.updates_since_version += 1
        if counters.updates_since_version < self._updates_per_version:
            return None
        if not self.pacer.may_publish(now, episodes_running):
            return None
        counters.updates_since_version = 0
        counters.version += 1
        self.pacer.published(now)
        return counters.version

    def numbers(self) -> dict[str, float]:
        """Return what is worth logging under `collect/`."""
        lags = self.gate.lags()
        return {
            "episodes": self.counters.trajectories,
            "new_steps": self.counters.new_steps,
            "invalid_reward_share": self.counters.failures / max(1, self.counters.trajectories),
            "infra_errors": self.counters.failures,
            "duplicates": self.counters.duplicates,
            "dropped_lag": self.gate.counts.dropped,
            "dropped_share": self.gate.dropped_share,
            "lag_mean": float(np.mean(lags)) if lags else 0.0,
            "lag_max_admitted": self.gate.counts.max_lag_admitted,
            **_episode_means(list(self.recent)),
        }

    def state(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        counts = msgspec.structs.asdict(self.gate.counts)
        return {
            "counters": msgspec.to_builtins(self.counters),
            "curriculum": self.curriculum.state(),
            # Pairs, because the keys of a saved tree are text.
            "lags": counts | {"histogram": sorted(self.gate.counts.histogram.items())},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Install what `state` returned."""
        self.counters = msgspec.convert(state["counters"], Counters)
        self._jumps.clear()
        self.curriculum.load_state(state["curriculum"])
        histogram = {int(lag): int(count) for lag, count in state["lags"]["histogram"]}
        self.gate.counts = msgspec.convert(state["lags"] | {"histogram": histogram}, StalenessCounts)


def _episode_means(recent: Sequence[Trajectory]) -> dict[str, float]:
    if not recent:
        return {}
    steps = max(1, sum(len(trajectory.steps) for trajectory in recent))
    return {
        "success_rate": float(np.mean([trajectory.success for trajectory in recent])),
        "episode_length": float(np.mean([len(trajectory.steps) for trajectory in recent])),
        "episode_seconds": float(np.mean([trajectory.seconds for trajectory in recent])),
        "false_completion_share": float(np.mean([trajectory.false_completion for trajectory in recent])),
        "invalid_action_share": sum(bool(s.invalid) for item in recent for s in item.steps) / steps,
        "shaping_per_step": sum(s.reward_shaping for item in recent for s in item.steps) / steps,
    }
