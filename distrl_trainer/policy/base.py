"""What the collector, the learner and evaluation ask of a policy.

One token space per model: a decision is a sequence of token ids of the policy's own vocabulary, decoded
by its codec into one typed action or an `InvalidAction`. Everything downstream (log-probs, entropy,
Retrace) works on those ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from android_env_gym.actions import Action, InvalidAction
from distrl_trainer.policy.sampling import Streams


class Observation(msgspec.Struct, frozen=True):
    """What a policy is shown. `frames` are `(height, width, 3)` uint8 RGB, newest last; `history` the texts
    of the last actions, newest last.
    """

    instruction: str
    frames: tuple[NDArray[np.uint8], ...]
    history: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """What a policy chose: `token_ids` and their `logprobs` (equal length), `text` and the decoded `action`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    value: float
    text: str
    action: Action | InvalidAction


class Evaluation(msgspec.Struct, frozen=True):
    """A policy's view of decisions taken, as tensors with gradient where enabled.

    `logprobs` and `entropy` are `(batch, tokens)`, zero outside `mask` (same shape, bool); `values` is
    `(batch,)`. A decision's log-probability is the sum over its tokens.
    """

    logprobs: torch.Tensor
    entropy: torch.Tensor
    mask: torch.Tensor
    values: torch.Tensor


class Policy(Protocol):
    """A multimodal policy with a value head. `version` is set by whoever loads weights into it."""

    version: int
    module: torch.nn.Module

    def act(
        self, observations: Sequence[Observation], *, greedy: bool = False, streams: Streams | None = None
    ) -> list[Decision]:
        """Choose one action per observation, batched, without gradient.

        Args:
            observations: What each phone shows.
            greedy: Whether the likeliest tokens are taken, which needs no `streams`.
            streams: One generator per observation; one float64 number of it is used per token of that row and none
                after its last, so what a row draws does not depend on who acts beside it.

        Raises:
            ValueError: Neither `greedy` nor one stream per observation.
        """
        ...

    def evaluate(self, observations: Sequence[Observation], token_ids: Sequence[Sequence[int]]) -> Evaluation:
        """Return log-probs, entropy and values of decisions; gradient follows torch's grad mode.

        The module's own mode is kept: dropout acts only while supervised cloning has put it in training mode.
        """
        ...

    def check_tokens(self, token_ids: Sequence[int]) -> str:
        """Return why `act` could never have chosen `token_ids`, or an empty string: what stored decisions must pass."""
        ...

    def values(self, observations: Sequence[Observation]) -> torch.Tensor:
        """Return `(batch,)` state values."""
        ...

    def encode_action(self, action: Action, observation: Observation) -> tuple[int, ...]:
        """Return the token ids that express `action` (for cloning demonstrations).

        Raises:
            ActionError: The vocabulary cannot express it; the message says what was got and what is allowed.
        """
        ...

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return what a version must carry: trained weights (adapters or all) and the value head."""
        ...

    def load_state_dict(self, tensors: dict[str, torch.Tensor]) -> None:
        """Install what `state_dict` returned."""
        ...

    def parameter_groups(self, lr: float, value_lr: float) -> list[dict[str, object]]:
        """Return optimizer groups: trained policy parameters at `lr`, value head at `value_lr`."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model so that `load_policy(folder)` makes it again (safetensors, no pickle)."""
        ...
