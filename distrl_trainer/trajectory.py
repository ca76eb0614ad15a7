"""`Trajectory`: T steps and T + 1 frames, exactly as the policy saw them, on the wire as msgpack.

Written by collectors, read by replay, learner and `inspect`. Frames are PNG (lossless): what the
policy saw is what is stored. Token ids and behaviour log-probs are stored, never recomputed from text.
"""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One decision.

    `token_ids` and `logprobs` have equal length: the tokens generated and their log-probability under the
    behaviour policy (the same untruncated distribution that was sampled). `version` is the policy version
    that acted. `reward_task` is the environment's, `reward_shaping` the trainer's; they are never mixed.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    action: bytes
    version: int
    value: float
    reward_task: float = 0.0
    reward_shaping: float = 0.0
    invalid: str = ""


class Trajectory(msgspec.Struct, frozen=True, kw_only=True):
    """One episode. `frames[t]` (PNG) is what step t saw, `frames[T]` the last observation.

    `terminated`: nothing follows (success, `Finish`, step limit); `truncated`: time or device ran out, the
    value of the last frame bootstraps. `reward_valid` is False if judge or device failed: such a
    trajectory is counted but never enters replay. `side_effects` counts the paths of `info["side_effects"]`.
    """

    id: str
    template: str
    task_id: str
    split: str
    instance: int
    instruction: str
    steps: tuple[Step, ...]
    frames: tuple[bytes, ...]
    terminated: bool
    truncated: bool
    success: bool
    reward_valid: bool = True
    verdict_reason: str = ""
    failure_kind: str = ""
    failure_message: str = ""
    false_completion: bool = False
    side_effects: int = 0
    collector: str = ""
    seed: int = 0
    seconds: float = 0.0

    @property
    def oldest_version(self) -> int:
        """Return the smallest policy version among the steps."""
        return min((step.version for step in self.steps), default=0)

    @property
    def bootstraps(self) -> bool:
        """Return whether the value of the last frame counts (section 1: only for truncation)."""
        return self.truncated and not self.terminated


def encode(trajectory: Trajectory) -> bytes:
    """Return `trajectory` as msgpack."""
    return msgspec.msgpack.encode(trajectory)


def decode(data: bytes) -> Trajectory:
    """Return the trajectory in `data`.

    Raises:
        msgspec.DecodeError: `data` is truncated or not a trajectory.
    """
    return msgspec.msgpack.decode(data, type=Trajectory)
