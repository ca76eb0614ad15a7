"""From a judge's name to a judge: "state", "vlm:MODEL@URL", "module:Class". Called by `AndroidTaskEnv`.

Invariant: a judge that compares states is never given tasks whose success no state tells (instruction files).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from android_env_gym.errors import unknown_name
from android_env_gym.judges.base import Judge
from android_env_gym.judges.state import SideEffects, StateJudge
from android_env_gym.named import load_named
from android_env_gym.tasks.base import TaskTemplate

NAMES: tuple[str, ...] = ("state", "vlm:MODEL@URL", "module:Class")


class JudgeError(ValueError):
    """A judge that cannot be made as it is spelled, or cannot judge these tasks; the message says what to pass."""


def make_judge(judge: str | Judge, templates: Sequence[TaskTemplate] = (), side_effects: SideEffects = "fail") -> Judge:
    """Return the judge that a name stands for ("state", "vlm:MODEL@URL", "module:Class"), or the judge given.

    Args:
        judge: A name, or a judge, which is checked and returned.
        templates: Those of the tasks to judge.
        side_effects: What destructive side effects mean to the judge "state"; other judges see to that themselves.

    Raises:
        UnknownNameError: No judge has this name; or `side_effects` is neither "fail" nor "report".
        JudgeError: The state judge, for tasks from instruction files; a "vlm:" name without a model or URL; or a
            "module:Class" that needs arguments.
        NamedError: The "module:Class" cannot be imported.
    """
    check_judge(judge, templates)
    if isinstance(judge, str):
        judge = StateJudge(templates, side_effects) if judge == "state" else _made(judge)
    if not callable(getattr(judge, "judge", None)):
        raise unknown_name("judge", judge, (*NAMES, "any object with the methods of judges.base.Judge"))
    return judge


def check_judge(judge: str | Judge, templates: Sequence[TaskTemplate]) -> None:
    """Check that `judge` exists and can judge tasks of `templates`; nothing is made.

    Raises:
        UnknownNameError, JudgeError, NamedError: As `make_judge`.
    """
    listed = next((item.id for item in templates if not item.needs_world), None)
    if listed is not None and (judge == "state" or isinstance(judge, StateJudge)):
        raise JudgeError(
            f'the tasks of {listed!r} are lines of an instruction file: they have no goal that judge="state" (the '
            'default) could compare with the phone. Pass judge="vlm:MODEL@URL", a model behind any OpenAI-compatible '
            'endpoint, "module:Class" or an object of your own with the methods of android_env_gym.judges.base.Judge.'
        )
    if isinstance(judge, str) and judge != "state":
        _factory(judge)


def _made(spec: str) -> Judge:
    try:
        return _factory(spec)()
    except TypeError as error:
        raise JudgeError(f"judge {spec!r}: made without arguments, it says: {error}") from error


def _factory(spec: str) -> Callable[[], Judge]:
    if ":" not in spec:
        raise unknown_name("judge", spec, NAMES)
    if not spec.startswith("vlm:"):
        return load_named("judge", spec)
    model, separator, url = spec.removeprefix("vlm:").rpartition("@")
    if not (model and separator and url.startswith(("http://", "https://"))):
        raise JudgeError(f'judge {spec!r}: want "vlm:MODEL@URL", e.g. "vlm:qwen3-vl@http://127.0.0.1:8000/v1"')
    from android_env_gym.judges.vlm import VlmJudge  # the API client takes half a second to import

    return partial(VlmJudge, model, url)
