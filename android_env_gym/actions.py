"""Typed actions of a phone agent: what `AndroidTaskEnv.step` takes and what a codec decodes.

Invariant: every `Action` that passed `validate` can be performed by any device. Points are `(x, y)`
in [0, 1], x to the right and y down; swipes run from the first point to the second, as a finger does.
Text is one line of the characters in `CHARSET`; a line break is `PressKey("enter")`. Every member of
`make_action_space()` is a valid action and every valid action a member (`from_sample`, `to_sample`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec
import numpy as np
from gymnasium import spaces

from android_env_gym.errors import unknown_name
from android_env_gym.text_space import TextSpace

Key = Literal["back", "home", "recents", "enter", "delete"]
KEYS: tuple[Key, ...] = ("back", "home", "recents", "enter", "delete")
FinishStatus = Literal["complete", "infeasible"]
FINISH_STATUSES: tuple[FinishStatus, ...] = ("complete", "infeasible")
MAX_TEXT = 500
MAX_INSTRUCTION = 1000
MAX_WAIT = 60.0
# Unicode blocks (first, last code point): Latin to IPA, Greek to Cyrillic, Latin Extended Additional
# (Vietnamese), punctuation, currency, letter-like, arrows, mathematics. Bounded: `Text` copies it per space.
_BLOCKS = ((0x20, 0x2AF), (0x370, 0x52F), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x20A0, 0x20CF), (0x2100, 0x22FF))
REPLACEMENT = "\ufffd"


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


class ActionError(ValueError):
    """An action that no device could perform; the message says what was got and what is allowed."""


def _make_charset() -> frozenset[str]:
    points = (chr(point) for first, last in _BLOCKS for point in range(first, last + 1))
    printable = {char for char in points if unicodedata.category(char)[0] not in "CZ"}
    return frozenset(printable | {" ", "\u00a0", REPLACEMENT})


CHARSET: frozenset[str] = _make_charset()


def validate(action: Action) -> Action:
    """Return `action` with plain float coordinates, or say what is wrong with it.

    Raises:
        ActionError: Not an action, a coordinate outside [0, 1] or not finite, a wait outside [0, `MAX_WAIT`] s,
            an unknown key or finish status, a text longer than `MAX_TEXT` or with characters outside `CHARSET`.
    """
    match action:
        case Tap(x, y):
            return Tap(_unit("x", x), _unit("y", y))
        case LongPress(x, y):
            return LongPress(_unit("x", x), _unit("y", y))
        case Swipe(x1, y1, x2, y2):
            return Swipe(_unit("x1", x1), _unit("y1", y1), _unit("x2", x2), _unit("y2", y2))
        case TypeText(text):
            return TypeText(_line("text", text))
        case PressKey(key):
            return PressKey(cast(Key, _member("key", key, KEYS)))
        case OpenApp(app):
            return OpenApp(_line("app", app))
        case Wait(seconds):
            return Wait(_number("seconds", seconds, MAX_WAIT))
        case Finish(status, answer):
            return Finish(
                cast(FinishStatus, _member("finish status", status, FINISH_STATUSES)), _line("answer", answer)
            )
    names = ", ".join(kind.__name__ for kind in ACTION_TYPES)
    raise ActionError(f"got {_short(action)}, which is no action; allowed: {names}, InvalidAction, or a Dict sample.")


def make_action_space(seed: int | None = None) -> spaces.Dict:
    """Return the `Dict` space of all actions.

    `action_type` indexes `ACTION_TYPES`; a type reads only its own fields: `point` (Tap, LongPress, Swipe from),
    `end` (Swipe to), `text` (TypeText, OpenApp's app, Finish's answer), `key`, `seconds`, `status`.
    """
    return spaces.Dict(
        {
            "action_type": spaces.Discrete(len(ACTION_TYPES)),
            "point": spaces.Box(0.0, 1.0, (2,), np.float64),
            "end": spaces.Box(0.0, 1.0, (2,), np.float64),
            "text": make_text_space(MAX_TEXT),
            "key": spaces.Discrete(len(KEYS)),
            "seconds": spaces.Box(0.0, MAX_WAIT, (), np.float64),
            "status": spaces.Discrete(len(FINISH_STATUSES)),
        },
        seed=seed,
    )


def make_text_space(max_length: int) -> spaces.Text:
    """Return the space of texts of up to `max_length` characters of `CHARSET`."""
    return TextSpace(max_length, CHARSET)


def to_sample(action: Action) -> dict[str, Any]:
    """Return `action` as a member of `make_action_space()`; fields that it does not use are zero or empty.

    Raises:
        ActionError: The action is not valid.
    """
    action = validate(action)
    sample: dict[str, Any] = {
        "action_type": np.int64(ACTION_TYPES.index(type(action))),
        "point": np.zeros(2),
        "end": np.zeros(2),
        "text": "",
        "key": np.int64(0),
        "seconds": np.array(0.0),
        "status": np.int64(0),
    }
    match action:
        case Tap(x, y) | LongPress(x, y):
            sample["point"] = np.array([x, y])
        case Swipe(x1, y1, x2, y2):
            sample["point"], sample["end"] = np.array([x1, y1]), np.array([x2, y2])
        case TypeText(text) | OpenApp(text):
            sample["text"] = text
        case PressKey(key):
            sample["key"] = np.int64(KEYS.index(key))
        case Wait(seconds):
            sample["seconds"] = np.array(seconds)
        case Finish(status, answer):
            sample["status"], sample["text"] = np.int64(FINISH_STATUSES.index(status)), answer
    return sample


def from_sample(sample: Mapping[str, Any]) -> Action:
    """Return the action that a member of `make_action_space()` stands for; fields of other types are not read.

    Raises:
        ActionError: A field that the action needs is missing or outside the space.
    """
    unknown = sorted(set(sample) - set(_FIELDS))
    if unknown:
        raise ActionError(f"got unknown fields {unknown}; allowed: {', '.join(_FIELDS)}.")
    kind = ACTION_TYPES[_index(sample, "action_type", len(ACTION_TYPES))]
    if kind in (Tap, LongPress):
        return validate(kind(*_point(sample, "point")))
    if kind is Swipe:
        return validate(Swipe(*_point(sample, "point"), *_point(sample, "end")))
    if kind in (TypeText, OpenApp):
        return validate(kind(_field(sample, "text")))
    if kind is PressKey:
        return PressKey(KEYS[_index(sample, "key", len(KEYS))])
    if kind is Wait:
        return validate(Wait(_scalar(sample, "seconds")))
    status = FINISH_STATUSES[_index(sample, "status", len(FINISH_STATUSES))]
    return validate(Finish(status, _field(sample, "text")))


def clean_text(text: str, max_length: int = MAX_INSTRUCTION) -> str:
    """Return `text` as a member of `make_text_space(max_length)`.

    White space becomes single spaces, characters outside `CHARSET` become U+FFFD, a longer text is cut.
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(char if char in CHARSET else REPLACEMENT for char in line[:max_length])


_FIELDS = ("action_type", "point", "end", "text", "key", "seconds", "status")


def _field(sample: Mapping[str, Any], name: str) -> Any:
    if name not in sample:
        raise ActionError(f"field {name!r} is missing; got the fields {sorted(sample)}.")
    return sample[name]


def _array(sample: Mapping[str, Any], name: str, size: int) -> np.ndarray:
    value = _field(sample, name)
    try:
        array = np.asarray(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ActionError(f"field {name!r}: got {_short(value)}, allowed are {size} numbers.") from error
    if array.size != size:
        raise ActionError(f"field {name!r}: got {array.size} numbers, allowed are {size}.")
    return array


def _point(sample: Mapping[str, Any], name: str) -> tuple[float, float]:
    x, y = _array(sample, name, 2).tolist()
    return x, y


def _scalar(sample: Mapping[str, Any], name: str) -> float:
    return float(_array(sample, name, 1)[0])


def _index(sample: Mapping[str, Any], name: str, size: int) -> int:
    value = _scalar(sample, name)
    if not (value.is_integer() and 0 <= value < size):
        raise ActionError(f"field {name!r}: got {value}, allowed is an integer from 0 to {size - 1}.")
    return int(value)


def _number(name: str, value: object, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ActionError(f"{name}: got {_short(value)}, allowed is a number from 0 to {high:g}.")
    if not 0.0 <= value <= high:  # also false for NaN
        raise ActionError(f"{name}: got {_short(value)}, allowed is a number from 0 to {high:g}.")
    return float(value) + 0.0  # -0.0 becomes 0.0


def _unit(name: str, value: object) -> float:
    return _number(name, value, 1.0)


def _line(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ActionError(f"{name}: got {_short(value)}, allowed is a text.")
    if len(value) > MAX_TEXT:
        raise ActionError(f"{name}: got {len(value)} characters, allowed are at most {MAX_TEXT}.")
    bad = next((char for char in value if char not in CHARSET), None)
    if bad is not None:
        hint = 'press the key "enter" for a line break' if bad in "\r\n" else "allowed are the characters of CHARSET"
        raise ActionError(f"{name}: got the character {bad!r} (U+{ord(bad):04X}); {hint}.")
    return value


def _member(kind: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ActionError(str(unknown_name(kind, value, allowed)))
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
