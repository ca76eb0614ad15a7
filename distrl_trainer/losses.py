"""The losses of A-RIDE as pure functions of step tensors.

Every function takes tensors of one common shape (one entry per step, usually `(N,)`) and per-step `weights`:
the importance weight of the trajectory, 0 on padding. Every mean is `sum w l / sum w`. Every loss is to be
*added*, times its coefficient: `policy + entropy_coef * entropy + invalid_coef * invalid + cloning_coef *
cloning`. Called by the learner and `value_fit`.
Source: DistRL (arXiv 2410.14803), section 4.2 and appendix A.3; PPO's clip (arXiv 1707.06347), equation 7.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
import torch
from torch.nn import functional

from distrl_trainer.config import Advantage, Baseline, ValueLoss
from distrl_trainer.retrace import LOG_RATIO_BOUND

SMALLEST_STD = 1e-6


class PolicyLoss(msgspec.Struct, frozen=True):
    """`loss` with gradient; `clipped_share`, without: the weighted share of steps that PPO's clip silenced."""

    loss: torch.Tensor
    clipped_share: torch.Tensor


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return `sum w l / sum w`; entries of weight 0 are not read.

    Args:
        losses: Any shape.
        weights: Same shape, >= 0, not all 0.
    """
    weighted = torch.where(weights > 0, weights * losses, torch.zeros_like(losses))
    return weighted.sum() / weights.sum()


def normalise_advantages(
    advantages: torch.Tensor, mode: Advantage, negative_scale: float = 1.0, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the advantages the policy loss uses; same shape, 0 outside `mask`, no gradient.

    `std` divides by the standard deviation over the batch's steps and does not centre (V is the baseline);
    `centred` also subtracts the mean; `raw` leaves them; `indicator` is 1{A > 0}. Negative results are then
    multiplied by `negative_scale`. A batch whose advantages are all alike (std below 1e-6) is not divided.
    """
    advantages = advantages.detach()
    mask = torch.ones_like(advantages, dtype=torch.bool) if mask is None else mask
    scaled = _normalised(advantages, advantages[mask], mode)
    scaled = torch.where(scaled < 0, negative_scale * scaled, scaled)
    return torch.where(mask, scaled, torch.zeros_like(scaled))


def _normalised(advantages: torch.Tensor, inside: torch.Tensor, mode: Advantage) -> torch.Tensor:
    if mode == "raw":
        return advantages
    if mode == "indicator":
        return (advantages > 0).to(advantages.dtype)
    if mode not in ("std", "centred"):
        raise ValueError(f"advantage mode {mode!r} is unknown; choose std, raw, centred or indicator")
    if mode == "centred":
        advantages = advantages - inside.mean()
    std = inside.std(correction=0)
    return advantages / torch.where(std < SMALLEST_STD, torch.ones_like(std), std)


def baseline_values(values: torch.Tensor, task_means: torch.Tensor, baseline: Baseline) -> torch.Tensor:
    """Return what stands for the value of each state in the policy's advantages; same shape as `values`.

    Args:
        values: `(B, T + 1)`, V.
        task_means: `(B,)`, running mean return of each trajectory's template.
        baseline: V (`value`), the mean of the template at every state (`task_ema`), or half of each (`both`).
    """
    constant = task_means[:, None].expand_as(values)
    if baseline == "value":
        return values
    if baseline == "task_ema":
        return constant
    if baseline == "both":
        return 0.5 * (values + constant)
    assert_never(baseline)


def state_values(raw: torch.Tensor, kind: ValueLoss) -> torch.Tensor:
    """Return V from the value head's output: the output itself for `huber`, its sigmoid for `bce`."""
    return torch.sigmoid(raw) if kind == "bce" else raw


def value_loss(
    raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, kind: ValueLoss = "huber"
) -> torch.Tensor:
    """Return L_V, a scalar.

    Args:
        raw: Output of the value head: V for `huber`, a logit for `bce` (see `state_values`).
        targets: `huber`: v_t of `retrace`. `bce`: the Monte-Carlo return G_t, used as the label 1{G_t > 0};
            valid only for gamma 1 and rewards of 0 and 1.
        weights: Weight per step.
        kind: `huber` (bend at 1) or `bce`, the paper's.
    """
    targets = targets.detach()
    if kind == "huber":
        losses = functional.huber_loss(raw, targets, reduction="none")
    elif kind == "bce":
        losses = functional.binary_cross_entropy_with_logits(raw, (targets > 0).to(raw.dtype), reduction="none")
    else:
        assert_never(kind)
    return weighted_mean(losses, weights)


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    rho: torch.Tensor,
    advantages: torch.Tensor,
    weights: torch.Tensor,
    *,
    rho_bar: float = 1.0,
    clip_eps: float = 0.2,
) -> PolicyLoss:
    """Return `- stop(min(rho_bar, rho)) min(u A, clip(u, 1 - eps, 1 + eps) A)` with `u = pi_theta / pi_old`.

    pi_old is the policy when the batch was drawn. On the first gradient step u is 1 and the gradient is that
    of the paper's `- rho A log pi`.

    Args:
        logprobs: log pi_theta of each action (sum over its tokens), with gradient.
        old_logprobs: log pi_old of the same actions.
        rho: pi_old / mu, unclipped, as `retrace` returns it.
        advantages: Of `normalise_advantages`.
        weights: Weight per step.
        rho_bar: Bound of `rho`.
        clip_eps: Bound of `u` around 1.
    """
    ratio = (logprobs - old_logprobs.detach()).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()
    advantages = advantages.detach()
    free = ratio * advantages
    bounded = ratio.clamp(1.0 - clip_eps, 1.0 + clip_eps) * advantages
    losses = -rho.detach().clamp(max=rho_bar) * torch.minimum(free, bounded)
    silenced = (bounded < free).to(ratio.dtype).detach()
    return PolicyLoss(weighted_mean(losses, weights), weighted_mean(silenced, weights))


def entropy_loss(entropy: torch.Tensor, token_mask: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return minus the mean entropy of the steps; a step's is the mean over its tokens.

    Args:
        entropy: `(N, tokens)`, exact from the logits.
        token_mask: `(N, tokens)` bool.
        weights: `(N,)`.
    """
    return -weighted_mean(token_mean(entropy, token_mask), weights)


def token_mean(per_token: torch.Tensor, token_mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over each step's tokens: `(N, tokens)` -> `(N,)`; 0 for a step without tokens."""
    kept = torch.where(token_mask, per_token, torch.zeros_like(per_token))
    return kept.sum(-1) / token_mask.sum(-1).clamp(min=1)


def invalid_loss(
    logprobs: torch.Tensor, rho: torch.Tensor, invalid: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return `stop(min(1, rho)) 1{a invalid} log pi(a)`, whose expected gradient is that of P(invalid).

    Args:
        logprobs: log pi_theta of each action, with gradient.
        rho: pi_old / mu, unclipped.
        invalid: Bool, whether the action could not be decoded.
        weights: Weight per step.
    """
    losses = torch.where(invalid, rho.detach().clamp(max=1.0) * logprobs, torch.zeros_like(logprobs))
    return weighted_mean(losses, weights)


def cloning_loss(logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return `- log pi(a)` of actions to imitate: the warm start, L_bc and `clone-only`.

    Args:
        logprobs: log pi_theta of each action (sum over its tokens), with gradient.
        weights: Weight per step, ones for demonstrations.
    """
    return weighted_mean(-logprobs, weights)
