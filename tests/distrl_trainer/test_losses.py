"""Losses: gradients against closed forms and finite differences, stop-gradients, normalisation."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from distrl_trainer import losses


def softmax_policy(actions: int = 5) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(actions, dtype=torch.float64, requires_grad=True)


def grad(loss: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, parameter, retain_graph=True)[0]


def vectors(count: int, size: int = 12) -> list[torch.Tensor]:
    torch.manual_seed(7)
    return [torch.randn(size, dtype=torch.float64) for _ in range(count)]


def test_first_step_has_the_gradient_of_rho_a_log_pi():
    theta = softmax_policy()
    actions = torch.tensor([0, 1, 2, 3, 4, 2])
    logprobs = theta.log_softmax(0)[actions]
    rho = torch.tensor([0.2, 3.0, 1.0, 0.7, 9.0, 0.5], dtype=torch.float64)
    advantages = torch.tensor([1.0, -2.0, 0.5, -0.1, 3.0, -1.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 0.5, 0.25, 1.0, 0.1, 0.0], dtype=torch.float64)
    result = losses.policy_loss(logprobs, logprobs.detach(), rho, advantages, weights, rho_bar=2.0)
    paper = -(weights * rho.clamp(max=2.0) * advantages * logprobs).sum() / weights.sum()
    torch.testing.assert_close(grad(result.loss, theta), grad(paper, theta))
    assert result.clipped_share == 0.0


def test_clip_silences_steps_that_moved_far_enough():
    old = torch.zeros(4, dtype=torch.float64)
    logprobs = torch.tensor([0.5, -0.5, 0.5, -0.5], dtype=torch.float64, requires_grad=True)
    advantages = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    result = losses.policy_loss(logprobs, old, torch.ones(4), advantages, torch.ones(4), clip_eps=0.2)
    gradient = grad(result.loss, logprobs)
    assert (gradient[:2] == 0).all()
    torch.testing.assert_close(gradient[2:], -(advantages * logprobs.exp())[2:].detach() / 4)
    assert result.clipped_share == 0.5


def test_gradients_match_finite_differences():
    raw, targets, logprobs, old, noise = vectors(5)
    raw.requires_grad_()
    logprobs.requires_grad_()
    weights = noise.sigmoid()
    invalid = noise > 0
    rho = noise.exp()
    assert gradcheck(lambda v: losses.value_loss(v, targets, weights), (raw,))
    assert gradcheck(lambda v: losses.value_loss(v, targets, weights, "bce"), (raw,))
    assert gradcheck(lambda lp: losses.policy_loss(lp, old, rho, targets, weights).loss, (logprobs,))
    assert gradcheck(lambda lp: losses.invalid_loss(lp, rho, invalid, weights), (logprobs,))
    assert gradcheck(lambda lp: losses.cloning_loss(lp, weights), (logprobs,))


def test_no_gradient_reaches_what_is_stopped():
    inputs = [tensor.requires_grad_() for tensor in vectors(4)]
    logprobs, old, rho, advantages = inputs
    total = (
        losses.policy_loss(logprobs, old, rho, advantages, torch.ones(12)).loss
        + losses.invalid_loss(logprobs, rho, torch.ones(12, dtype=torch.bool), torch.ones(12))
        + losses.value_loss(logprobs, advantages, torch.ones(12))
    )
    total.backward()
    assert logprobs.grad is not None
    assert old.grad is None
    assert rho.grad is None
    assert advantages.grad is None


@pytest.mark.parametrize("off_policy", [False, True])
def test_invalid_term_has_the_gradient_of_the_invalid_probability(off_policy: bool):
    """Exact expectation over actions of mu, for a mu that is at least pi wherever actions are invalid."""
    theta = softmax_policy()
    logprobs = theta.log_softmax(0)
    pi = logprobs.exp().detach()
    invalid = torch.tensor([False, True, False, True, False])
    mu = torch.where(invalid, pi * 1.3, pi) if off_policy else pi
    mu = torch.where(torch.tensor([True, False, False, False, False]), mu + 1 - mu.sum(), mu)
    loss = losses.invalid_loss(logprobs, pi / mu, invalid, mu)
    probability = theta.softmax(0)[invalid].sum()
    torch.testing.assert_close(grad(loss, theta), grad(probability, theta))


def test_entropy_is_averaged_over_each_steps_own_tokens():
    entropy = torch.tensor([[1.0, 3.0, torch.nan], [5.0, torch.nan, torch.nan]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    loss = losses.entropy_loss(entropy, mask, torch.tensor([1.0, 3.0]))
    assert loss == pytest.approx(-(1.0 * 2.0 + 3.0 * 5.0) / 4.0)


def test_bce_learns_the_sign_of_the_return_in_logits():
    raw = torch.tensor([2.0, -1.0])
    values = losses.state_values(raw, "bce")
    expected = -(values[0].log() + (1 - values[1]).log()) / 2
    torch.testing.assert_close(losses.value_loss(raw, torch.tensor([0.3, 0.0]), torch.ones(2), "bce"), expected)
    assert torch.equal(losses.state_values(raw, "huber"), raw)


def test_weight_zero_is_not_read():
    mean = losses.weighted_mean(torch.tensor([1.0, torch.nan, 3.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert mean == 2.0


class TestNormalise:
    advantages = torch.tensor([3.0, 1.0, -1.0, 2.0, 99.0])
    mask = torch.tensor([True, True, True, True, False])

    def test_std_is_not_centred_and_ignores_padding(self):
        result = losses.normalise_advantages(self.advantages, "std", 1.0, self.mask)
        std = torch.tensor([3.0, 1.0, -1.0, 2.0]).std(correction=0)
        torch.testing.assert_close(result, torch.tensor([3.0, 1.0, -1.0, 2.0, 0.0]) / std)
        assert (result[:4].sign() == self.advantages[:4].sign()).all()

    def test_negative_ones_are_scaled(self):
        full = losses.normalise_advantages(self.advantages, "std", 1.0, self.mask)
        reduced = losses.normalise_advantages(self.advantages, "std", 0.3, self.mask)
        torch.testing.assert_close(reduced, torch.where(full < 0, 0.3 * full, full))

    def test_variants(self):
        centred = losses.normalise_advantages(self.advantages, "centred", 1.0, self.mask)
        assert centred[:4].mean() == pytest.approx(0.0, abs=1e-6)
        assert centred[:4].std(correction=0) == pytest.approx(1.0)
        assert losses.normalise_advantages(self.advantages, "raw", 1.0).tolist() == self.advantages.tolist()
        assert losses.normalise_advantages(self.advantages, "indicator", 0.3).tolist() == [1, 1, 0, 1, 1]

    def test_equal_advantages_are_not_blown_up(self):
        assert losses.normalise_advantages(torch.full((3,), 0.5), "std").tolist() == [0.5] * 3
        assert losses.normalise_advantages(torch.tensor([0.25]), "std").tolist() == [0.25]

    def test_unknown_mode_names_the_choices(self):
        with pytest.raises(ValueError, match=r"'mean' is unknown; choose std, raw"):
            losses.normalise_advantages(self.advantages, "mean")  # pyright: ignore[reportArgumentType]


def test_baselines():
    values, means = torch.tensor([[1.0, 0.5]]), torch.tensor([0.2])
    assert torch.equal(losses.baseline_values(values, means, "value"), values)
    torch.testing.assert_close(losses.baseline_values(values, means, "task_ema"), torch.tensor([[0.2, 0.2]]))
    torch.testing.assert_close(losses.baseline_values(values, means, "both"), torch.tensor([[0.6, 0.35]]))
