"""The state judge: compares the phone's state with the task's goal. Exact, free, needs a `World`."""

from __future__ import annotations

from collections.abc import Sequence

from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.tasks.base import TaskTemplate
from android_env_gym.tasks.suites import goal_of, template


class StateJudge:
    """Success is what the task's template says about the state (and the answer) now.

    Args:
        templates: Templates that are not among the built-in ones.
    """

    needs_world = True

    def __init__(self, templates: Sequence[TaskTemplate] = ()) -> None:
        self._templates = {item.id: item for item in templates}

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict; never invalid."""
        before, now, finish = evidence.before, evidence.now, evidence.finish
        if before is None or now is None:
            raise ValueError(
                "the state judge needs the states of a World; over a real device use judge='vlm:MODEL@URL'"
            )
        name = evidence.task.template
        task = self._templates.get(name) or template(name)
        if task.infeasible:
            changed = side_effects(before, now, task.allowed(goal_of(evidence.task)))
            success = finish is not None and finish.status == "infeasible" and not changed
        elif finish is not None and finish.status == "infeasible":
            success = False
        else:
            answer = None if finish is None else finish.answer
            success = task.succeeded(before, now, goal_of(evidence.task), answer)
        return Verdict(success, float(success), "the state matches the goal" if success else "the state does not match")
