"""Exceptions of the package that more than one module raises.

Every message says what was got, what is allowed and what to do. Device failures are in `devices.base`,
malformed actions in `actions`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LISTED = 12


class UnknownNameError(ValueError):
    """A name (suite, split, device kind, codec, ...) that does not exist; the message suggests the nearest ones.

    Attributes:
        kind: What the name was meant to name.
        got: The name given.
        suggestions: The nearest valid names, best first; may be empty.
    """

    def __init__(self, kind: str, got: object, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        self.kind = kind
        self.got = got
        self.suggestions: tuple[str, ...] = tuple(difflib.get_close_matches(str(got), names, n=3, cutoff=0.5))
        super().__init__(_message(kind, got, names, self.suggestions))


def unknown_name(kind: str, got: object, allowed: Iterable[str]) -> UnknownNameError:
    """Return (not raise) the error for `got`, which is none of `allowed`.

    Args:
        kind: What is being named, in words that fit "unknown ...": "suite", "split", "codec".
        got: What was given.
        allowed: Every valid name.
    """
    return UnknownNameError(kind, got, allowed)


class ResetError(RuntimeError):
    """The device could not be brought to the start of an episode, however often it was tried.

    Attributes:
        kind: The `FailureKind` of the last attempt.
        attempts: How often it was tried.
    """

    def __init__(self, kind: str, attempts: int, message: str) -> None:
        super().__init__(f"reset failed {attempts} times, last with {kind!r}: {message}")
        self.kind = kind
        self.attempts = attempts


class WrongOpenCvError(ImportError):
    """An OpenCV that cannot draw the phone's text has taken the place of one that can."""


class WindowClosedError(RuntimeError):
    """The person who watches `render_mode="human"` has closed the window: whatever was running is to end."""


class NeedsWorldError(ValueError):
    """Suite or judge need the phone's state, and the device gives no access to it.

    Attributes:
        needing: What needs it: "suite", "judge", "suite and judge".
        device: The device's kind.
    """

    def __init__(self, needing: str, device: str) -> None:
        super().__init__(
            f"the {needing} must read or prepare the phone's state, and the device {device!r} gives no access to it: "
            'pass world=..., or use the embedded phone (device="sim"). Over a real device, take '
            'judge="vlm:MODEL@URL" (or your own) and suite="instructions:FILE", a text file of one instruction a line.'
        )
        self.needing = needing
        self.device = device


def _message(kind: str, got: object, names: list[str], suggestions: tuple[str, ...]) -> str:
    hint = f"; did you mean {' or '.join(repr(name) for name in suggestions)}?" if suggestions else "."
    listed = ", ".join(names[:MAX_LISTED]) + (f", ... ({len(names)} in all)" if len(names) > MAX_LISTED else "")
    return f"unknown {kind} {got!r}{hint} Valid: {listed or 'none'}."
