"""`check`: measure on real decisions, before the first update of RL, that an action has one probability.

Every formula of RL compares log-probabilities that were computed at different times, in different batches and in
different processes. If they differ for any reason but the weights, then ratios, targets and priorities are wrong, and a
run looks healthy while it learns from noise. So the differences are measured where a run begins or resumes, and a run
that is beyond a bound is refused.

Invariant: the check changes nothing that a run continues from: no weight, no optimizer state, no random state.
Caller: `algorithm.DistRL`, once per process, before values are fitted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from distrl_trainer.demonstrations import Decisions
from distrl_trainer.learner import Learner, Rehearsal
from distrl_trainer.observations import observations
from distrl_trainer.policy.base import Observation, Policy
from distrl_trainer.trajectory import Step, Trajectory

DECISIONS = 24
"""Decisions looked at: with the defect that this check was made for, every second decision changed."""

BOUNDS: dict[torch.dtype, float] = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.15}
"""Largest difference of a log-probability, in nats per token, by the coarsest type among the policy's weights.

Another batch means another order of summation, which costs a logit a few roundings of its own size. Logits are of size
10 to 30 and a rounding is 2^-24 of that in float32, 2^-11 in float16 and 2^-8 in bfloat16: 1e-6, 1e-2 and 1e-1 nats.
In float32 there is room for logits that training has made larger: 2e-6 with the built-in model, 1e-5 with its logits
four times as large, 4e-5 with sixteen times. A wrong mask or dropout changes decisions by 0.1 nats and more, so
bfloat16 is where a small defect can hide.
"""

ACTING = 8
"""Observations acted on together: about as many phones as a collector drives."""


class SelfCheckError(RuntimeError):
    """The policy's probabilities or gradients cannot be trusted; the message gives figure, bound, cause and remedy."""


class SelfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. Differences are the largest of any decision's log-probability, in nats per token.

    Attributes:
        repeat: Between two passes over the same batch.
        batch: Between a decision alone and in other company: together, reversed, in small parts, beside a longer
            instruction.
        act: Between acting and `evaluate`.
        recorded: Between what collectors stored with these very weights and `evaluate`; None if no such decision is
            at hand, as after a resume.
        ratio: The largest `|log u|` before the first step, as the learner computes it: with gradient against without.
        gradient: Norm of the gradient of the real loss.
        bound: Of all differences.
        decisions: How many were looked at.
        seconds: Wall-clock.
    """

    repeat: float
    batch: float
    act: float
    recorded: float | None
    ratio: float
    gradient: float
    bound: float
    decisions: int
    seconds: float

    def numbers(self) -> dict[str, float]:
        """Return the figures to log, without what could not be measured."""
        figures = {name: getattr(self, name) for name in self.__struct_fields__}
        return {f"self_check_{name}": float(value) for name, value in figures.items() if value is not None}

    def __str__(self) -> str:
        """Return the one line that a run logs."""
        recorded = "" if self.recorded is None else f", as recorded by collectors {self.recorded:.1e}"
        return (
            f"self-check on {self.decisions} decisions: a log-probability differs by at most {self.batch:.1e} nats a "
            f"token in other batches, when acting {self.act:.1e}{recorded}, |log u| {self.ratio:.1e} (bound "
            f"{self.bound:.2g}); gradient {self.gradient:.2g}, weights untouched, {self.seconds:.1f} s"
        )


def check(
    policy: Policy, learner: Learner, trajectories: Sequence[Trajectory], *, recorded_version: int | None = None
) -> SelfCheck:
    """Measure the policy on decisions of `trajectories` and return the figures.

    Args:
        policy: Is asked only, and left as it was.
        learner: Of this policy; rehearses an update.
        trajectories: At least one, with steps. Instructions of several lengths tell most.
        recorded_version: Steps of this version were recorded with the weights as they are now. None: no step was.

    Raises:
        SelfCheckError: A figure is beyond its bound.
    """
    begun = time.monotonic()
    batch = learner.config.micro_batch or learner.config.minibatch
    chosen = _spread(trajectories)
    steps = [step for item in chosen for step in item.steps][:DECISIONS]
    shown = [one for item in chosen for one in observations(item, learner.view)[:-1]][:DECISIONS]
    before = _fingerprint(policy)
    with _undisturbed(policy):
        taken = _Measured(policy, Decisions(shown, [step.token_ids for step in steps]))
        _refuse_unless_finite(taken.alone)
        together = taken.sums(batch)
        rehearsal = learner.rehearse(chosen)
        found = SelfCheck(
            repeat=taken.largest(taken.sums(batch) - together),
            # Of NumPy, because Python's `max` passes over a NaN that is not the first.
            batch=float(
                np.max([taken.largest(other - taken.alone) for other in (together, *_in_company(taken, batch))])
            ),
            act=_acting(policy, shown),
            recorded=_recorded(taken, steps, recorded_version),
            ratio=rehearsal.change,
            gradient=rehearsal.gradient,
            bound=BOUNDS[_coarsest_type(policy)],
            decisions=len(steps),
            seconds=time.monotonic() - begun,
        )
    for name in _CAUSES:
        _refuse_difference(found, name)
    _refuse_rehearsal(found, rehearsal)
    if not _equal(before, _fingerprint(policy)):
        raise SelfCheckError(
            "self-check: evaluating the policy changed its weights, allowed is no change: the model keeps running "
            "statistics (a BatchNorm in training mode?); call eval() on it, or freeze those layers"
        )
    return found


class _Measured:
    """Log-probabilities of given decisions, in whatever batches they are computed."""

    def __init__(self, policy: Policy, decisions: Decisions) -> None:
        self.policy = policy
        self.decisions = decisions
        self.lengths = np.array([max(1, len(ids)) for ids in decisions.token_ids])
        self.alone = self.sums(1)

    def sums(self, batch: int, order: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Return each decision's log-probability, `(N,)`, computed `batch` at a time in `order` (default: as given)."""
        order = range(len(self.lengths)) if order is None else order
        found = np.zeros(len(self.lengths))
        for start in range(0, len(order), batch):
            rows = list(order[start : start + batch])
            found[rows] = self._evaluate([(self.decisions.observations[i], self.decisions.token_ids[i]) for i in rows])
        return found

    def beside(self, observation: Observation, token_ids: tuple[int, ...]) -> NDArray[np.float64]:
        """Return each decision's log-probability, `(N,)`, each computed beside one and the same other decision."""
        pairs = zip(self.decisions.observations, self.decisions.token_ids, strict=True)
        return np.array([self._evaluate([pair, (observation, token_ids)])[0] for pair in pairs])

    def largest(self, differences: NDArray[np.float64]) -> float:
        """Return the largest of `(N,)` differences per token; NaN if one is."""
        return float((np.abs(differences) / self.lengths).max())

    @torch.no_grad()
    def _evaluate(self, pairs: Sequence[tuple[Observation, tuple[int, ...]]]) -> NDArray[np.float64]:
        evaluation = self.policy.evaluate([shown for shown, _ in pairs], [ids for _, ids in pairs])
        return evaluation.logprobs.float().cpu().double().sum(-1).numpy()


def _in_company(taken: _Measured, batch: int) -> Iterator[NDArray[np.float64]]:
    """Yield all decisions' log-probabilities in several companies, of which none needs more memory than learning."""
    count = len(taken.lengths)
    yield taken.sums(batch, range(count - 1, -1, -1))
    yield taken.sums(min(3, batch))
    longest = max(taken.decisions.observations, key=lambda one: len(one.instruction))
    # Goals of one template may all have the same length, and then nothing would ever be padded here.
    longer = msgspec.structs.replace(longest, instruction=f"{longest.instruction} {longest.instruction}")
    yield taken.beside(longer, max(taken.decisions.token_ids, key=len))


def _acting(policy: Policy, shown: Sequence[Observation]) -> float:
    """Return how far the log-probabilities recorded while acting in batches are from those of `evaluate`, alone."""
    streams = [np.random.default_rng(index) for index in range(len(shown))]
    acted = []
    for start in range(0, len(shown), ACTING):
        part = slice(start, start + ACTING)
        acted += policy.act(shown[part], streams=streams[part])
    measured = _Measured(policy, Decisions(list(shown), [one.token_ids for one in acted]))
    return measured.largest(measured.alone - [sum(one.logprobs) for one in acted])


def _recorded(taken: _Measured, steps: Sequence[Step], version: int | None) -> float | None:
    """Return the same for what collectors recorded at `version`: other processes, and frames that were stored."""
    differences = taken.alone - [sum(step.logprobs) for step in steps]
    current = np.array([step.version == version for step in steps])
    return taken.largest(np.where(current, differences, 0.0)) if current.any() else None


def _spread(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Return as many trajectories as have `DECISIONS` steps: those with the longest and the shortest instructions."""
    left = sorted(trajectories, key=lambda item: len(item.instruction))
    chosen: list[Trajectory] = []
    while left and sum(len(item.steps) for item in chosen) < DECISIONS:
        chosen.append(left.pop(0 if len(chosen) % 2 else -1))
    return chosen


def _coarsest_type(policy: Policy) -> torch.dtype:
    kinds = {one.dtype for one in policy.module.parameters() if one.dtype in BOUNDS}
    return max(kinds, key=lambda kind: torch.finfo(kind).eps, default=torch.float32)


@contextmanager
def _undisturbed(policy: Policy) -> Iterator[None]:
    """Put torch's random state and the modes (`train`, `eval`) of the policy's parts back afterwards."""
    device = next(policy.module.parameters()).device
    modes = [(part, part.training) for part in policy.module.modules()]
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for part, training in modes:
            part.training = training


def _fingerprint(policy: Policy) -> list[torch.Tensor]:
    """Return two numbers per weight and buffer, which stay the same bits if its bits do."""
    with torch.no_grad():
        floats = [one.float() for one in (*policy.module.parameters(), *policy.module.buffers())]
        return [torch.stack([one.sum(), one.square().sum()]).cpu() for one in floats]


def _equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _refuse_unless_finite(logprobs: NDArray[np.float64]) -> None:
    wrong = int((~np.isfinite(logprobs)).sum())
    if wrong:
        raise SelfCheckError(
            f"self-check: {wrong} of {len(logprobs)} log-probabilities are NaN or infinite, allowed are 0. Likely "
            "causes: weights with NaN, float16 that overflows, or a mask that forbids a token which was "
            "sampled. Start from other weights (--warmup.weights), or try --policy.dtype float32"
        )


_CAUSES = {
    "repeat": (
        "the same batch gives other log-probabilities the second time",
        "dropout, or another random draw, is on in `evaluate`; call eval() on the model and set its dropout to 0",
    ),
    "batch": (
        "log-probabilities depend on who else is in the batch",
        "a mask, or a maximum or mean over padding with a finite floor; mask padding with -inf before a softmax or a "
        "maximum, and count positions per row",
    ),
    "act": (
        "`act` does not record the log-probabilities of `evaluate`",
        "a temperature, top-p or a suppressed token in one of the two alone; let both use the same untruncated softmax",
    ),
    "recorded": (
        "collectors stored other log-probabilities than the learner computes with the same weights",
        "collectors act with another device, dtype or version of this package, or what is stored is not what they saw; "
        "give collectors the learner's policy.device and policy.dtype",
    ),
    "ratio": (
        "u = pi_theta / pi_old is not 1 before the first step",
        "dropout is on while gradients are computed; set policy.lora_dropout 0 and the model's own dropout to 0",
    ),
}
"""Per figure of `SelfCheck`: what it means, and the likely cause with what to do."""


def _refuse_difference(found: SelfCheck, name: str) -> None:
    figure = getattr(found, name)
    if figure is None or figure <= found.bound:
        return
    meaning, cause = _CAUSES[name]
    raise SelfCheckError(
        f"self-check: {meaning}: by {figure:.2g} nats a token in one of {found.decisions} decisions, allowed are "
        f"{found.bound:.2g}. Likely cause: {cause}"
    )


def _refuse_rehearsal(found: SelfCheck, rehearsal: Rehearsal) -> None:
    if not math.isfinite(found.gradient):
        raise SelfCheckError(
            f"self-check: the norm of the first gradient is {found.gradient}, allowed are finite numbers. Likely "
            "cause: an operation that is finite forward but not backward (a square root or a logarithm of 0, a softmax "
            "over nothing but -inf), or float16 that overflows; try --policy.dtype float32, or begin from other "
            "weights (--warmup.weights)"
        )
    for group, norm in rehearsal.reached.items():
        if not norm > 0:
            raise SelfCheckError(
                f"self-check: no gradient reaches the parameters of optimizer group {group!r} (norm {norm}), allowed "
                "are norms above 0. Likely cause: they are frozen, detached, or not those that `evaluate` uses; let "
                "`parameter_groups` name the parameters that are trained"
            )
