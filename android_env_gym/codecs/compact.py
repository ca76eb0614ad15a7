"""The package's own format: one short line per action, e.g. `tap 0.512 0.330` or `type "hello"`.

Coordinates have three decimals (half a pixel on a 540-pixel screen), waits one; texts are JSON strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from android_env_gym.actions import (
    KEYS,
    Action,
    ActionError,
    Finish,
    InvalidAction,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
    validate,
)
from android_env_gym.codecs.base import MAX_EMITTED, excerpt
from android_env_gym.errors import unknown_name

DIRECTIONS: dict[str, Swipe] = {
    "up": Swipe(0.5, 0.75, 0.5, 0.25),
    "down": Swipe(0.5, 0.25, 0.5, 0.75),
    "left": Swipe(0.8, 0.5, 0.2, 0.5),
    "right": Swipe(0.2, 0.5, 0.8, 0.5),
}
PROMPT = f"""Answer with one action on one line. x runs from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).
tap X Y
long_press X Y
swipe X1 Y1 X2 Y2, or: swipe {"|".join(DIRECTIONS)} (the direction the finger moves; up scrolls a list down)
type "TEXT" (into the focused field; a JSON string)
key {"|".join(KEYS)}
open "APP"
wait SECONDS
finish (the task is done)
answer "TEXT" (the task is done, and this is the answer it asked for)
infeasible (the task cannot be done)"""
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)


class CompactCodec:
    """One line per action; see `PROMPT` for the whole grammar."""

    name = "compact"
    prompt = PROMPT

    def encode(self, action: Action) -> str:
        """Return the line for `action`; every valid action has one. See `Codec.encode`."""
        match validate(action):
            case Tap(x, y):
                return f"tap {x:.3f} {y:.3f}"
            case LongPress(x, y):
                return f"long_press {x:.3f} {y:.3f}"
            case Swipe() as swipe:
                return _encode_swipe(swipe)
            case TypeText(text):
                return f"type {_quote(text)}"
            case PressKey(key):
                return f"key {key}"
            case OpenApp(app):
                return f"open {_quote(app)}"
            case Wait(seconds):
                return f"wait {seconds:.1f}"
            case Finish(status, answer):
                return _encode_finish(status, answer)

    def decode(self, text: str) -> Action | InvalidAction:
        """Return the action, or why there is none; surrounding white space and the case of the word do not count."""
        if len(text) > MAX_EMITTED:
            return InvalidAction(f"got {len(text)} characters, allowed are at most {MAX_EMITTED}")
        word, rest = [*text.split(None, 1), "", ""][:2]
        read = _READERS.get(word.lower())
        if read is None:
            return InvalidAction(f"got {excerpt(text)}; {unknown_name('action', word[:40], _READERS)}")
        try:
            return validate(read(rest.strip()))
        except ActionError as error:
            return InvalidAction(f"got {excerpt(text)}; {error}")


def _encode_swipe(swipe: Swipe) -> str:
    for direction, shortcut in DIRECTIONS.items():
        if swipe == shortcut:
            return f"swipe {direction}"
    return f"swipe {swipe.x1:.3f} {swipe.y1:.3f} {swipe.x2:.3f} {swipe.y2:.3f}"


def _encode_finish(status: str, answer: str) -> str:
    if status == "infeasible":
        return f"infeasible {_quote(answer)}" if answer else "infeasible"
    return f"answer {_quote(answer)}" if answer else "finish"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _numbers(rest: str, names: str) -> list[float]:
    parts = rest.split()
    if len(parts) != len(names.split()) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ActionError(f"want {names} as numbers")
    return [float(part) for part in parts]


def _string(rest: str) -> str:
    try:
        value = json.loads(rest) if rest.startswith('"') else None
    except ValueError:
        value = None
    if not isinstance(value, str):
        raise ActionError('want one JSON string, e.g. "hello"')
    return value


def _read_tap(rest: str) -> Action:
    return Tap(*_numbers(rest, "X Y"))


def _read_long_press(rest: str) -> Action:
    return LongPress(*_numbers(rest, "X Y"))


def _read_swipe(rest: str) -> Action:
    if rest.lower() in DIRECTIONS:
        return DIRECTIONS[rest.lower()]
    return Swipe(*_numbers(rest, "X1 Y1 X2 Y2"))


def _read_type(rest: str) -> Action:
    return TypeText(_string(rest))


def _read_key(rest: str) -> Action:
    for key in KEYS:
        if rest.lower() == key:
            return PressKey(key)
    raise ActionError(str(unknown_name("key", rest[:40], KEYS)))


def _read_open(rest: str) -> Action:
    return OpenApp(_string(rest))


def _read_wait(rest: str) -> Action:
    return Wait(*_numbers(rest, "SECONDS"))


def _read_finish(rest: str) -> Action:
    if rest:
        raise ActionError('finish takes nothing; an answer is given by: answer "TEXT"')
    return Finish()


def _read_answer(rest: str) -> Action:
    return Finish("complete", _string(rest))


def _read_infeasible(rest: str) -> Action:
    return Finish("infeasible", _string(rest) if rest else "")


_READERS: dict[str, Callable[[str], Action]] = {
    "tap": _read_tap,
    "long_press": _read_long_press,
    "swipe": _read_swipe,
    "type": _read_type,
    "key": _read_key,
    "open": _read_open,
    "wait": _read_wait,
    "finish": _read_finish,
    "answer": _read_answer,
    "infeasible": _read_infeasible,
}
