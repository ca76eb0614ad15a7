"""The format of Auto-UI (arXiv 2309.11436), DigiRL (2406.11896) and DistRL (2410.14803).

    Action Plan: [DUAL_POINT]; Action Decision: "action_type": "DUAL_POINT", "touch_point": "[0.33, 0.51]",
    "lift_point": "[0.33, 0.51]", "typed_text": ""                                    (on one line)

The actions are those of Android in the Wild. Points are `[y, x]` with four decimals, `[-1.0, -1.0]` where an
action has none. The format escapes nothing: `typed_text` comes last and runs to the last quote, so commas and
quotes in it end nothing.
"""

from __future__ import annotations

import math
import re

from android_env_gym.actions import (
    Action,
    ActionError,
    Finish,
    InvalidAction,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    validate,
)
from android_env_gym.codecs.base import MAX_EMITTED, excerpt
from android_env_gym.errors import unknown_name

TAP_DISTANCE = 0.04  # Android in the Wild's own threshold: a shorter dual point is a tap
NO_POINT = "[-1.0, -1.0]"
PROMPT = """Answer with one line:
Action Plan: [TYPE]; Action Decision: "action_type": "TYPE", "touch_point": "[Y, X]", "lift_point": "[Y, X]", \
"typed_text": "TEXT"
TYPE is DUAL_POINT (a tap if both points are the same, else a swipe from touch_point to lift_point), TYPE (types \
typed_text), PRESS_BACK, PRESS_HOME, PRESS_ENTER, STATUS_TASK_COMPLETE or STATUS_TASK_IMPOSSIBLE. Points run from \
0 to 1, y from the top, x from the left; write [-1.0, -1.0] where there is none."""
_NUMBER = r"-?\d{1,4}(?:\.\d{0,20})?"
_POINT = rf'"\[\s{{0,4}}({_NUMBER}),\s{{0,4}}({_NUMBER})\s{{0,4}}\]"'
_POINTS = rf'"touch_point": ?{_POINT}, ?"lift_point": ?{_POINT}'
_DECISION = re.compile(
    rf'"action_type": ?"([A-Za-z_]+)", ?{_POINTS}, ?"typed_text": ?"(.*)"\s*\Z', re.DOTALL | re.ASCII
)
_MARK = "Action Decision:"
_PRESSES: dict[str, Action] = {
    "PRESS_BACK": PressKey("back"),
    "PRESS_HOME": PressKey("home"),
    "PRESS_ENTER": PressKey("enter"),
}
_ENDS: dict[str, Finish] = {
    "STATUS_TASK_COMPLETE": Finish("complete"),
    "STATUS_TASK_IMPOSSIBLE": Finish("infeasible"),
}
_TYPES = ("DUAL_POINT", "TYPE", *_PRESSES, *_ENDS)


class AutoUiCodec:
    """The paper's format. It has no long press, no opening of apps by name, no wait, and no other keys.

    An answer (which the papers' tasks never ask for) travels as the `typed_text` of the STATUS types.
    """

    name = "autoui"
    prompt = PROMPT

    def encode(self, action: Action) -> str:
        """Return the line for `action`; see `Codec.encode`.

        Raises:
            ActionError: The format cannot express the action; also a swipe of at most `TAP_DISTANCE`, which it
                would read as a tap.
        """
        match validate(action):
            case Tap(x, y):
                return _line("DUAL_POINT", _point(x, y), _point(x, y))
            case Swipe(x1, y1, x2, y2):
                line = _line("DUAL_POINT", _point(x1, y1), _point(x2, y2))
                if isinstance(self.decode(line), Tap):
                    raise ActionError(f"autoui reads {action} as a tap: a swipe must be longer than {TAP_DISTANCE}")
                return line
            case TypeText(text):
                return _line("TYPE", text=text)
            case Finish(status, answer):
                return _line("STATUS_TASK_COMPLETE" if status == "complete" else "STATUS_TASK_IMPOSSIBLE", text=answer)
            case press:
                for name, key in _PRESSES.items():
                    if press == key:
                        return _line(name)
        raise ActionError(f"autoui has no words for {action}; it has {', '.join(_TYPES)}")

    def decode(self, text: str) -> Action | InvalidAction:
        """Return the action, or why there is none; what stands before "Action Decision:" does not count."""
        if len(text) > MAX_EMITTED:
            return InvalidAction(f"got {len(text)} characters, allowed are at most {MAX_EMITTED}")
        _, mark, decision = text.partition(_MARK)
        match = _DECISION.match(decision.lstrip()) if mark else None
        if match is None:
            return InvalidAction(f"got {excerpt(text)}; want '{_line('TYPE', text='...')}'")
        kind, *numbers, typed = match.groups()
        try:
            return validate(_action(kind.upper(), [float(number) for number in numbers], typed))
        except ActionError as error:
            return InvalidAction(f"got {excerpt(text)}; {error}")


def _action(kind: str, points: list[float], typed: str) -> Action:
    if kind == "DUAL_POINT":
        y1, x1, y2, x2 = points
        if math.hypot(x2 - x1, y2 - y1) <= TAP_DISTANCE:
            return Tap(x1, y1)
        return Swipe(x1, y1, x2, y2)
    if kind == "TYPE":
        return TypeText(typed)
    if kind in _PRESSES:
        return _PRESSES[kind]
    if kind in _ENDS:
        return Finish(_ENDS[kind].status, typed)
    raise ActionError(str(unknown_name("action_type", kind, _TYPES)))


def _point(x: float, y: float) -> str:
    return f"[{y:.4f}, {x:.4f}]"


def _line(kind: str, touch: str = NO_POINT, lift: str = NO_POINT, text: str = "") -> str:
    return (
        f'Action Plan: [{kind}]; {_MARK} "action_type": "{kind}", "touch_point": "{touch}", '
        f'"lift_point": "{lift}", "typed_text": "{text}"'
    )
