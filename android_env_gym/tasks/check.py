"""Does a template keep its promises? The oracle succeeds; doing nothing, the near miss and every attack fail.

Used by `python -m android_env_gym check` and by the tests. Every episode runs on a phone of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.judges.state import StateJudge
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig, PhoneState
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.tasks import attacks
from android_env_gym.tasks.base import Split, Task, TaskTemplate
from android_env_gym.tasks.pilot import Pilot
from android_env_gym.tasks.suites import draw_task, goal_of, templates

# What each kind of episode does; `vandal` is not among them, as it goes on from the oracle's.
KINDS = ("oracle", "no_op", "random", "near_miss", "screen_dump", "infeasible", "launch_finish", "word_match")
MUST_FAIL = ("no_op", "near_miss", "screen_dump", "infeasible", "launch_finish")
VANDALISMS = 40  # things changed per instance, one at a time


class Outcome(msgspec.Struct, frozen=True):
    """How an episode ended: success by the state judge, number of actions, paths changed without permission."""

    success: bool
    steps: int
    side_effects: tuple[str, ...]


class Rate(msgspec.Struct, frozen=True):
    """`k` of `n` with the 95% Wilson interval `[low, high]`; all shares are in [0, 1]."""

    k: int
    n: int
    rate: float
    low: float
    high: float


class TemplateReport(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of paid episodes over `instances` of each kind; `problems` explains every broken promise.

    Attributes:
        instances: Episodes of each kind.
        oracle: The oracle.
        no_op: Saying at once that it is done.
        random: Tapping at random.
        near_miss: The right kind of change, the wrong target.
        screen_dump: The oracle's way, and everything on the screen as the answer.
        infeasible: Saying at once that it cannot be done. Of an infeasible template its feasible twin is played.
        launch_finish: Opening the app and saying that it is done.
        word_match: Tapping what shares words with the instruction (`attacks.match_words`); some of it may be right.
        vandal: The oracle's way and one thing changed that it left alone, of `vandalisms` such.
        max_steps: Most actions that the oracle took.
        problems: What is broken, instance by instance.
    """

    instances: int
    oracle: int
    no_op: int
    random: int
    near_miss: int
    screen_dump: int
    infeasible: int
    launch_finish: int
    word_match: int
    vandal: int
    vandalisms: int
    max_steps: int
    problems: tuple[str, ...]


def episode(
    template: TaskTemplate, split: Split, instance: int, kind: str, config: DeviceConfig | None = None
) -> Outcome:
    """Run one episode of one of `KINDS` and judge it."""
    return _Episode(template, split, instance, kind, config).outcome


class _Episode:
    """One episode from its set-up to its verdict, which `vandalised` gives again with other states."""

    def __init__(
        self, template: TaskTemplate, split: Split, instance: int, kind: str, config: DeviceConfig | None = None
    ) -> None:
        self._judge, self._finish = StateJudge((template,)), None
        self.task, state = draw_task(template, split, instance, config)
        phone = SimPhone(config)
        phone.apply_setup(state)
        self.before, steps, stops_when_paid = phone.snapshot(), 0, kind in ("random", "word_match")
        for action in _actions(template, self.task, phone, kind):
            steps += 1
            if isinstance(action, Finish):
                self._finish = action
                break
            phone.perform(action)
            if stops_when_paid and template.judge_at == "step" and self.verdict(phone.state).success:
                break
        self.now = phone.state
        allowed = template.allowed(goal_of(self.task))
        self.outcome = Outcome(self.verdict(self.now).success, steps, side_effects(self.before, self.now, allowed))

    def verdict(self, now: PhoneState) -> Verdict:
        """Return the verdict on the episode if the phone's state were `now`."""
        return self._judge.judge(Evidence(self.task, (), (), self._finish, self.before, now))

    def vandalised(self, count: int) -> Iterator[tuple[bool, tuple[str, ...]]]:
        """Yield per vandalism whether it was paid, and the paths that it changed."""
        rng = np.random.default_rng([self.task.seed, 2])
        for state in (attacks.wreck(self.now), *attacks.vandalisms(self.before, self.now, rng, count)):
            yield self.verdict(state).success, side_effects(self.now, state, ())


def check_template(
    template: TaskTemplate, instances: int, split: Split | None = None, vandalisms: int = VANDALISMS
) -> TemplateReport:
    """Run `instances` episodes of every kind in `split` (default: the template's first).

    Args:
        template: The template to check.
        instances: Episodes of each kind, from instance 0 on.
        split: Split of the goals.
        vandalisms: Things changed after each oracle, one at a time.
    """
    split = split or template.splits()[0]
    runs = {kind: [_run(template, split, index, kind) for index in range(instances)] for kind in KINDS}
    spoilt = [list(run.vandalised(vandalisms)) for run in runs["oracle"]]
    wins = {kind: sum(run.outcome.success for run in found) for kind, found in runs.items()}
    return TemplateReport(
        instances=instances,
        **wins,
        vandal=sum(paid for found in spoilt for paid, _ in found),
        vandalisms=sum(len(found) for found in spoilt),
        max_steps=max(run.outcome.steps for run in runs["oracle"]),
        problems=(
            *_problems(template, {kind: [run.outcome for run in found] for kind, found in runs.items()}),
            *_paid_vandals(spoilt),
        ),
    )


def word_match_rate(reports: Sequence[TemplateReport]) -> Rate:
    """Return what tapping shared words reaches over all episodes of `reports`."""
    return wilson(sum(item.word_match for item in reports), sum(item.instances for item in reports))


def wilson(k: int, n: int) -> Rate:
    """Return `k` of `n` with its 95% Wilson score interval (Wilson 1927); [0, 1] for `n` 0."""
    if n == 0:
        return Rate(0, 0, 0.0, 0.0, 1.0)
    from scipy.stats import binomtest  # takes half a second to import

    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return Rate(k, n, k / n, float(interval.low), float(interval.high))


def _run(played: TaskTemplate, split: Split, index: int, kind: str) -> _Episode:
    if kind == "infeasible" and played.infeasible:
        played = templates().get(played.twin, played)
    return _Episode(played, split, index, kind)


def _problems(template: TaskTemplate, runs: dict[str, list[Outcome]]) -> Iterator[str]:
    for index, run in enumerate(runs["oracle"]):
        if not run.success:
            yield f"instance {index}: the oracle fails"
        if run.side_effects:
            yield f"instance {index}: the oracle changes {', '.join(run.side_effects)}"
        if run.steps > template.oracle_steps:
            yield f"instance {index}: the oracle takes {run.steps} actions, oracle_steps says {template.oracle_steps}"
    for kind in MUST_FAIL:
        yield from (f"instance {index}: {kind} succeeds" for index, run in enumerate(runs[kind]) if run.success)


def _paid_vandals(spoilt: list[list[tuple[bool, tuple[str, ...]]]]) -> Iterator[str]:
    for index, found in enumerate(spoilt):
        for paid, changed in found:
            if paid:
                yield f"instance {index}: the oracle is paid although {', '.join(changed)} changed too"


def _actions(template: TaskTemplate, task: Task, phone: SimPhone, kind: str) -> Iterator[Action]:
    goal, rng = goal_of(task), np.random.default_rng(task.seed)
    match kind:
        case "oracle":
            return template.oracle(Pilot(phone), goal)
        case "near_miss":
            return template.near_miss(Pilot(phone), goal)
        case "screen_dump":
            return attacks.read_everything(template.oracle(Pilot(phone), goal), template, phone)
        case "launch_finish":
            return attacks.launch_and_finish(template, phone)
        case "word_match":
            return attacks.match_words(task.instruction, template, phone, rng)
        case "random":
            return attacks.random_actions(rng, attacks.RANDOM_STEPS)
    return iter((Finish("infeasible" if kind == "infeasible" else "complete"),))
