"""`Learner`: one batch of trajectories in, a better policy and fresh priorities out.

Per batch, without gradient: pi_old's log-probs and values of the T + 1 frames, Retrace, advantages. Then
`epochs_per_batch` passes in minibatches, one AdamW step each (ALGORITHM section 3). Invariant: what a step
computes depends on weights, optimizer state, batch and the learner's generator alone. Nothing is pickled.
Called by `algorithm.DistRL`; `warmup` clones with the same policy class and loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distrl_trainer.config import AlgorithmConfig
from distrl_trainer.curriculum import RunningMeans
from distrl_trainer.demonstrations import Demonstrations, imitation_losses
from distrl_trainer.losses import (
    baseline_values,
    entropy_loss,
    invalid_loss,
    normalise_advantages,
    policy_loss,
    state_values,
    token_mean,
    value_loss,
    weighted_mean,
)
from distrl_trainer.observations import View, observations
from distrl_trainer.optimisation import MasterOptimizer
from distrl_trainer.policy.base import Observation, Policy
from distrl_trainer.replay import Batch
from distrl_trainer.retrace import RetraceTargets, diagnose_ratios, monte_carlo_returns, retrace
from distrl_trainer.trajectory import Trajectory

TASK_MEAN_RATE = 0.02


class LearnerError(RuntimeError):
    """Learning cannot go on (a loss is not finite, a state does not fit); the message says what to do."""


class Priorities(msgspec.Struct, frozen=True):
    """What `Replay.update` takes: `ids` `(B,)`, then `(B, T)` |delta|, rho, entropy and mask."""

    ids: NDArray[np.int64]
    deltas: NDArray[np.float64]
    rhos: NDArray[np.float64]
    entropies: NDArray[np.float64]
    mask: NDArray[np.bool_]


class Update(msgspec.Struct, frozen=True):
    """Result of one batch: numbers to log (keys without their `train/`) and priorities to write back."""

    metrics: dict[str, float]
    priorities: Priorities


class Rehearsal(msgspec.Struct, frozen=True):
    """What an update begins with, for `self_check`.

    `change` is the largest `|log u|` of a decision, in nats per token; `gradient` the norm of the gradient of the whole
    loss; `reached`, per optimizer group, that of log-probs and values alone, which no batch of failures makes 0.
    """

    change: float
    gradient: float
    reached: dict[str, float]


class _Prepared(msgspec.Struct, frozen=True):
    """A batch after the pass without gradient; tensors are `(N,)` over all steps, trajectory by trajectory."""

    observations: list[Observation]
    token_ids: list[tuple[int, ...]]
    old_logprobs: Tensor
    rho: Tensor
    advantages: Tensor
    targets: Tensor
    invalid: Tensor
    weights: Tensor


class Learner:
    """Owns losses and optimizer of one policy.

    Args:
        policy: Is trained in place.
        config: Names as in the formulas.
        view: How much of the past the policy is shown.
        seed: Of the order of minibatches and the draws of demonstrations.
        demonstrations: For the cloning term; None or empty switches it off.
    """

    def __init__(
        self,
        policy: Policy,
        config: AlgorithmConfig,
        *,
        view: View,
        seed: int,
        demonstrations: Demonstrations | None = None,
    ) -> None:
        self.policy = policy
        self.config = config
        self.view = view
        self.demonstrations = demonstrations
        self.task_means = RunningMeans(TASK_MEAN_RATE, start=0.0)
        self.updates = 0
        self.gradient_steps = 0
        self._generator = np.random.default_rng([seed, 1])
        if hasattr(policy, "value_trunk_gradient"):
            policy.value_trunk_gradient = config.value_trunk_gradient  # pyright: ignore[reportAttributeAccessIssue]
        self.optimizer = MasterOptimizer(policy.parameter_groups(config.lr, config.value_lr), config.max_grad_norm)
        self._micro_batch = config.micro_batch or config.minibatch

    def observe(self, trajectory: Trajectory) -> None:
        """Count the returns of a trajectory that has just arrived, for the `task_ema` baseline."""
        rewards = _rewards([trajectory])
        mask = torch.ones_like(rewards, dtype=torch.bool)
        returns = monte_carlo_returns(rewards, mask, self.config.gamma)
        self.task_means.record(trajectory.template, float(returns.mean()))

    def update(self, batch: Batch) -> Update:
        """Learn from one batch of replay.

        Raises:
            LearnerError: A loss is not finite; the weights are those before the offending step.
        """
        self.policy.module.eval()  # dropout would tell old and new probabilities of the same weights apart
        trajectories, ids, weights = _distinct(batch)
        prepared, priorities, metrics = self._prepare(trajectories, ids, weights)
        sums: dict[str, float] = {}
        steps = 0
        for rows in self._minibatches(len(prepared.token_ids)):
            for name, value in self._gradient_step(prepared, rows).items():
                sums[name] = sums.get(name, 0.0) + value
            steps += 1
        self.updates += 1
        metrics |= {name: total / steps for name, total in sums.items()}
        metrics["background_share"] = batch.background / max(1, len(batch.trajectories))
        return Update(metrics, priorities)

    def rehearse(self, trajectories: Sequence[Trajectory]) -> Rehearsal:
        """Do what `update` does, but for the optimizer's step: weights, optimizer and generator stay as they are."""
        self.policy.module.eval()
        count = len(trajectories)
        prepared, _, _ = self._prepare(trajectories, np.arange(count), torch.ones(count, dtype=torch.float64))
        size = len(prepared.token_ids)
        rows = np.arange(size)[::-1].copy()  # in another order than pi_old, as after a shuffle
        change = 0.0
        self.optimizer.zero_grad()
        for start in range(0, size, self._micro_batch):
            part = rows[start : start + self._micro_batch]
            loss, log_change, _ = self._loss(prepared, part)
            self.optimizer.backward(len(part) / size * loss)
            lengths = torch.tensor([max(1, len(prepared.token_ids[row])) for row in part])
            # `np.maximum` keeps NaN where `max` loses it.
            change = float(np.maximum(change, (log_change.cpu().abs() / lengths).max().item()))
        gradient = self.optimizer.clip()
        self.optimizer.zero_grad()
        few = rows[: self._micro_batch]
        evaluation = self.policy.evaluate(
            [prepared.observations[row] for row in few], [prepared.token_ids[row] for row in few]
        )
        self.optimizer.backward(evaluation.logprobs.sum() + evaluation.values.sum())
        reached = self.optimizer.norms()
        self.optimizer.zero_grad()
        return Rehearsal(change, gradient, reached)

    def clone(self) -> dict[str, float]:
        """Make the gradient steps of one batch on demonstrations alone: the control arm without RL.

        As many steps, demonstrations and samples per step as `update` makes with the same settings.
        """
        if not self.demonstrations:
            raise LearnerError("the control arm clones demonstrations and there are none; set warmup.demonstrations")
        config = self.config
        steps = config.epochs_per_batch * math.ceil(config.batch_steps / config.minibatch)
        made: list[dict[str, float]] = []
        for _ in range(steps):
            self.optimizer.zero_grad()
            made.append(self._finish_step())
        self.updates += 1
        return {name: float(np.mean([one[name] for one in made])) for name in made[0]}

    def state(self) -> dict[str, Any]:
        """Return optimizer, generator and running means as a tree of tensors and plain data."""
        return {
            "optimizer": self.optimizer.state(),
            "generator": self._generator.bit_generator.state,
            "task_means": self.task_means.state(),
            "updates": self.updates,
            "gradient_steps": self.gradient_steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Install what `state` returned.

        Raises:
            LearnerError: It belongs to a policy with other parameters.
        """
        self.load_optimizer(state["optimizer"])
        self._generator.bit_generator.state = state["generator"]
        self.task_means.load_state(state["task_means"])
        self.updates = int(state["updates"])
        self.gradient_steps = int(state["gradient_steps"])

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Install what `optimizer.state()` returned; learning rates stay those of `config`.

        Raises:
            LearnerError: It belongs to a policy with other parameters.
        """
        try:
            self.optimizer.load_state(state)
        except ValueError as error:
            raise LearnerError(f"the saved optimizer does not fit this policy: {error}") from error

    def _prepare(
        self, trajectories: Sequence[Trajectory], ids: NDArray[np.int64], weights: Tensor
    ) -> tuple[_Prepared, Priorities, dict[str, float]]:
        """Return the batch with targets and advantages, its priorities, and numbers to log; no gradient."""
        config = self.config
        shown = [observations(trajectory, self.view) for trajectory in trajectories]
        tokens = [step.token_ids for trajectory in trajectories for step in trajectory.steps]
        flat = [observation for row in shown for observation in row[:-1]]
        old, entropy, raw = self._evaluate(flat, tokens)
        mask = _mask(trajectories)
        behaviour = torch.tensor([sum(s.logprobs) for item in trajectories for s in item.steps], dtype=torch.float64)
        log_ratios = _padded(old - behaviour, mask)
        rewards = _rewards(trajectories)
        bootstraps = torch.tensor([trajectory.bootstraps for trajectory in trajectories])
        values = torch.zeros(mask.shape[0], mask.shape[1] + 1, dtype=torch.float64)
        values[:, :-1] = _padded(state_values(raw, config.value_loss), mask)
        self._last_values(values, shown, bootstraps)
        targets = retrace(rewards, values, log_ratios, bootstraps, mask, config.gamma, config.lambda_)
        judged = self._judge(trajectories, targets, (rewards, values, log_ratios, bootstraps, mask))
        advantages = normalise_advantages(judged.advantages, config.advantage, config.negative_advantage_scale, mask)
        labels = self._value_labels(trajectories, targets, mask)
        prepared = _Prepared(
            observations=flat,
            token_ids=tokens,
            old_logprobs=old.float(),
            rho=targets.rho[mask].float(),
            advantages=advantages[mask].float(),
            targets=labels[mask].float(),
            invalid=torch.tensor([bool(s.invalid) for item in trajectories for s in item.steps]),
            weights=weights[:, None].expand_as(mask)[mask].float(),
        )
        priorities = Priorities(
            ids=ids,
            deltas=judged.deltas.abs().numpy(),
            rhos=targets.rho.numpy(),
            entropies=_padded(entropy, mask).numpy(),
            mask=mask.numpy(),
        )
        return prepared, priorities, self._diagnose(targets, values, log_ratios, advantages, mask)

    @torch.no_grad()
    def _evaluate(self, shown: Sequence[Observation], tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Return `(N,)` log-probs, mean negative log-prob per token and raw values, in micro-batches, as float64."""
        logprobs, entropies, values = [], [], []
        for start in range(0, len(shown), self._micro_batch):
            part = slice(start, start + self._micro_batch)
            evaluation = self.policy.evaluate(shown[part], tokens[part])
            logprobs.append(evaluation.logprobs.sum(-1))
            entropies.append(token_mean(-evaluation.logprobs, evaluation.mask))
            values.append(evaluation.values)
        return tuple(torch.cat(parts).cpu().double() for parts in (logprobs, entropies, values))  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def _last_values(self, values: Tensor, shown: Sequence[list[Observation]], bootstraps: Tensor) -> None:
        """Fill in V of the last observation where it counts, that is after a truncation."""
        rows = [row for row in range(len(shown)) if bootstraps[row]]
        for start in range(0, len(rows), self._micro_batch):
            part = rows[start : start + self._micro_batch]
            raw = self.policy.values([shown[row][-1] for row in part]).cpu().double()
            for row, value in zip(part, state_values(raw, self.config.value_loss), strict=True):
                values[row, len(shown[row]) - 1] = value

    def _judge(
        self,
        trajectories: Sequence[Trajectory],
        targets: RetraceTargets,
        arguments: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    ) -> RetraceTargets:
        """Return what the policy and the priorities go by: `targets`, which are V's, unless the settings say else.

        Without V its place in the formula is taken by a running mean per template, at every state. Without the
        correction every trace is whole: the Monte-Carlo return against the same baseline.
        """
        config = self.config
        if config.advantage_baseline == "value" and config.advantage_estimate == "retrace":
            return targets
        rewards, values, log_ratios, bootstraps, mask = arguments
        means = torch.tensor([self.task_means[item.template] for item in trajectories], dtype=torch.float64)
        values, lambda_ = baseline_values(values, means, config.advantage_baseline), config.lambda_
        if config.advantage_estimate == "monte-carlo":
            log_ratios, lambda_ = torch.zeros_like(log_ratios), 1.0
        return retrace(rewards, values, log_ratios, bootstraps, mask, config.gamma, lambda_)

    def _value_labels(self, trajectories: Sequence[Trajectory], targets: RetraceTargets, mask: Tensor) -> Tensor:
        """Return Retrace's targets, or for `bce` the returns of the task reward alone."""
        if self.config.value_loss == "huber":
            return targets.value_targets
        return monte_carlo_returns(_rewards(trajectories, shaping=False), mask, self.config.gamma)

    def _diagnose(
        self, targets: RetraceTargets, values: Tensor, log_ratios: Tensor, advantages: Tensor, mask: Tensor
    ) -> dict[str, float]:
        ratios = diagnose_ratios(log_ratios, mask, self.config.rho_bar)
        steps = int(mask.sum())
        expected, predicted = targets.value_targets[mask], values[:, :-1][mask]
        spread = float(expected.var(correction=0))
        return {
            "batch_steps": float(steps),
            "batch_trajectories": float(mask.shape[0]),
            "effective_sample_share": ratios.effective_sample_size / steps,
            "rho_clipped_share": ratios.clipped_share,
            "kl_behaviour": ratios.kl,
            "abs_delta": float(targets.deltas[mask].abs().mean()),
            "value_mean": float(predicted.mean()),
            "value_target_mean": float(expected.mean()),
            "explained_variance": 1.0 - float((expected - predicted).var(correction=0)) / spread if spread else 0.0,
            "positive_advantage_share": float((advantages[mask] > 0).double().mean()),
        }

    def _minibatches(self, size: int) -> list[NDArray[np.int64]]:
        """Return shuffled row numbers, near-equal parts of at most `minibatch` rows, for every epoch."""
        parts = math.ceil(size / self.config.minibatch)
        return [
            rows
            for _ in range(self.config.epochs_per_batch)
            for rows in np.array_split(self._generator.permutation(size), parts)
        ]

    def _gradient_step(self, prepared: _Prepared, rows: NDArray[np.int64]) -> dict[str, float]:
        """Make one optimizer step on `rows` of the batch and return numbers to log.

        Every loss is a mean weighted by the same weights. So the gradient of the whole is the sum over micro-batches,
        each by its share of the weight.
        """
        self.optimizer.zero_grad()
        whole = float(prepared.weights[torch.from_numpy(rows)].sum())
        sums: dict[str, float] = {}
        for start in range(0, len(rows), self._micro_batch):
            part = rows[start : start + self._micro_batch]
            share = float(prepared.weights[torch.from_numpy(part)].sum()) / whole
            if not share > 0:  # weights so small that they vanish beside the others'
                continue
            loss, _, numbers = self._loss(prepared, part)
            self.optimizer.backward(share * loss)
            for name, value in numbers.items():
                sums[name] = sums.get(name, 0.0) + share * value
        return sums | self._finish_step()

    def _loss(self, prepared: _Prepared, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return the loss on `rows` with gradient, their `log u` `(rows,)` without, and means weighted as the loss."""
        config = self.config
        picked = torch.from_numpy(rows)
        evaluation = self.policy.evaluate(
            [prepared.observations[row] for row in rows], [prepared.token_ids[row] for row in rows]
        )
        device = evaluation.values.device
        logprobs = evaluation.logprobs.sum(-1)
        weights, rho = prepared.weights[picked].to(device), prepared.rho[picked].to(device)
        old = prepared.old_logprobs[picked].to(device)
        advantages = prepared.advantages[picked].to(device)
        policy = policy_loss(logprobs, old, rho, advantages, weights, rho_bar=config.rho_bar, clip_eps=config.clip_eps)
        value = value_loss(evaluation.values, prepared.targets[picked].to(device), weights, config.value_loss)
        entropy = entropy_loss(evaluation.entropy, evaluation.mask, weights)
        invalid = invalid_loss(logprobs, rho, prepared.invalid[picked].to(device), weights)
        loss = policy.loss + config.value_coef * value + config.entropy_coef * entropy + config.invalid_coef * invalid
        log_change = (logprobs - old).detach()
        numbers = {
            "policy_loss": policy.loss.item(),
            "value_loss": value.item(),
            "entropy": -entropy.item(),
            "invalid_loss": invalid.item(),
            "loss": loss.item(),
            "clip_share": policy.clipped_share.item(),
            "kl_old": float(weighted_mean(torch.expm1(log_change) - log_change, weights)),
        }
        return loss, log_change, numbers

    def _finish_step(self) -> dict[str, float]:
        """Add the cloning term, if there is one, to the gradient there is, and make one AdamW step."""
        metrics: dict[str, float] = {}
        if self.demonstrations and self.config.cloning_batch and self.config.cloning_coef:
            drawn = self.demonstrations.draw(self.config.cloning_batch, self._generator)
            metrics["cloning_loss"] = 0.0
            for loss in imitation_losses(self.policy, drawn, self.config.micro_batch):
                self.optimizer.backward(self.config.cloning_coef * loss)
                metrics["cloning_loss"] += loss.item()
        norm = self.optimizer.clip()
        if not math.isfinite(norm):
            raise LearnerError(
                f"the gradient of update {self.updates} is not finite; the weights are those before it. "
                "--resume goes on from the last checkpoint; a lower algorithm.lr needs a new run, which may begin with "
                "this one's warm start (--warmup.weights RUN/warm)"
            )
        self.optimizer.step()
        self.gradient_steps += 1
        return metrics | {"grad_norm": norm}


def _distinct(batch: Batch) -> tuple[list[Trajectory], NDArray[np.int64], Tensor]:
    """Return each trajectory of `batch` once, with the sum of its weights: the same weighted means, less work."""
    ids, firsts, places = np.unique(batch.ids, return_index=True, return_inverse=True)
    weights = np.bincount(places, weights=batch.weights)
    order = np.argsort(firsts)
    return [batch.trajectories[firsts[i]] for i in order], ids[order], torch.from_numpy(weights[order])


def _mask(trajectories: Sequence[Trajectory]) -> Tensor:
    lengths = torch.tensor([len(trajectory.steps) for trajectory in trajectories])
    return torch.arange(int(lengths.max()))[None, :] < lengths[:, None]


def _padded(flat: Tensor, mask: Tensor) -> Tensor:
    """Return `(N,)` values of all steps as `(B, T)`, 0 outside the mask."""
    padded = torch.zeros(mask.shape, dtype=flat.dtype)
    padded[mask] = flat
    return padded


def _rewards(trajectories: Sequence[Trajectory], shaping: bool = True) -> Tensor:
    """Return `(B, T)` rewards: the task's, with the shaping unless told otherwise."""
    flat = [s.reward_task + s.reward_shaping * shaping for trajectory in trajectories for s in trajectory.steps]
    return _padded(torch.tensor(flat, dtype=torch.float64), _mask(trajectories))
