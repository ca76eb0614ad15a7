"""Fits the value head on rollouts of the warm policy, before RL moves anything else.

Invariant: nothing but the value head changes. The head reads a detached feature, which is therefore computed
once per observation and then trained on for as many passes as help a held-out part. Called by
`algorithm.DistRL` once, before the first policy step (ALGORITHM section 3).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from distrl_trainer.config import AlgorithmConfig
from distrl_trainer.losses import value_loss
from distrl_trainer.observations import View, observations
from distrl_trainer.policy.base import Policy
from distrl_trainer.retrace import monte_carlo_returns
from distrl_trainer.trajectory import Trajectory

MAX_PASSES = 60
PATIENCE = 4
HELD_OUT_SHARE = 0.2
BATCH = 64


class ValueHeadError(TypeError):
    """The policy's module has no part named `value_head`."""


def fit_values(
    policy: Policy, trajectories: Sequence[Trajectory], config: AlgorithmConfig, *, view: View, seed: int
) -> dict[str, float]:
    """Fit V to the discounted returns of on-policy `trajectories` (Retrace's target for lambda = 1).

    Trajectories that end by truncation are left out: their return is not known.

    Returns:
        `value_fit_passes`, `value_fit_loss` on the held-out part, and `value_fit_explained` there.
    """
    generator = np.random.default_rng([seed, 2])
    complete = [item for item in trajectories if item.steps and not item.bootstraps]
    if len(complete) < 2:
        return {"value_fit_passes": 0.0}
    head = _value_head(policy.module)
    order = generator.permutation(len(complete))
    held = max(1, round(HELD_OUT_SHARE * len(complete)))
    features, labels = _features(policy, head, [complete[i] for i in order[held:]], config, view)
    unseen, unseen_labels = _features(policy, head, [complete[i] for i in order[:held]], config, view)
    passes, best = _fit(head, (features, labels), (unseen, unseen_labels), config, generator)
    with torch.no_grad():
        left = unseen_labels - _raw(head, unseen)
    spread = float(unseen_labels.var(correction=0))
    explained = 1.0 - float(left.var(correction=0)) / spread if spread and config.value_loss == "huber" else 0.0
    return {"value_fit_passes": float(passes), "value_fit_loss": best, "value_fit_explained": explained}


def _fit(
    head: nn.Module,
    seen: tuple[Tensor, Tensor],
    unseen: tuple[Tensor, Tensor],
    config: AlgorithmConfig,
    generator: np.random.Generator,
) -> tuple[int, float]:
    """Train until the held-out loss has not improved for `PATIENCE` passes; the best weights stay."""
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.value_lr)
    best, best_state, since, passes = _loss(head, unseen, config), copy.deepcopy(head.state_dict()), 0, 0
    while since < PATIENCE and passes < MAX_PASSES:
        passes += 1
        order = torch.from_numpy(generator.permutation(len(seen[1])))
        for rows in order.split(BATCH):
            raw = _raw(head, seen[0][rows])
            loss = value_loss(raw, seen[1][rows], torch.ones_like(raw), config.value_loss)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        now = _loss(head, unseen, config)
        since += 1
        if now < best:
            best, best_state, since = now, copy.deepcopy(head.state_dict()), 0
    head.load_state_dict(best_state)
    return passes, best


@torch.no_grad()
def _loss(head: nn.Module, data: tuple[Tensor, Tensor], config: AlgorithmConfig) -> float:
    raw = _raw(head, data[0])
    return float(value_loss(raw, data[1], torch.ones_like(raw), config.value_loss))


def _raw(head: nn.Module, features: Tensor) -> Tensor:
    return head(features).reshape(len(features))


@torch.no_grad()
def _features(
    policy: Policy, head: nn.Module, trajectories: Sequence[Trajectory], config: AlgorithmConfig, view: View
) -> tuple[Tensor, Tensor]:
    """Return what the head reads at every step, `(N, size)`, and the returns, `(N,)`."""
    caught: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _module, inputs: caught.append(inputs[0].detach()))
    try:
        for trajectory in trajectories:
            policy.values(observations(trajectory, view)[:-1])
    finally:
        hook.remove()
    features = torch.cat([part.reshape(-1, part.shape[-1]) for part in caught])
    labels = torch.cat([_returns(trajectory, config) for trajectory in trajectories])
    return features, labels.to(features)


def _returns(trajectory: Trajectory, config: AlgorithmConfig) -> Tensor:
    shaped = config.value_loss == "huber"
    rewards = torch.tensor([[step.reward_task + step.reward_shaping * shaped for step in trajectory.steps]])
    return monte_carlo_returns(rewards, torch.ones_like(rewards, dtype=torch.bool), config.gamma)[0]


def _value_head(module: nn.Module) -> nn.Module:
    for name, part in module.named_modules():
        if name.split(".")[-1] == "value_head":
            return part
    raise ValueHeadError(f"{type(module).__name__} has no part named value_head; a policy keeps its value head there")
