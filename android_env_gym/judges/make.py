"""From a judge's name to a judge: "state", "vlm:MODEL@URL". Called by `AndroidTaskEnv`."""

from __future__ import annotations

from collections.abc import Sequence

from android_env_gym.errors import unknown_name
from android_env_gym.judges.base import Judge
from android_env_gym.judges.state import StateJudge
from android_env_gym.tasks.base import TaskTemplate

NAMES: tuple[str, ...] = ("state", "vlm:MODEL@URL")


def make_judge(spec: str, templates: Sequence[TaskTemplate] = ()) -> Judge:
    """Return the judge that `spec` names: "state" or "vlm:MODEL@URL"; `templates` are those of the tasks to judge.

    Raises:
        UnknownNameError: No judge has this name.
        ValueError: A "vlm:" name without a model or URL.
    """
    if spec == "state":
        return StateJudge(templates)
    if not spec.startswith("vlm:"):
        raise unknown_name("judge", spec, NAMES)
    model, separator, url = spec.removeprefix("vlm:").rpartition("@")
    if not (model and separator and url.startswith(("http://", "https://"))):
        raise ValueError(f'judge {spec!r}: want "vlm:MODEL@URL", e.g. "vlm:qwen3-vl@http://127.0.0.1:8000/v1"')
    from android_env_gym.judges.vlm import VlmJudge  # the API client takes half a second to import

    return VlmJudge(model, url)
