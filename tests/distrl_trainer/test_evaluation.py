"""Success rates: intervals, even and paired instances, retries of infrastructure failures, comparisons."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from scipy.stats import binomtest

from android_env_gym.actions import Finish, InvalidAction
from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.apps.notes.state import NotesState
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.vector import Reset, Result
from distrl_trainer import evaluation, phones
from distrl_trainer.config import EnvConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.evaluation import (
    EvaluationError,
    EvaluationResult,
    Outcome,
    RandomActor,
    check_verdicts,
    compare,
    evaluate,
    evaluate_oracle,
    plan,
    summarise,
    wilson,
)
from distrl_trainer.policy.base import Decision
from distrl_trainer.settings import load_config


class FakePool:
    """Phones on which `Finish` succeeds for even instances; instance 4 fails once, instance 6 always."""

    def __init__(self, specs, workers=0, step_timeout=60.0):
        self.size, self.now, self.waiting, self.closed = len(specs), {}, [], False
        self.tries = {}

    def __len__(self):
        return self.size

    def send(self, commands, ids):
        self.waiting += list(zip(commands, ids, strict=True))

    def recv(self, min_ready=1, timeout=None, executed=None):
        results = [self._do(command, id_) for command, id_ in self.waiting]
        self.waiting = []
        return results

    def close(self):
        self.closed = True

    def _do(self, command, id_):
        if isinstance(command, Reset):
            self.now[id_] = command
            return Result(id_, self._seen(), 0.0, False, False, self._info(id_))
        instance = self.now[id_].instance
        self.tries[instance] = self.tries.get(instance, 0) + 1
        if instance == 6 or (instance == 4 and self.tries[4] == 1):
            failure = {"kind": "lost", "message": "gone"}
            return Result(id_, self._seen(), 0.0, False, True, self._info(id_, failure=failure, reward_valid=False))
        success = isinstance(command, Finish) and instance % 2 == 0
        ended = isinstance(command, Finish)
        info = self._info(id_, is_success=success, false_completion=ended and not success)
        return Result(id_, self._seen(), float(success), ended, False, info)

    def _seen(self):
        return {"screenshot": np.zeros((4, 4, 3), np.uint8), "instruction": "do it"}

    def _info(self, id_, **extra):
        reset = self.now[id_]
        return {"template": reset.template, "instance": reset.instance, "task_id": "", "split": "test", **extra}


class InvalidThenFinish:
    """Emits one invalid action, then declares the end; refuses to be sampled."""

    version = 3

    def act(self, observations, *, greedy=False, streams=None):
        assert greedy
        actions = [Finish() if o.history else InvalidAction("no") for o in observations]
        return [Decision(token_ids=(), logprobs=(), value=0.0, text="t", action=action) for action in actions]


@pytest.fixture
def two_templates(monkeypatch):
    fakes = [SimpleNamespace(id=name, splits=lambda: ("train", "test")) for name in ("a.x", "b.y")]
    monkeypatch.setattr(evaluation, "suite_templates", lambda name: tuple(fakes))


def test_wilson_agrees_with_the_closed_form():
    k, n, z = 37, 120, 1.959963984540054
    p = k / n
    centre, half = (
        (p + z * z / 2 / n) / (1 + z * z / n),
        z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + (z / 2 / n) ** 2),
    )
    rate = wilson(k, n)
    assert (rate.low, rate.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert wilson(0, 0) == evaluation.Rate(0, 0, 0.0, 0.0, 1.0)
    assert wilson(5, 5).high == pytest.approx(1.0)


def test_plan_is_even_paired_and_disjoint_between_seeds(two_templates):
    tasks = plan("starter", "test", 9, seed=0)
    assert [task.template for task in tasks].count("a.x") == 5
    assert tasks == plan("starter", "test", 9, seed=0)
    other = plan("starter", "test", 9, seed=1)
    assert not {(t.template, t.instance) for t in tasks} & {(t.template, t.instance) for t in other}
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        plan("starter", "tset", 9, seed=0)
    with pytest.raises(EvaluationError, match="unseen-template"):
        plan("starter", "unseen-template", 9, seed=0)


def test_infrastructure_failures_are_retried_and_never_counted_as_failure(two_templates, monkeypatch):
    monkeypatch.setattr(phones, "AsyncEnvPool", FakePool)
    recorded = []
    result = evaluate(
        InvalidThenFinish(), EnvConfig(), split="test", episodes=16, seed=0, envs=3, record=recorded.append
    )
    # instances 0..7 of two templates; 6 is never judged, 4 succeeds at the second try (of template a: counted once)
    assert result.success.n == 16
    assert result.success.k == 6
    assert [item.instance for item in result.outcomes if not item.judged] == [6, 6]
    assert result.unjudged == 2
    assert result.infra_errors == len([item for item in recorded if not item.reward_valid]) > 2
    assert result.invalid == result.success.n
    assert result.false_completions == 8
    assert set(result.templates) == {"a.x", "b.y"}
    assert result.report()["success"] == {
        "k": 6, "n": 16, "rate": 6 / 16, "low": wilson(6, 16).low, "high": wilson(8, 16).high,
        "unjudged": 2, "bounds": (6 / 16, 8 / 16),
    }  # fmt: skip
    assert result.report()["templates"]["a.x"]["bounds"] == (3 / 8, 4 / 8)
    assert "outcomes" not in result.report()


def outcomes(successes: list[bool], silent: int = 0) -> EvaluationResult:
    """The last `silent` of the episodes have no verdict, whatever they were."""
    rows = [
        Outcome(
            template="a.x", instance=i, success=s and i < len(successes) - silent, steps=3, invalid=0,
            false_completion=False, judged=i < len(successes) - silent,
        )
        for i, s in enumerate(successes)
    ]  # fmt: skip
    return summarise("starter", "test", 0, rows)


def test_what_has_no_verdict_widens_the_rate_and_is_never_left_out():
    whole, cut = outcomes([True] * 6 + [False] * 10), outcomes([True] * 6 + [False] * 10, silent=4)
    assert (cut.success.k, cut.success.n, cut.success.unjudged, cut.success.rate) == (6, 16, 4, 6 / 16)
    lower, upper = cut.success.bounds
    assert lower <= whole.success.rate <= upper and (lower, upper) == (6 / 16, 10 / 16)
    assert cut.success.low == whole.success.low and cut.success.high == wilson(10, 16).high
    text = str(cut.success)
    assert text.startswith("37.5% to 62.5% [") and text.endswith("(6 to 10 of 16; 4 unjudged)")
    assert "50.0%" not in text and "/12" not in text  # the rate over the judged ones
    assert str(whole.success).endswith("(6/16)") and wilson(0, 0).bounds == (0.0, 1.0)


def test_above_five_percent_unjudged_an_evaluation_fails():
    check_verdicts(outcomes([True] * 100, silent=5))
    with pytest.raises(EvaluationError, match=r"6 of 100 episodes have no verdict .*94.0% to 100.0%"):
        check_verdicts(outcomes([True] * 100, silent=6))
    check_verdicts(outcomes([True] * 100, silent=6), allowed=1.0)
    for nothing in (outcomes([True] * 3, silent=3), outcomes([])):
        with pytest.raises(EvaluationError, match="no episode has a verdict"):
            check_verdicts(nothing, allowed=1.0)


def test_a_comparison_holds_however_the_unjudged_would_have_been_judged():
    generator = np.random.default_rng(0)
    for _ in range(5):
        first, second = (list(generator.random(30) < 0.5) for _ in range(2))
        known = compare(outcomes(first, silent=3), outcomes(second, silent=5))
        assert known.unjudged == 8 and known.n == 30
        for _ in range(3):
            real = [*first[:27], *(generator.random(3) < 0.5)], [*second[:25], *(generator.random(5) < 0.5)]
            found = compare(outcomes(real[0]), outcomes(real[1]))
            assert known.low <= found.low and found.high <= known.high and known.p_value >= min(1, found.p_value)


def test_paired_comparison_is_mcnemars():
    first = outcomes([True] * 10 + [False] * 30)
    second = outcomes([True] * 8 + [False] * 2 + [True] * 12 + [False] * 18)
    result = compare(first, second)
    assert (result.only_first, result.only_second, result.n) == (2, 12, 40)
    assert result.difference == pytest.approx(0.25)
    assert result.low < 0.25 < result.high and result.low > 0
    assert result.p_value == pytest.approx(binomtest(12, 14).pvalue)
    same = compare(first, first)
    assert (same.difference, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_different_evaluations_cannot_be_paired():
    with pytest.raises(ValueError, match="nothing to pair"):
        compare(outcomes([True]), summarise("general", "test", 0, outcomes([True]).outcomes))


def test_random_actor_is_reproducible_and_valid():
    first, second = (RandomActor(4).act([None] * 30) for _ in range(2))
    assert [d.action for d in first] == [d.action for d in second]
    assert len({type(d.action) for d in first}) > 3


def test_episodes_with_side_effects_are_counted_whatever_their_verdict():
    outcomes = [
        Outcome(
            template="a.x", instance=k, success=k == 0, steps=1, invalid=0, false_completion=False, side_effects=count
        )
        for k, count in enumerate((2, 0, 1))
    ]
    result = summarise("s", "test", 0, outcomes)
    assert (result.success.k, result.side_effects) == (1, 2) and result.report()["side_effects"] == 2


@pytest.mark.parametrize(("meaning", "solved"), [("fail", False), ("report", True)])
def test_the_setting_reaches_the_judge_and_side_effects_the_outcome(meaning, solved, monkeypatch):
    env = load_config(None, ["--env.side_effects", meaning, "--env.max_steps", "6"]).env
    spec = phones.env_spec(env, "train")
    played = spec.make()
    monkeypatch.setattr(type(spec), "make", lambda self: played)
    inner = played.unwrapped
    real_reset = inner.device.apply_setup

    def spoilt(state):  # somebody deletes all notes as soon as the episode has begun
        real_reset(state)
        real_perform = inner.device.perform

        def perform(action):
            real_perform(action)
            inner.device.edit(lambda now: put_app(now, msgspec.structs.replace(app_of(now, NotesState), notes=())))

        monkeypatch.setattr(inner.device, "perform", perform)

    monkeypatch.setattr(inner.device, "apply_setup", spoilt)
    plan_of_one = [TaskRequest("settings.open_page", 0)]
    monkeypatch.setattr(evaluation, "plan", lambda *arguments: plan_of_one)
    (outcome,) = evaluate_oracle(env, split="train", episodes=1, seed=0).outcomes
    assert outcome.success == solved
    assert outcome.side_effects > 0 if solved else outcome.side_effects == 0  # unsolved, the oracle never ended it
