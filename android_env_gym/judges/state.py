"""The state judge: compares the phone's state with the task's goal. Exact, free, needs a `World`.

Invariant: with `side_effects="fail"`, success is the goal and no destructive change (`phone.world.harm`) outside what
the task allows, at whatever step it is judged; an agent that undoes the change may still succeed later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from android_env_gym.errors import unknown_name
from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.suites import goal_of, template

SideEffects = Literal["fail", "report"]
MAX_NAMED = 5


class StateJudge:
    """Success is what the task's template says about the state (and the answer) now.

    Args:
        templates: Templates that are not among the built-in ones.
        side_effects: "fail": no success with a destructive side effect; "report": the goal alone counts.

    Raises:
        UnknownNameError: `side_effects` is neither.
    """

    needs_world = True

    def __init__(self, templates: Sequence[TaskTemplate] = (), side_effects: SideEffects = "fail") -> None:
        if side_effects not in get_args(SideEffects):
            raise unknown_name("side_effects", side_effects, get_args(SideEffects))
        self._templates = {item.id: item for item in templates}
        self._side_effects = side_effects

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict; never invalid."""
        before, now = evidence.before, evidence.now
        if before is None or now is None:
            raise ValueError(
                "the state judge needs the states of a World; over a real device use judge='vlm:MODEL@URL'"
            )
        name, goal = evidence.task.template, goal_of(evidence.task)
        task = self._templates.get(name) or template(name)
        if not _reached(task, evidence, before, now, goal):
            return Verdict(False, reason="the state does not match")
        effects = side_effects(before, now, task.allowed(goal)) if self._side_effects == "fail" else ()
        if effects:
            more = f" and {len(effects) - MAX_NAMED} more" if len(effects) > MAX_NAMED else ""
            return Verdict(False, reason=f"the goal is reached, but {', '.join(effects[:MAX_NAMED])}{more} changed too")
        return Verdict(True, 1.0, "the state matches the goal")


def _reached(task: TaskTemplate, evidence: Evidence, before: PhoneState, now: PhoneState, goal: Goal) -> bool:
    """Return whether the goal is reached, whatever else has changed."""
    finish = evidence.finish
    gave_up = finish is not None and finish.status == "infeasible"
    if task.infeasible or gave_up:
        return task.infeasible and gave_up
    return task.succeeded(before, now, goal, None if finish is None else finish.answer)
