"""`Judge -> Verdict`: did the episode reach its task's goal?

The environment calls a judge with the `Evidence` so far. A judge that cannot answer returns a
verdict with `valid=False`; it never returns "no success" for "I do not know".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, Finish, InvalidAction

if TYPE_CHECKING:
    from android_env_gym.phone.state import PhoneState
    from android_env_gym.tasks.base import Task


class Verdict(msgspec.Struct, frozen=True):
    """A judge's answer. `score` is in [0, 1]; `valid=False` means the judge could not tell."""

    success: bool
    score: float = 0.0
    reason: str = ""
    valid: bool = True


class Evidence(msgspec.Struct, frozen=True):
    """What a judge may look at: the task, the frames and actions so far, and states where a World exists.

    `frames` are the observations seen (T + 1 arrays of `(height, width, 3)` uint8 RGB) for the T `actions`;
    `finish` is the `Finish` action when the agent has declared the end, else None.
    """

    task: Task
    frames: Sequence[NDArray[np.uint8]]
    actions: Sequence[Action | InvalidAction]
    finish: Finish | None = None
    before: PhoneState | None = None
    now: PhoneState | None = None


class Judge(Protocol):
    """Decides success. Implementations may be called from several threads."""

    needs_world: bool

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict on the episode so far."""
        ...
