"""The soft keyboard: its view, its modes and what a key does to the text being edited."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from android_env_gym.phone.state import Keyboard, KeyTap, SystemState
from android_env_gym.phone.ui.node import Node

# In landscape the keys are lower, so that a bar and a field above the keyboard can be seen on 360 dp.
HEIGHT, LANDSCAPE_HEIGHT = 268.0, 154.0
KEY_HEIGHT, LANDSCAPE_KEY_HEIGHT = 46.0, 26.0
_LETTERS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NUMBERS_ROW = "1234567890"
# With the letters, the comma and the full stop, these are all characters of printable ASCII.
_SYMBOLS = ("@#$_&-+()/", "%=~^<>[]{}", "`*\"':;!?\\|")


def is_shown(system: SystemState) -> bool:
    """Return whether the keyboard covers the lower part of the screen."""
    return bool(system.focus) and not system.keyboard.hidden and not system.shade


def toggle(keyboard: Keyboard, key: str) -> Keyboard:
    """Return the keyboard after one of its own keys: "shift" | "symbols" | "hide"."""
    if key == "hide":
        return msgspec.structs.replace(keyboard, hidden=True)
    if key == "shift":
        return msgspec.structs.replace(keyboard, shift=not keyboard.shift)
    return msgspec.structs.replace(keyboard, symbols=not keyboard.symbols, shift=False)


def typed(text: str, key: str, system: SystemState) -> tuple[str, int]:
    """Return text and caret after `key`: a character, "space", "enter" (a new line) or "delete"."""
    if key == "delete":
        return inserted(text, "", system, erase=1)
    return inserted(text, {"space": " ", "enter": "\n"}.get(key, key), system)


def inserted(text: str, new: str, system: SystemState, erase: int = 0) -> tuple[str, int]:
    """Return text and caret after `new` came in place of the selection, or of `erase` characters before the caret."""
    if system.selected:
        return new, -1
    at = len(text) if system.caret < 0 else min(system.caret, len(text))
    head, rest = text[: max(0, at - erase)] + new, text[at:]
    return head + rest, len(head) if rest else -1


@lru_cache(maxsize=16)
def view(keyboard: Keyboard, landscape: bool) -> Node:
    """Return the keyboard's view tree: a number row, three rows of keys, the bottom row."""
    tall = LANDSCAPE_KEY_HEIGHT if landscape else KEY_HEIGHT
    rows = _SYMBOLS if keyboard.symbols else _LETTERS
    if keyboard.shift:
        rows = tuple(row.upper() for row in rows)
    shift = _key("shift", tall, icon="apple-keyboard-caps" if keyboard.shift else "apple-keyboard-shift", label="Shift")
    delete = _key("delete", tall, icon="backspace-outline", label="Delete")
    third = tuple(_key(character, tall) for character in rows[2])
    last = (*third, delete) if keyboard.symbols else (shift, *third, delete)
    bottom = (
        _key("symbols", tall, text="ABC" if keyboard.symbols else "?123", label="Symbols"),
        _key(",", tall),
        Node(
            grow=4.2,
            height=tall,
            fill="surface",
            radius=6,
            align="center",
            justify="center",
            on_tap=KeyTap("space"),
            label="Space",
            class_name="android.widget.Button",
        ),
        _key(".", tall),
        _key("enter", tall, icon="keyboard-return", label="Enter", fill="primary_container"),
    )
    return Node(
        children=(
            _row(_NUMBERS_ROW, tall),
            _row(rows[0], tall),
            _row(rows[1], tall, inset=0 if keyboard.symbols else 16),
            Node(axis="row", gap=4, children=last),
            Node(axis="row", gap=4, children=bottom),
        ),
        height=LANDSCAPE_HEIGHT if landscape else HEIGHT,
        gap=4 if landscape else 6,
        padding=(4, 4, 4, 4) if landscape else (4, 6, 4, 6),
        justify="end",
        fill="surface_container_high",
        id="keyboard",
    )


def _row(characters: str, tall: float, inset: float = 0) -> Node:
    keys = tuple(_key(item, tall) for item in characters)
    return Node(axis="row", gap=4, padding=(inset, 0, inset, 0), children=keys)


def _key(key: str, tall: float, *, text: str = "", icon: str = "", label: str = "", fill: str = "") -> Node:
    special = bool(label)
    face = (
        Node(icon=icon, icon_size=20, color="on_surface")
        if icon
        else Node(text=text or key, style="label_fixed" if special else "title_fixed", color="on_surface")
    )
    return Node(
        children=(face,),
        grow=1.5 if special else 1.0,
        height=tall,
        fill=fill or ("surface_dim" if special else "surface"),
        radius=6,
        align="center",
        justify="center",
        on_tap=KeyTap(key),
        label=label or key,
        class_name="android.widget.Button",
    )
