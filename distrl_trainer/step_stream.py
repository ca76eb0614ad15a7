"""Finished episodes as the steps of a vectorised environment, for callbacks of Stable-Baselines3.

Collectors hand over whole episodes; callbacks expect one step of every phone at a time. Invariant: every step that was
made appears exactly once, in the order in which episodes arrived, `width` steps a row. Called by `algorithm.DistRL`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distrl_trainer.trajectory import Trajectory


class StepRow(NamedTuple):
    """What callbacks read in `self.locals` under the same names."""

    rewards: NDArray[np.float32]
    """`(width,)`: the task's reward, without shaping."""
    dones: NDArray[np.bool_]
    """`(width,)`: whether the step was its episode's last."""
    infos: list[dict[str, Any]]
    """`width` of them; that of a last step has `is_success`, and, where the reward is valid, `episode` (`r` return,
    `l` length, `t` seconds since learning began), as `Monitor` writes it."""


class StepStream:
    """Holds the steps that are not yet enough for a row."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, bool, dict[str, Any]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, trajectory: Trajectory, seconds: float) -> list[dict[str, Any]]:
        """Append the steps of `trajectory`, which arrived `seconds` after learning began; return their infos."""
        infos: list[dict[str, Any]] = [
            {"template": trajectory.template, "task_id": trajectory.task_id, "invalid_action": step.invalid}
            for step in trajectory.steps
        ]
        for step, info in zip(trajectory.steps, infos, strict=True):
            self._waiting.append((step.reward_task, info is infos[-1], info))
        if infos:
            infos[-1] |= {
                "reward_valid": trajectory.reward_valid,
                "TimeLimit.truncated": trajectory.truncated and not trajectory.terminated,
            }
        if infos and trajectory.reward_valid:
            earned = float(sum(step.reward_task for step in trajectory.steps))
            infos[-1]["is_success"] = trajectory.success
            infos[-1]["episode"] = {"r": earned, "l": len(infos), "t": round(seconds, 6)}
        return infos

    def rows(self, width: int) -> Iterator[StepRow]:
        """Yield and forget rows of `width` steps while there are enough."""
        while len(self._waiting) >= width:
            taken = [self._waiting.popleft() for _ in range(width)]
            yield StepRow(
                np.array([reward for reward, _, _ in taken], dtype=np.float32),
                np.array([done for _, done, _ in taken], dtype=np.bool_),
                [info for _, _, info in taken],
            )

    def clear(self) -> None:
        """Forget the steps that wait."""
        self._waiting.clear()
