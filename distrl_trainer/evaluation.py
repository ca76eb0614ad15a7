"""Success rates by greedy decoding, with Wilson intervals; the same task instances for every policy, so rates pair.

Invariant: every counted episode has a verdict. An episode that the infrastructure ended runs again, at most
`fleet.MAX_ATTEMPTS` times, and is then left out and reported, never counted as failure. Callers: `train_command`,
`cli`, benchmarks.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import gymnasium as gym
import msgspec
import numpy as np
from scipy.stats import binomtest, bootstrap

from android_env_gym.actions import from_sample, make_action_space
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.errors import ResetError, unknown_name
from android_env_gym.tasks.base import SPLITS
from android_env_gym.tasks.instructions import InstructionFile
from android_env_gym.tasks.pilot import OracleStuckError, oracle_actions
from android_env_gym.tasks.suites import goal_of, template
from android_env_gym.tasks.suites import suite as suite_templates
from distrl_trainer.collector import Collector, CollectorName
from distrl_trainer.config import EnvConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import MAX_ATTEMPTS, Retries, SharedWeights
from distrl_trainer.observations import View
from distrl_trainer.phones import check_playable, env_spec, open_pool
from distrl_trainer.policy.base import Decision, Observation, Policy
from distrl_trainer.policy.sampling import Streams
from distrl_trainer.trajectory import Trajectory

logger = logging.getLogger(__name__)

CONFIDENCE = 0.95
RESAMPLES = 2000


class EvaluationError(ValueError):
    """There is nothing to evaluate; the message says what was asked for and what to do."""


class Rate(msgspec.Struct, frozen=True):
    """`k` successes of `n` with the 95% Wilson interval `[low, high]`; all shares are in [0, 1]."""

    k: int
    n: int
    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.1%} [{self.low:.1%}, {self.high:.1%}] ({self.k}/{self.n})"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One counted episode; `invalid` is its number of invalid actions."""

    template: str
    instance: int
    success: bool
    steps: int
    invalid: int
    false_completion: bool


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation. `infra_errors` counts failed attempts, `unjudged` the episodes left out after the last one."""

    suite: str
    split: str
    seed: int
    success: Rate
    templates: dict[str, Rate]
    invalid: int
    steps: int
    false_completions: int
    infra_errors: int = 0
    unjudged: int = 0
    outcomes: tuple[Outcome, ...] = ()

    def report(self) -> dict[str, Any]:
        """Return the JSON form of the command line's contract: everything but the single outcomes."""
        report = msgspec.to_builtins(self)
        del report["outcomes"]
        return report


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two policies on the same `n` instances: `difference` of success rates (second - first) with a 95% interval.

    `p_value` is of McNemar's exact test on the instances that only one of them solved.
    """

    n: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float


class Actor(Protocol):
    """The part of `Policy` that acts."""

    version: int

    def act(
        self, observations: Sequence[Observation], *, greedy: bool = False, streams: Streams | None = None
    ) -> list[Decision]:
        """Choose one action per observation."""
        ...


class RandomActor:
    """Samples the environment's action space; `seed` determines the sequence."""

    def __init__(self, seed: int) -> None:
        self.version = 0
        self._space = make_action_space(seed)

    def act(
        self, observations: Sequence[Observation], *, greedy: bool = False, streams: Streams | None = None
    ) -> list[Decision]:
        """Return one random action per observation; the arguments are not looked at."""
        actions = [from_sample(self._space.sample()) for _ in observations]
        return [Decision(token_ids=(), logprobs=(), value=0.0, text="", action=action) for action in actions]


class _Greedy:
    """Makes a collector decode greedily."""

    def __init__(self, actor: Actor) -> None:
        self.version = actor.version
        self._actor = actor

    def act(
        self, observations: Sequence[Observation], *, greedy: bool = True, streams: Streams | None = None
    ) -> list[Decision]:
        """Choose the likeliest actions; the arguments are not looked at."""
        return self._actor.act(observations, greedy=True)


class _Listed:
    """A task source that hands out a fixed list."""

    def __init__(self, requests: Sequence[TaskRequest]) -> None:
        self.waiting = deque(requests)

    def next(self, generator: np.random.Generator) -> TaskRequest | None:
        return self.waiting.popleft() if self.waiting else None


def evaluate(
    actor: Actor,
    env: EnvConfig,
    *,
    split: str,
    episodes: int,
    seed: int,
    envs: int = 32,
    view: View | None = None,
    greedy: bool = True,
    first_instance: int = 0,
    record: Callable[[Trajectory], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> EvaluationResult:
    """Return the success rate of `actor`.

    Args:
        actor: A policy or `RandomActor`.
        env: The environment; its `suite` names the templates.
        split: Split of the goals.
        episodes: How many, spread evenly over the templates.
        seed: Picks the instances, see `plan`.
        envs: Embedded phones at once, in this process; real devices are as many as `env` names, in workers.
        view: How much of the past the policy is shown.
        greedy: Whether the likeliest actions are taken; False samples them, as in training.
        first_instance: Offset of the instances, see `plan`.
        record: Is given every finished trajectory.
        progress: Is told the number of finished episodes after each turn.

    Raises:
        UnknownNameError: Unknown suite or split.
        EvaluationError: The suite has no template in `split`.
        JudgeError, NeedsWorldError: See `check_playable`.
        PhonesError: None of the devices can be used.
    """
    requests = plan(env.suite, split, episodes, seed, first_instance)
    check_playable(env)
    pool = open_pool(env, split, min(envs, len(requests)))
    tasks, retries = _Listed(requests), Retries()
    counted: list[Trajectory] = []
    failures: list[bool] = []  # per failed attempt: whether it was the last one

    def take(trajectory: Trajectory) -> None:
        if record is not None:
            record(trajectory)
        if trajectory.reward_valid:
            counted.append(trajectory)
        again = retries.request(trajectory)
        if again is not None:
            tasks.waiting.append(again)
        if not trajectory.reward_valid:
            failures.append(again is None)

    collector = Collector(
        pool,
        cast(Policy, _Greedy(actor) if greedy else actor),  # a collector uses the acting part only
        tasks,
        SharedWeights(),
        take,
        name=CollectorName(seed=seed),
        view=view or View(),
    )
    try:
        while tasks.waiting or collector.in_flight:
            collector.turn()
            if progress is not None:
                progress(len(counted))
    finally:
        pool.close()
    return summarise(env.suite, split, seed, [outcome_of(item) for item in counted], failures)


def evaluate_oracle(
    env: EnvConfig, *, split: str, episodes: int, seed: int, progress: Callable[[int], None] | None = None
) -> EvaluationResult:
    """Return the success rate of the templates' oracles; arguments and errors as in `evaluate`.

    Raises:
        EvaluationError: As in `evaluate`, or the suite is of instruction files, which nobody wrote an oracle for.
    """
    if not all(item.needs_world for item in suite_templates(env.suite)):
        raise EvaluationError(f"suite {env.suite!r} has no oracle: evaluate random, or the folder of a policy")
    requests = plan(env.suite, split, episodes, seed)
    phone = env_spec(env, split).make()
    outcomes: list[Outcome] = []
    failures: list[bool] = []
    try:
        for number, request in enumerate(requests, start=1):
            for attempt in range(1, MAX_ATTEMPTS + 1):
                outcome = _play_oracle(phone, request)
                if outcome is not None:
                    outcomes.append(outcome)
                    break
                failures.append(attempt == MAX_ATTEMPTS)
            if progress is not None:
                progress(number)
    finally:
        phone.close()
    return summarise(env.suite, split, seed, outcomes, failures)


def plan(suite: str, split: str, episodes: int, seed: int, first_instance: int = 0) -> list[TaskRequest]:
    """Return `episodes` tasks spread evenly over the templates of `suite` in `split`.

    Seed k takes the instances from `first_instance + k * episodes` on, so that seeds do not overlap; the order
    interleaves templates, and equal arguments give equal tasks.

    Raises:
        UnknownNameError: Unknown suite or split.
        EvaluationError: The suite has no template in `split`.
        InstructionFileError: The suite's instruction files cannot be used.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    found = [template for template in suite_templates(suite) if split in template.splits()]
    if not found:
        raise EvaluationError(
            f"suite {suite!r} has no template with instances in split {split!r}; choose another split"
        )
    ids = [template.id for template in found]
    for item in found:
        if isinstance(item, InstructionFile) and item.count(split) < episodes // len(found):
            logger.warning(
                "%s has %d instructions in split %s: %d episodes repeat them, so intervals come out too narrow",
                *(item.id, item.count(split), split, episodes // len(found)),
            )
    first = first_instance + seed * episodes
    return [TaskRequest(ids[index % len(ids)], first + index // len(ids)) for index in range(episodes)]


def summarise(
    suite: str, split: str, seed: int, outcomes: Sequence[Outcome], failures: Sequence[bool] = ()
) -> EvaluationResult:
    """Return rates over `outcomes`; `failures` holds, per failed attempt, whether the episode was then given up."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.template, outcome.instance))
    totals, solved = Counter(o.template for o in ordered), Counter(o.template for o in ordered if o.success)
    if failures:
        logger.warning("%d attempts failed for reasons of the infrastructure", len(failures))
    return EvaluationResult(
        suite=suite,
        split=split,
        seed=seed,
        success=wilson(sum(solved.values()), len(ordered)),
        templates={template: wilson(solved[template], n) for template, n in sorted(totals.items())},
        invalid=sum(o.invalid for o in ordered),
        steps=sum(o.steps for o in ordered),
        false_completions=sum(o.false_completion for o in ordered),
        infra_errors=len(failures),
        unjudged=sum(failures),
        outcomes=tuple(ordered),
    )


def check_verdicts(result: EvaluationResult) -> None:
    """Check that there is a rate to speak of.

    Raises:
        EvaluationError: Every episode failed, which is no success rate of 0.
    """
    if not result.success.n:
        raise EvaluationError(f"no episode has a verdict: all {result.infra_errors} attempts failed, see the warnings")


def wilson(k: int, n: int) -> Rate:
    """Return `k` of `n` with its 95% Wilson score interval (Wilson 1927); [0, 1] for `n` 0."""
    if n == 0:
        return Rate(0, 0, 0.0, 0.0, 1.0)
    interval = binomtest(k, n).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(k, n, k / n, float(interval.low), float(interval.high))


def pairs(first: EvaluationResult, second: EvaluationResult) -> list[tuple[bool, bool]]:
    """Return the success of both on each instance that both were counted on, in the order of `second`."""
    earlier = {(o.template, o.instance): o.success for o in first.outcomes}
    return [(earlier[key], o.success) for o in second.outcomes if (key := (o.template, o.instance)) in earlier]


def compare(first: EvaluationResult, second: EvaluationResult, seed: int = 0) -> Comparison:
    """Return the paired comparison of two policies on the instances both were counted on.

    Raises:
        ValueError: They share no instance: suite, split, episodes or seed differ.
    """
    paired = pairs(first, second)
    if not paired or (first.suite, first.split) != (second.suite, second.split):
        raise ValueError(
            f"nothing to pair: {first.suite}/{first.split} seed {first.seed} against "
            f"{second.suite}/{second.split} seed {second.seed}; evaluate both with the same arguments"
        )
    return compare_pairs(paired, seed)


def compare_pairs(paired: Sequence[tuple[bool, bool]], seed: int = 0) -> Comparison:
    """Return how two policies differ, from the success of both on each instance (at least one).

    The interval is a percentile bootstrap of the per-instance differences; the test is McNemar's exact one. Both are
    about these two policies on other instances. Two trainings differ by more: see `benchmarks.learning_report`.
    """
    differences = np.array([int(b) - int(a) for a, b in paired], dtype=np.float64)
    low = high = float(differences.mean())
    if np.ptp(differences) > 0:
        drawn = bootstrap(
            (differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
        )
        low, high = (float(bound) for bound in drawn.confidence_interval)
    only_first, only_second = int((differences < 0).sum()), int((differences > 0).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_second, discordant).pvalue) if discordant else 1.0
    return Comparison(
        n=len(paired),
        difference=float(differences.mean()),
        low=low,
        high=high,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value,
    )


def _play_oracle(phone: gym.Env[Any, Any], request: TaskRequest) -> Outcome | None:
    """Return how the oracle does on one task; None if the infrastructure failed. A stuck oracle has not succeeded."""
    inner = cast(AndroidTaskEnv, phone.unwrapped)
    try:
        phone.reset(options={"task": request.template, "instance": request.instance})
    except ResetError:
        return None
    steps, info, ended = 0, {}, False
    actions = oracle_actions(template(request.template), inner.device, goal_of(inner.task))
    try:
        for action in actions:
            _, _, terminated, truncated, info = phone.step(action)
            steps += 1
            if truncated:
                return None
            ended = terminated
            if ended:
                break
    except OracleStuckError as error:
        logger.warning("the oracle of %s is stuck: %s", inner.task.task_id, error)
    return Outcome(
        template=request.template,
        instance=request.instance,
        success=ended and bool(info["is_success"]),
        steps=steps,
        invalid=0,
        false_completion=bool(info.get("false_completion")),
    )


def outcome_of(trajectory: Trajectory) -> Outcome:
    """Return what counts of one judged episode."""
    return Outcome(
        template=trajectory.template,
        instance=trajectory.instance,
        success=trajectory.success,
        steps=len(trajectory.steps),
        invalid=sum(bool(step.invalid) for step in trajectory.steps),
        false_completion=trajectory.false_completion,
    )
