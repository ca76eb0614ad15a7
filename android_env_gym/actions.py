"""Typed actions of a phone agent: what `AndroidTaskEnv.step` takes and what a codec decodes.

Invariant: every `Action` that passed `validate` can be performed by any device. Points are `(x, y)`
in [0, 1], x to the right and y down; swipes run from the first point to the second, as a finger does.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Key = Literal["back", "home", "recents", "enter", "delete"]
KEYS: tuple[Key, ...] = ("back", "home", "recents", "enter", "delete")
FinishStatus = Literal["complete", "infeasible"]
FINISH_STATUSES: tuple[FinishStatus, ...] = ("complete", "infeasible")


class Tap(msgspec.Struct, frozen=True, tag="tap"):
    """Tap the screen at `(x, y)`."""

    x: float
    y: float


class LongPress(msgspec.Struct, frozen=True, tag="long_press"):
    """Press the screen at `(x, y)` until the long-press menu would open."""

    x: float
    y: float


class Swipe(msgspec.Struct, frozen=True, tag="swipe"):
    """Move one finger from `(x1, y1)` to `(x2, y2)`; swiping up scrolls a list down."""

    x1: float
    y1: float
    x2: float
    y2: float


class TypeText(msgspec.Struct, frozen=True, tag="type_text"):
    """Type `text` into the focused field; never presses Enter."""

    text: str


class PressKey(msgspec.Struct, frozen=True, tag="press_key"):
    """Press one of `KEYS`; `enter` triggers the field's input-method action."""

    key: Key


class OpenApp(msgspec.Struct, frozen=True, tag="open_app"):
    """Open an app by its title ("Clock") or package name, wherever the phone is."""

    app: str


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Let `seconds` of the device's time pass."""

    seconds: float = 1.0


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """End the episode: the task is `complete` (with an `answer` if it asked for one) or `infeasible`."""

    status: FinishStatus = "complete"
    answer: str = ""


Action = Tap | LongPress | Swipe | TypeText | PressKey | OpenApp | Wait | Finish
ACTION_TYPES: tuple[type, ...] = (Tap, LongPress, Swipe, TypeText, PressKey, OpenApp, Wait, Finish)


class InvalidAction(msgspec.Struct, frozen=True, tag="invalid"):
    """What a model emitted could not be decoded; `reason` says what was got and what is allowed."""

    reason: str
