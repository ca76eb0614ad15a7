"""From a judge's name to a judge: "state", "vlm:MODEL@URL". Called by `AndroidTaskEnv`.

Invariant: a judge that compares states is never given tasks whose success no state tells (instruction files).
"""

from __future__ import annotations

from collections.abc import Sequence

from android_env_gym.errors import unknown_name
from android_env_gym.judges.base import Judge
from android_env_gym.judges.state import StateJudge
from android_env_gym.tasks.base import TaskTemplate

NAMES: tuple[str, ...] = ("state", "vlm:MODEL@URL")


class JudgeError(ValueError):
    """A judge that cannot be made as it is spelled, or cannot judge these tasks; the message says what to pass."""


def make_judge(judge: str | Judge, templates: Sequence[TaskTemplate] = ()) -> Judge:
    """Return the judge that a name stands for ("state" or "vlm:MODEL@URL"), or the judge given.

    Args:
        judge: A name, or a judge, which is checked and returned.
        templates: Those of the tasks to judge.

    Raises:
        UnknownNameError: No judge has this name.
        JudgeError: The state judge, for tasks from instruction files; or a "vlm:" name without a model or URL.
    """
    check_judge(judge, templates)
    if isinstance(judge, str):
        return _named(judge, templates)
    if not callable(getattr(judge, "judge", None)):
        raise unknown_name("judge", judge, (*NAMES, "any object with the methods of judges.base.Judge"))
    return judge


def check_judge(judge: str | Judge, templates: Sequence[TaskTemplate]) -> None:
    """Check that `judge` can judge tasks of `templates`; nothing is made.

    Raises:
        JudgeError: The state judge, for tasks from instruction files.
    """
    listed = next((item.id for item in templates if not item.needs_world), None)
    if listed is not None and (judge == "state" or isinstance(judge, StateJudge)):
        raise JudgeError(
            f'the tasks of {listed!r} are lines of an instruction file: they have no goal that judge="state" (the '
            'default) could compare with the phone. Pass judge="vlm:MODEL@URL", a model behind any OpenAI-compatible '
            "endpoint, or an object of your own with the methods of android_env_gym.judges.base.Judge."
        )


def _named(spec: str, templates: Sequence[TaskTemplate]) -> Judge:
    if spec == "state":
        return StateJudge(templates)
    if not spec.startswith("vlm:"):
        raise unknown_name("judge", spec, NAMES)
    model, separator, url = spec.removeprefix("vlm:").rpartition("@")
    if not (model and separator and url.startswith(("http://", "https://"))):
        raise JudgeError(f'judge {spec!r}: want "vlm:MODEL@URL", e.g. "vlm:qwen3-vl@http://127.0.0.1:8000/v1"')
    from android_env_gym.judges.vlm import VlmJudge  # the API client takes half a second to import

    return VlmJudge(model, url)
