"""Success rates by greedy decoding, with Wilson intervals; the same task instances for every policy, so rates pair.

Invariant: no episode is left out. One that the infrastructure ended runs again, at most `fleet.MAX_ATTEMPTS` times.
What then has no verdict stays in every rate, which becomes two bounds: as if all of it had failed, and as if all of
it had succeeded. A rate over the judged ones alone would be wrong: a judge is silent more often on long episodes, and
those fail more often. Callers: `train_command`, `cli`, benchmarks.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
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
MAX_UNJUDGED = 0.05
"""Share of episodes without a verdict above which an evaluation fails: its bounds are then as far apart as 5 points."""


class EvaluationError(ValueError):
    """There is nothing to evaluate; the message says what was asked for and what to do."""


class Rate(msgspec.Struct, frozen=True):
    """`k` successes of `n` episodes, of which `unjudged` have no verdict and are not among the `k`.

    The true share of successes lies between `bounds`; `rate` = k / n is the lower one. `low` is the lower end of its
    95% Wilson interval, `high` the upper end of that of the upper bound. All shares are in [0, 1].
    """

    k: int
    n: int
    rate: float
    low: float
    high: float
    unjudged: int = 0

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the rates if every unjudged episode failed, and if every one succeeded; [0, 1] for no episode."""
        return (self.k / self.n, (self.k + self.unjudged) / self.n) if self.n else (0.0, 1.0)

    def share(self, digits: int = 1) -> str:
        """Return the success in percent: one figure, or the two bounds where episodes are unjudged."""
        if not self.unjudged:
            return f"{self.rate:.{digits}%}"
        lower, upper = self.bounds
        return f"{lower:.{digits}%} to {upper:.{digits}%}"

    def counts(self) -> str:
        """Return e.g. "12/48", or "12 to 20 of 48" where 8 episodes are unjudged."""
        return f"{self.k} to {self.k + self.unjudged} of {self.n}" if self.unjudged else f"{self.k}/{self.n}"

    def __str__(self) -> str:
        silent = f"; {self.unjudged} unjudged" if self.unjudged else ""
        return f"{self.share()} [{self.low:.1%}, {self.high:.1%}] ({self.counts()}{silent})"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One episode; without a verdict, `judged` and `success` are False.

    `invalid` is its number of invalid actions, `side_effects` that of paths changed besides at its end.
    """

    template: str
    instance: int
    success: bool
    steps: int
    invalid: int
    false_completion: bool
    judged: bool = True
    side_effects: int = 0


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation. `infra_errors` counts failed attempts, `unjudged` the episodes that have no verdict in the end.

    `side_effects` counts the episodes that ended with a destructive side effect, whatever their verdict.
    """

    suite: str
    split: str
    seed: int
    success: Rate
    templates: dict[str, Rate]
    invalid: int
    steps: int
    false_completions: int
    side_effects: int = 0
    infra_errors: int = 0
    unjudged: int = 0
    outcomes: tuple[Outcome, ...] = ()

    def report(self) -> dict[str, Any]:
        """Return the JSON form of the command line's contract: everything but the single outcomes."""
        report = msgspec.to_builtins(self)
        del report["outcomes"]
        report["success"] = _with_bounds(self.success)
        report["templates"] = {name: _with_bounds(rate) for name, rate in self.templates.items()}
        return report


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two policies on the same `n` instances: `difference` of success rates (second - first) with a 95% interval.

    `p_value` is of McNemar's exact test on the instances that only one of them solved. With `unjudged` episodes,
    `difference` takes them as failures, and interval and `p_value` hold however they would have been judged.
    """

    n: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float
    unjudged: int = 0


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
    outcomes: list[Outcome] = []
    infra_errors = 0

    def take(trajectory: Trajectory) -> None:
        nonlocal infra_errors
        if record is not None:
            record(trajectory)
        infra_errors += not trajectory.reward_valid
        again = retries.request(trajectory)
        if again is not None:
            tasks.waiting.append(again)
        else:
            outcomes.append(outcome_of(trajectory))

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
                progress(len(outcomes))
    finally:
        pool.close()
    return summarise(env.suite, split, seed, outcomes, infra_errors)


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
    infra_errors = 0
    try:
        for number, request in enumerate(requests, start=1):
            outcome = _oracle_outcome(request, 0, {}, judged=False)
            for _ in range(MAX_ATTEMPTS):
                outcome = _play_oracle(phone, request)
                if outcome.judged:
                    break
                infra_errors += 1
            outcomes.append(outcome)
            if progress is not None:
                progress(number)
    finally:
        phone.close()
    return summarise(env.suite, split, seed, outcomes, infra_errors)


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
    suite: str, split: str, seed: int, outcomes: Sequence[Outcome], infra_errors: int = 0
) -> EvaluationResult:
    """Return rates over `outcomes`, those without a verdict among them; `infra_errors` counts failed attempts."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.template, outcome.instance))
    totals, solved = Counter(o.template for o in ordered), Counter(o.template for o in ordered if o.success)
    unjudged = Counter(o.template for o in ordered if not o.judged)
    if infra_errors:
        logger.warning("%d attempts failed for reasons of the infrastructure", infra_errors)
    return EvaluationResult(
        suite=suite,
        split=split,
        seed=seed,
        success=wilson(sum(solved.values()), len(ordered), sum(unjudged.values())),
        templates={template: wilson(solved[template], n, unjudged[template]) for template, n in sorted(totals.items())},
        invalid=sum(o.invalid for o in ordered),
        steps=sum(o.steps for o in ordered),
        false_completions=sum(o.false_completion for o in ordered),
        side_effects=sum(o.side_effects > 0 for o in ordered),
        infra_errors=infra_errors,
        unjudged=sum(unjudged.values()),
        outcomes=tuple(ordered),
    )


def check_verdicts(result: EvaluationResult, allowed: float = MAX_UNJUDGED) -> None:
    """Check that at least one episode has a verdict, and at most the share `allowed` has none.

    Raises:
        EvaluationError: That is not so; the bounds then say too little.
    """
    success, failed = result.success, f"{result.infra_errors} attempts failed, see the warnings"
    if success.unjudged == success.n:
        raise EvaluationError(f"no episode has a verdict: {failed}")
    if success.unjudged > allowed * success.n:
        raise EvaluationError(
            f"{success.unjudged} of {success.n} episodes have no verdict (allowed are {allowed:.0%}), so success is "
            f"only known to be {success.share()}: {failed}, mend the judge or the devices, and evaluate again"
        )


def wilson(k: int, n: int, unjudged: int = 0) -> Rate:
    """Return `k` of `n` with 95% Wilson score intervals (Wilson 1927); [0, 1] for `n` 0."""
    if n == 0:
        return Rate(0, 0, 0.0, 0.0, 1.0)
    lower = binomtest(k, n).proportion_ci(CONFIDENCE, method="wilson")
    upper = binomtest(k + unjudged, n).proportion_ci(CONFIDENCE, method="wilson")
    return Rate(k, n, k / n, float(lower.low), float(upper.high), unjudged)


def _with_bounds(rate: Rate) -> dict[str, Any]:
    return {**msgspec.to_builtins(rate), "bounds": rate.bounds}


def pairs(
    first: EvaluationResult, second: EvaluationResult, unjudged: tuple[bool, bool] = (False, False)
) -> list[tuple[bool, bool]]:
    """Return the success of both on each instance that both have played, in the order of `second`.

    Args:
        first: An evaluation.
        second: Another, of the same instances.
        unjudged: What an episode without a verdict counts as, in `first` and in `second`.
    """
    earlier = {(o.template, o.instance): o.success if o.judged else unjudged[0] for o in first.outcomes}
    return [
        (earlier[key], o.success if o.judged else unjudged[1])
        for o in second.outcomes
        if (key := (o.template, o.instance)) in earlier
    ]


def compare(first: EvaluationResult, second: EvaluationResult, seed: int = 0) -> Comparison:
    """Return the paired comparison of two policies on the instances both have played.

    Raises:
        ValueError: They share no instance: suite, split, episodes or seed differ.
    """
    paired = pairs(first, second)
    if not paired or (first.suite, first.split) != (second.suite, second.split):
        raise ValueError(
            f"nothing to pair: {first.suite}/{first.split} seed {first.seed} against "
            f"{second.suite}/{second.split} seed {second.seed}; evaluate both with the same arguments"
        )
    found = compare_pairs(paired, seed)
    if not first.unjudged + second.unjudged:
        return found
    worst = compare_pairs(pairs(first, second, (True, False)), seed)
    best = compare_pairs(pairs(first, second, (False, True)), seed)
    # Between a loss and a gain lies every p-value, up to 1.
    same_sign = worst.difference * best.difference > 0
    return msgspec.structs.replace(
        found,
        low=worst.low,
        high=best.high,
        p_value=max(worst.p_value, best.p_value) if same_sign else 1.0,
        unjudged=first.unjudged + second.unjudged,
    )


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


def _play_oracle(phone: gym.Env[Any, Any], request: TaskRequest) -> Outcome:
    """Return how the oracle does on one task: unjudged if the infrastructure failed, no success if it is stuck."""
    inner = cast(AndroidTaskEnv, phone.unwrapped)
    try:
        phone.reset(options={"task": request.template, "instance": request.instance})
    except ResetError:
        return _oracle_outcome(request, 0, {}, judged=False)
    steps, info, ended = 0, {}, False
    actions = oracle_actions(template(request.template), inner.device, goal_of(inner.task))
    try:
        for action in actions:
            _, _, terminated, truncated, info = phone.step(action)
            steps += 1
            if truncated:
                return _oracle_outcome(request, steps, {}, judged=False)
            ended = terminated
            if ended:
                break
    except OracleStuckError as error:
        logger.warning("the oracle of %s is stuck: %s", inner.task.task_id, error)
    return _oracle_outcome(request, steps, info if ended else {})


def _oracle_outcome(request: TaskRequest, steps: int, info: Mapping[str, Any], *, judged: bool = True) -> Outcome:
    """Return the outcome of an oracle's episode that ended with `info` ({}: it did not end)."""
    return Outcome(
        template=request.template,
        instance=request.instance,
        success=bool(info.get("is_success")),
        steps=steps,
        invalid=0,
        false_completion=bool(info.get("false_completion")),
        judged=judged,
        side_effects=len(info.get("side_effects", "").split()),
    )


def outcome_of(trajectory: Trajectory) -> Outcome:
    """Return what counts of one episode."""
    return Outcome(
        template=trajectory.template,
        instance=trajectory.instance,
        success=trajectory.success,
        steps=len(trajectory.steps),
        invalid=sum(bool(step.invalid) for step in trajectory.steps),
        false_completion=trajectory.false_completion,
        judged=trajectory.reward_valid,
        side_effects=trajectory.side_effects,
    )
