"""Retrace(lambda) in its V form: advantages and value targets of padded batches of trajectories.

Pure functions. Shapes: `(B, T)` for what belongs to steps, `(B, T + 1)` for values, whose entry `values[i, n_i]`
is the value of the last observation of a trajectory of `n_i` steps. `mask` is True on the first `n_i` steps
of row i; what lies outside is never read, so padding may hold anything and changes nothing. The learner
calls this once per batch, without gradient. Source: DistRL (arXiv 2410.14803), section 4.2; Retrace
(arXiv 1606.02647), equation 3; V-trace (arXiv 1802.01561), equation 1.
"""

from __future__ import annotations

import msgspec
import torch

LOG_RATIO_BOUND = 20.0


class RetraceTargets(msgspec.Struct, frozen=True):
    """Targets of one batch, each `(B, T)` and 0 outside the mask.

    `advantages` A_t, `value_targets` v_t, `rho` the unclipped ratio pi/mu of each action, `deltas` the TD errors.
    """

    advantages: torch.Tensor
    value_targets: torch.Tensor
    rho: torch.Tensor
    deltas: torch.Tensor


class RatioDiagnostics(msgspec.Struct, frozen=True):
    """How far the policy is from the behaviour in one batch, over its steps as sampled.

    `effective_sample_size` is `(sum rho)^2 / sum rho^2`, between 1 and the number of steps; `clipped_share` the
    share of steps with `rho` above its bound; `kl` estimates KL(mu, pi) per action and is never negative.
    """

    effective_sample_size: float
    clipped_share: float
    kl: float


@torch.no_grad()
def retrace(
    rewards: torch.Tensor,
    values: torch.Tensor,
    log_ratios: torch.Tensor,
    bootstrap: torch.Tensor,
    mask: torch.Tensor,
    gamma: float,
    lambda_: float,
) -> RetraceTargets:
    """Return advantages and value targets by one backward pass.

    With `rho = exp(clip(l, -20, 20))`, `c = lambda min(1, rho)`:
    `delta_t = r_t + gamma V(s_{t+1}) - V(s_t)` (the last V counts only if `bootstrap`),
    `A_t = delta_t + gamma c_{t+1} A_{t+1}`, `v_t = V(s_t) + min(1, rho_t) A_t`.
    `lambda_` 1 gives V-trace's targets with both clips at 1, `lambda_` 0 one-step TD.

    Args:
        rewards: `(B, T)`.
        values: `(B, T + 1)`.
        log_ratios: `(B, T)`, log pi - log mu of each action, summed over its tokens.
        bootstrap: `(B,)`, whether the value of the last observation counts.
        mask: `(B, T)` bool, True on a prefix of each row.
        gamma: Discount per step.
        lambda_: Trace decay.

    Raises:
        ValueError: The shapes do not fit, or a row of `mask` is not a prefix.
    """
    _check(rewards, values, log_ratios, bootstrap, mask)
    zero = torch.zeros((), dtype=values.dtype, device=values.device)
    rho = torch.where(mask, importance_ratios(log_ratios), zero)
    current = torch.where(mask, values[:, :-1], zero)
    following = torch.where(_continues(mask, bootstrap), values[:, 1:], zero)
    deltas = torch.where(mask, rewards + gamma * following - current, zero)
    clipped = rho.clamp(max=1.0)
    advantages = torch.zeros_like(deltas)
    carried = torch.zeros_like(deltas[:, 0])
    for t in range(deltas.shape[1] - 1, -1, -1):
        advantages[:, t] = deltas[:, t] + carried
        carried = gamma * lambda_ * clipped[:, t] * advantages[:, t]
    return RetraceTargets(advantages, current + clipped * advantages, rho, deltas)


def importance_ratios(log_ratios: torch.Tensor) -> torch.Tensor:
    """Return `exp(clip(l, -20, 20))`, elementwise: finite for any action, however unlikely."""
    return log_ratios.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()


@torch.no_grad()
def monte_carlo_returns(rewards: torch.Tensor, mask: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return the discounted sum of the rewards from each step on, `(B, T)`, 0 outside the mask."""
    rewards = torch.where(mask, rewards, torch.zeros_like(rewards))
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1] - 1, -1, -1):
        following = rewards[:, t] + gamma * following
        returns[:, t] = following
    return returns


@torch.no_grad()
def diagnose_ratios(log_ratios: torch.Tensor, mask: torch.Tensor, rho_bar: float = 1.0) -> RatioDiagnostics:
    """Return the diagnostics of a batch with at least one step; arguments as in `retrace`.

    KL(mu, pi) is estimated by the mean of `rho - 1 - log rho` over actions of mu: unbiased, each term >= 0
    (Schulman, "Approximating KL divergence", estimator k3).
    """
    logs = log_ratios[mask].clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    ratios = logs.exp()
    return RatioDiagnostics(
        effective_sample_size=float(ratios.sum().square() / ratios.square().sum()),
        clipped_share=float((ratios > rho_bar).float().mean()),
        kl=float((torch.expm1(logs) - logs).mean()),
    )


def _continues(mask: torch.Tensor, bootstrap: torch.Tensor) -> torch.Tensor:
    """Return where V(s_{t+1}) counts: inside a trajectory, and after its last step if it bootstraps."""
    inner = torch.zeros_like(mask)
    inner[:, :-1] = mask[:, 1:]
    return inner | (mask & bootstrap.bool()[:, None])


def _check(
    rewards: torch.Tensor, values: torch.Tensor, log_ratios: torch.Tensor, bootstrap: torch.Tensor, mask: torch.Tensor
) -> None:
    batch, steps = mask.shape
    expected = {
        "rewards": (rewards, (batch, steps)),
        "values": (values, (batch, steps + 1)),
        "log_ratios": (log_ratios, (batch, steps)),
        "bootstrap": (bootstrap, (batch,)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; mask {(batch, steps)} needs {shape}")
    if mask.dtype != torch.bool:
        raise ValueError(f"mask has dtype {mask.dtype}; pass a bool tensor")
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("mask has a True after a False; put each trajectory at the start of its row")
