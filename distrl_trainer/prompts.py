"""Observation -> what a model reads: chat messages, plain text and the history of actions. Pure.

Invariant: the same observation gives the same text, so what was sampled can be evaluated again. The
policies call it; collectors and warm start write history with `action_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from android_env_gym.actions import (
    Action,
    Finish,
    InvalidAction,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)

if TYPE_CHECKING:  # the policies import this module
    from distrl_trainer.policy.base import Observation

OPENING = "You operate an Android phone. You see its screen and choose the next action that brings the task forward."


def action_text(action: Action | InvalidAction) -> str:
    """Return one line that describes `action`, whichever model or oracle chose it; the kind comes first.

    Histories are made of these lines, so that demonstrations and rollouts read alike.
    """
    match action:
        case Tap(x, y):
            return f"tap {x:.2f} {y:.2f}"
        case LongPress(x, y):
            return f"long_press {x:.2f} {y:.2f}"
        case Swipe(x1, y1, x2, y2):
            return f"swipe {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f}"
        case TypeText(text):
            return f'type "{text}"'
        case PressKey(key):
            return f"press {key}"
        case OpenApp(app):
            return f'open "{app}"'
        case Wait(seconds):
            return f"wait {seconds:g}"
        case Finish(status, answer):
            return f'answer "{answer}"' if answer else f"finish {status}"
        case InvalidAction():
            return "invalid"


def history_text(history: Sequence[str]) -> str:
    """Return the last actions, oldest first, numbered, or "none"."""
    return "\n".join(f"{i}. {line}" for i, line in enumerate(history, 1)) or "none"


def prompt_text(observation: Observation, codec_prompt: str) -> str:
    """Return the text beside the screenshots: task, last actions, action format."""
    return (
        f"{OPENING}\n{codec_prompt.strip()}\n\nTask: {observation.instruction}\n"
        f"Last actions:\n{history_text(observation.history)}\nNext action:"
    )


def chat_messages(observation: Observation, codec_prompt: str, image_count: int) -> list[dict[str, object]]:
    """Return one user message for a chat template: the images (oldest first), then the prompt.

    There is no system message: some models' templates refuse one.
    """
    images: list[dict[str, str]] = [{"type": "image"} for _ in range(image_count)]
    content = [*images, {"type": "text", "text": prompt_text(observation, codec_prompt)}]
    return [{"role": "user", "content": content}]
