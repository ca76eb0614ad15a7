"""Retrace against a literal double loop and against the identities of the algorithm's definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl_trainer.retrace import RetraceTargets, diagnose_ratios, monte_carlo_returns, retrace

FIELDS = ("advantages", "value_targets", "rho", "deltas")


class Case:
    """Random trajectories of 1 to 7 steps, padded with garbage."""

    def __init__(self, seed: int, on_policy: bool = False) -> None:
        torch.manual_seed(seed)
        batch, steps = int(torch.randint(1, 5, ())), int(torch.randint(1, 8, ()))
        self.lengths = torch.randint(1, steps + 1, (batch,))
        self.mask = torch.arange(steps)[None] < self.lengths[:, None]
        self.rewards = torch.randn(batch, steps, dtype=torch.float64)
        self.values = torch.randn(batch, steps + 1, dtype=torch.float64)
        self.log_ratios = 2 * torch.randn(batch, steps, dtype=torch.float64) * (not on_policy)
        self.bootstrap = torch.rand(batch) < 0.5
        self.gamma = float(torch.rand(()))
        self.lambda_ = float(torch.rand(()))

    def targets(self, lambda_: float | None = None) -> RetraceTargets:
        lambda_ = self.lambda_ if lambda_ is None else lambda_
        return retrace(self.rewards, self.values, self.log_ratios, self.bootstrap, self.mask, self.gamma, lambda_)

    def clipped(self) -> torch.Tensor:
        return self.log_ratios.exp().clamp(max=1.0)


cases = st.integers(0, 2**31 - 1)


def oracle(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """A_t = sum_{k >= t} gamma^{k-t} (prod_{i=t+1..k} c_i) delta_k, as written."""
    advantages, value_targets = torch.zeros_like(case.rewards), torch.zeros_like(case.rewards)
    for row, length in enumerate(case.lengths.tolist()):
        v = case.values[row, : length + 1].clone()
        v[length] *= float(case.bootstrap[row])
        rho = case.log_ratios[row].exp()
        for t in range(length):
            for k in range(t, length):
                trace = math.prod(case.lambda_ * min(1.0, float(rho[i])) for i in range(t + 1, k + 1))
                delta = case.rewards[row, k] + case.gamma * v[k + 1] - v[k]
                advantages[row, t] += case.gamma ** (k - t) * trace * delta
            value_targets[row, t] = v[t] + min(1.0, float(rho[t])) * advantages[row, t]
    return advantages, value_targets


@settings(deadline=None)
@given(cases)
def test_matches_the_double_loop(seed: int):
    case = Case(seed)
    advantages, value_targets = oracle(case)
    targets = case.targets()
    torch.testing.assert_close(targets.advantages, advantages)
    torch.testing.assert_close(targets.value_targets, value_targets)
    torch.testing.assert_close(targets.rho, case.log_ratios.exp() * case.mask)


@settings(deadline=None)
@given(cases)
def test_lambda_zero_is_one_step_td(seed: int):
    case = Case(seed)
    targets = case.targets(lambda_=0.0)
    torch.testing.assert_close(targets.advantages, targets.deltas)
    one_step = (case.values[:, :-1] + case.clipped() * targets.deltas) * case.mask
    torch.testing.assert_close(targets.value_targets, one_step)


@settings(deadline=None)
@given(cases)
def test_on_policy_lambda_one_is_the_return_minus_v(seed: int):
    case = Case(seed, on_policy=True)
    targets = case.targets(lambda_=1.0)
    returns = monte_carlo_returns(case.rewards, case.mask, case.gamma)
    for row, length in enumerate(case.lengths.tolist()):
        for t in range(length):
            plain = sum(case.gamma ** (k - t) * case.rewards[row, k] for k in range(t, length))
            torch.testing.assert_close(returns[row, t], torch.as_tensor(plain))
            end = case.gamma ** (length - t) * case.values[row, length] * case.bootstrap[row]
            torch.testing.assert_close(targets.advantages[row, t], plain + end - case.values[row, t])


@settings(deadline=None)
@given(cases)
def test_lambda_one_is_vtrace(seed: int):
    """V-trace in its recursive form, remark 1 of arXiv 1802.01561, and its advantage r + gamma v' - V."""
    case = Case(seed)
    targets = case.targets(lambda_=1.0)
    rho = case.clipped()
    for row, length in enumerate(case.lengths.tolist()):
        v = case.values[row].clone()
        v[length] *= float(case.bootstrap[row])
        following = v[length]
        for t in range(length - 1, -1, -1):
            torch.testing.assert_close(targets.advantages[row, t], case.rewards[row, t] + case.gamma * following - v[t])
            delta = rho[row, t] * (case.rewards[row, t] + case.gamma * v[t + 1] - v[t])
            following = v[t] + delta + case.gamma * rho[row, t] * (following - v[t + 1])
            torch.testing.assert_close(targets.value_targets[row, t], following)


@settings(deadline=None)
@given(cases, st.sampled_from([0.0, 1e9, math.nan, math.inf]))
def test_padding_changes_nothing(seed: int, garbage: float):
    case = Case(seed)
    padding = ~case.mask
    before = case.targets()
    case.rewards[padding] = garbage
    case.log_ratios[padding] = garbage
    unread = torch.cat([torch.zeros_like(padding[:, :1]), padding], dim=1)
    unread[torch.arange(len(case.lengths)), case.lengths] = ~case.bootstrap
    case.values[unread] = garbage
    padded = {
        name: torch.nn.functional.pad(getattr(case, name), (0, 3), value=garbage)
        for name in ("rewards", "values", "log_ratios")
    }
    mask = torch.nn.functional.pad(case.mask, (0, 3))
    after = retrace(
        padded["rewards"], padded["values"], padded["log_ratios"], case.bootstrap, mask, case.gamma, case.lambda_
    )
    for name in FIELDS:
        assert torch.equal(getattr(after, name)[:, :-3], getattr(before, name)), name
        assert not getattr(after, name)[:, -3:].any(), name


def test_extreme_ratios_stay_finite_and_carry_no_gradient():
    values = torch.zeros(1, 3, requires_grad=True)
    log_ratios = torch.tensor([[1e4, -1e4]])
    targets = retrace(
        torch.ones(1, 2), values, log_ratios, torch.zeros(1), torch.ones(1, 2, dtype=torch.bool), 0.9, 1.0
    )
    assert all(getattr(targets, name).isfinite().all() for name in FIELDS)
    assert not targets.advantages.requires_grad
    assert targets.rho[0, 0] == pytest.approx(math.exp(20), rel=1e-4)


def test_refuses_shapes_and_masks_that_do_not_fit():
    ones = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"values has shape \(2, 3\).*needs \(2, 4\)"):
        retrace(ones, ones, ones, torch.ones(2), ones.bool(), 0.9, 1.0)
    gap = torch.tensor([[True, False, True]] * 2)
    with pytest.raises(ValueError, match="True after a False"):
        retrace(ones, torch.ones(2, 4), ones, torch.ones(2), gap, 0.9, 1.0)


def test_diagnostics_of_known_policies():
    mask = torch.ones(1, 4, dtype=torch.bool)
    same = diagnose_ratios(torch.zeros(1, 4), mask)
    assert (same.effective_sample_size, same.clipped_share, same.kl) == (4.0, 0.0, 0.0)
    one_heavy = diagnose_ratios(torch.tensor([[15.0, -15.0, -15.0, -15.0]]), mask)
    assert one_heavy.effective_sample_size == pytest.approx(1.0, abs=1e-3)
    assert one_heavy.clipped_share == 0.25


def test_kl_estimate_converges_to_the_divergence():
    generator = torch.Generator().manual_seed(0)
    mu, pi = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    actions = torch.multinomial(mu, 100_000, replacement=True, generator=generator)[None]
    exact = float((mu * (mu / pi).log()).sum())
    estimate = diagnose_ratios((pi / mu).log()[actions], torch.ones_like(actions, dtype=torch.bool)).kl
    assert estimate == pytest.approx(exact, rel=0.05)
