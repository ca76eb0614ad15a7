"""The colours of notes, light and dark; notes store the name."""

from __future__ import annotations

COLORS: dict[str, tuple[str, str]] = {
    # name: background in the light theme, in the dark theme
    "red": ("#faafa8", "#77172e"),
    "orange": ("#f7b58f", "#692b17"),
    "yellow": ("#fff3a0", "#774702"),
    "green": ("#cfeeb8", "#264d3b"),
    "teal": ("#a5dcd0", "#0b5c57"),
    "blue": ("#b3d4f0", "#284255"),
    "purple": ("#d3bfdb", "#472e5b"),
    "pink": ("#f8d4e1", "#6c394f"),
    "brown": ("#dfd2bb", "#4b443a"),
    "gray": ("#e4e4e8", "#3c3f43"),
}


def background(color: str, dark: bool, plain: str = "") -> str:
    """Return the "#rrggbb" of a note's colour, or `plain` for a note without one."""
    pair = COLORS.get(color)
    return plain if pair is None else pair[dark]
