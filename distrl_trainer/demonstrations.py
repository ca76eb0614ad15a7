"""Demonstrations as single decisions to imitate, and the loss of imitating them.

The cloning term of RL, its control arm and the warm start share both, so that they differ in nothing else. Callers:
`learner`, `warmup`, `algorithm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import torch
from torch import Tensor

from distrl_trainer.losses import cloning_loss
from distrl_trainer.observations import View, observation_at
from distrl_trainer.policy.base import Observation, Policy
from distrl_trainer.trajectory import Trajectory


class Decisions(msgspec.Struct, frozen=True):
    """Single decisions to imitate: aligned observations and token ids."""

    observations: list[Observation]
    token_ids: list[tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.token_ids)

    def parts(self, size: int) -> Iterator[Decisions]:
        """Yield them in parts of at most `size`; 0: all at once."""
        size = size or len(self)
        for start in range(0, len(self), size):
            yield Decisions(self.observations[start : start + size], self.token_ids[start : start + size])


class Demonstrations:
    """The warm start's demonstrations, drawn from step by step. Holds files' worth of data, asks nobody for more."""

    def __init__(self, trajectories: Sequence[Trajectory], view: View) -> None:
        self.trajectories = list(trajectories)
        self.view = view
        self._places = [(i, t) for i, item in enumerate(self.trajectories) for t in range(len(item.steps))]

    def __len__(self) -> int:
        return len(self._places)

    def draw(self, count: int, generator: np.random.Generator) -> Decisions:
        """Return `count` decisions drawn uniformly over steps, with replacement."""
        return self.take(generator.integers(len(self._places), size=count).tolist())

    def take(self, places: Sequence[int]) -> Decisions:
        """Return the decisions at `places`, numbered from 0 over all steps."""
        chosen = [self._places[place] for place in places]
        return Decisions(
            [observation_at(self.trajectories[i], t, self.view) for i, t in chosen],
            [self.trajectories[i].steps[t].token_ids for i, t in chosen],
        )


def imitation_losses(policy: Policy, decisions: Decisions, micro_batch: int = 0) -> Iterator[Tensor]:
    """Yield losses whose sum is the mean `- log pi` of `decisions`, with gradient, one per micro-batch.

    Each is to be used up (`backward`) before the next is asked for: that is what bounds the memory.
    """
    for part in decisions.parts(micro_batch):
        logprobs = policy.evaluate(part.observations, part.token_ids).logprobs.sum(-1)
        yield cloning_loss(logprobs, torch.ones_like(logprobs)) * (len(part) / len(decisions))


def imitation_loss(policy: Policy, decisions: Decisions, micro_batch: int = 0) -> float:
    """Return the mean `- log pi` of `decisions`, without gradient."""
    with torch.no_grad():
        return sum(loss.item() for loss in imitation_losses(policy, decisions, micro_batch))
