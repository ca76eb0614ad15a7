"""Does a template keep its promises? Oracle succeeds, no-op, random tapping and near miss fail.

Used by `python -m android_env_gym check` and by the tests. Every episode runs on a phone of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish, PressKey, Swipe, Tap
from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.judges.state import StateJudge
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig, PhoneState
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.tasks.base import Split, Task, TaskTemplate
from android_env_gym.tasks.pilot import Pilot
from android_env_gym.tasks.suites import draw_task, goal_of

RANDOM_STEPS = 15


class Outcome(msgspec.Struct, frozen=True):
    """How an episode ended: success by the state judge, number of actions, paths changed without permission."""

    success: bool
    steps: int
    side_effects: tuple[str, ...]


class TemplateReport(msgspec.Struct, frozen=True):
    """Counts over `instances` episodes of each kind; `problems` explains every broken promise."""

    instances: int
    oracle: int
    no_op: int
    random: int
    near_miss: int
    max_steps: int
    problems: tuple[str, ...]


def episode(
    template: TaskTemplate, split: Split, instance: int, kind: str, config: DeviceConfig | None = None
) -> Outcome:
    """Run one episode of `kind` "oracle" | "no_op" | "random" | "near_miss" and judge it."""
    task, state = draw_task(template, split, instance, config)
    phone = SimPhone(config)
    phone.apply_setup(state)
    before, steps, finish = phone.snapshot(), 0, None
    judge = StateJudge((template,))
    for action in _actions(template, task, phone, kind):
        steps += 1
        if isinstance(action, Finish):
            finish = action
            break
        phone.perform(action)
        if kind == "random" and template.judge_at == "step" and _verdict(judge, task, before, phone, None).success:
            break
    verdict = _verdict(judge, task, before, phone, finish)
    return Outcome(verdict.success, steps, side_effects(before, phone.state, template.allowed(goal_of(task))))


def check_template(template: TaskTemplate, instances: int, split: Split | None = None) -> TemplateReport:
    """Run `instances` episodes of every kind in `split` (default: the template's first)."""
    split = split or template.splits()[0]
    runs = {
        kind: [episode(template, split, index, kind) for index in range(instances)]
        for kind in ("oracle", "no_op", "random", "near_miss")
    }
    wins = {kind: sum(run.success for run in outcomes) for kind, outcomes in runs.items()}
    return TemplateReport(
        instances=instances,
        oracle=wins["oracle"],
        no_op=wins["no_op"],
        random=wins["random"],
        near_miss=wins["near_miss"],
        max_steps=max(run.steps for run in runs["oracle"]),
        problems=tuple(_problems(template, runs)),
    )


def _problems(template: TaskTemplate, runs: dict[str, list[Outcome]]) -> Iterator[str]:
    for index, run in enumerate(runs["oracle"]):
        if not run.success:
            yield f"instance {index}: the oracle fails"
        if run.side_effects:
            yield f"instance {index}: the oracle changes {', '.join(run.side_effects)}"
        if run.steps > template.oracle_steps:
            yield f"instance {index}: the oracle takes {run.steps} actions, oracle_steps says {template.oracle_steps}"
    for kind in ("no_op", "near_miss"):
        yield from (f"instance {index}: {kind} succeeds" for index, run in enumerate(runs[kind]) if run.success)


def _verdict(judge: StateJudge, task: Task, before: PhoneState, phone: SimPhone, finish: Finish | None) -> Verdict:
    evidence = Evidence(task, (), (), finish, before, phone.state)
    return judge.judge(evidence)


def _actions(template: TaskTemplate, task: Task, phone: SimPhone, kind: str) -> Iterator[Action]:
    goal = goal_of(task)
    if kind == "oracle":
        return template.oracle(Pilot(phone), goal)
    if kind == "near_miss":
        return template.near_miss(Pilot(phone), goal)
    if kind == "no_op":
        return iter((Finish(),))
    return random_actions(np.random.default_rng(task.seed), RANDOM_STEPS)


def random_actions(rng: np.random.Generator, steps: int) -> Iterator[Action]:
    """Yield `steps` actions of a monkey (taps, some swipes and back keys), then `Finish`."""
    for _ in range(steps):
        kind = rng.random()
        if kind < 0.85:
            yield Tap(float(rng.random()), float(rng.random()))
        elif kind < 0.95:
            yield Swipe(*(float(value) for value in rng.random(4)))
        else:
            yield PressKey("back")
    yield Finish()
