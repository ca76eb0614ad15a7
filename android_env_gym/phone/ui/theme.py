"""Material 3 colours and text styles; `layout` asks for styles, `paint` and `art` for colours.

Invariant: `theme(dark)` returns the same object every time, so a `Theme` may be part of a cache key.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Literal

import msgspec

RGB = tuple[int, int, int]

_LIGHT = {
    "primary": "#0b57d0",
    "on_primary": "#ffffff",
    "primary_container": "#d3e3fd",
    "on_primary_container": "#0842a0",
    "secondary": "#00639b",
    "on_secondary": "#ffffff",
    "secondary_container": "#c2e7ff",
    "on_secondary_container": "#004a77",
    "tertiary": "#146c2e",
    "on_tertiary": "#ffffff",
    "tertiary_container": "#c4eed0",
    "on_tertiary_container": "#0f5223",
    "error": "#b3261e",
    "on_error": "#ffffff",
    "error_container": "#f9dedc",
    "on_error_container": "#8c1d18",
    "background": "#ffffff",
    "on_background": "#1f1f1f",
    "surface": "#ffffff",
    "on_surface": "#1f1f1f",
    "on_surface_variant": "#444746",
    "surface_variant": "#e1e3e1",
    "surface_dim": "#d3dbe5",
    "surface_bright": "#ffffff",
    "surface_container_lowest": "#ffffff",
    "surface_container_low": "#f8fafd",
    "surface_container": "#f0f4f9",
    "surface_container_high": "#e9eef6",
    "surface_container_highest": "#dde3ea",
    "outline": "#747775",
    "outline_variant": "#c4c7c5",
    "inverse_surface": "#303030",
    "inverse_on_surface": "#f2f2f2",
    "inverse_primary": "#a8c7fa",
    "success": "#146c2e",
    "warning": "#b06000",
    "star": "#f5a400",
    "brand_blue": "#1a73e8",
    "brand_teal": "#0b7d70",
    "brand_yellow": "#9c6200",
    "brand_purple": "#8e4ec6",
    "selection": "#b9d3fb",
    "shadow": "#000000",
    "scrim": "#000000",
}

_DARK = {
    "primary": "#a8c7fa",
    "on_primary": "#062e6f",
    "primary_container": "#0842a0",
    "on_primary_container": "#d3e3fd",
    "secondary": "#7fcfff",
    "on_secondary": "#003355",
    "secondary_container": "#004a77",
    "on_secondary_container": "#c2e7ff",
    "tertiary": "#6dd58c",
    "on_tertiary": "#0a3818",
    "tertiary_container": "#0f5223",
    "on_tertiary_container": "#c4eed0",
    "error": "#f2b8b5",
    "on_error": "#601410",
    "error_container": "#8c1d18",
    "on_error_container": "#f9dedc",
    "background": "#131314",
    "on_background": "#e3e3e3",
    "surface": "#131314",
    "on_surface": "#e3e3e3",
    "on_surface_variant": "#c4c7c5",
    "surface_variant": "#444746",
    "surface_dim": "#131314",
    "surface_bright": "#37393b",
    "surface_container_lowest": "#0e0e0e",
    "surface_container_low": "#1b1b1b",
    "surface_container": "#1e1f20",
    "surface_container_high": "#282a2c",
    "surface_container_highest": "#333537",
    "outline": "#8e918f",
    "outline_variant": "#444746",
    "inverse_surface": "#e3e3e3",
    "inverse_on_surface": "#303030",
    "inverse_primary": "#0b57d0",
    "success": "#6dd58c",
    "warning": "#fdbb5a",
    "star": "#fbc02d",
    "brand_blue": "#4a92f0",
    "brand_teal": "#12a594",
    "brand_yellow": "#f29900",
    "brand_purple": "#a971dc",
    "selection": "#234a86",
    "shadow": "#000000",
    "scrim": "#000000",
}


class TextStyle(msgspec.Struct, frozen=True):
    """A text style: size and line height in sp, weight (400, 500 or 700), the colour role used by default.

    A `fixed` style is as large in dp whatever the font scale is, as the texts of Android's status bar and keyboard.
    """

    size: float
    line: float
    weight: Literal[400, 500, 700] = 400
    color: str = "on_surface"
    fixed: bool = False


TEXT_STYLES: dict[str, TextStyle] = {
    "display_large": TextStyle(57, 64),
    "display": TextStyle(45, 52),
    "headline_large": TextStyle(32, 40),
    "headline": TextStyle(28, 36),
    "headline_small": TextStyle(24, 32),
    "title_large": TextStyle(22, 28),
    "title": TextStyle(18, 24, 500),
    "title_small": TextStyle(14, 20, 500),
    "body_large": TextStyle(18, 26),
    "body": TextStyle(16, 22),
    "body_strong": TextStyle(16, 22, 500),
    "body_bold": TextStyle(16, 22, 700),
    "body_small": TextStyle(14, 20),
    "label": TextStyle(14, 20, 500),
    "display_fixed": TextStyle(45, 52, fixed=True),
    "label_fixed": TextStyle(14, 20, 500, fixed=True),
    "title_fixed": TextStyle(18, 24, 500, fixed=True),
    "label_small": TextStyle(12, 16, 500),
    "caption": TextStyle(14, 20, 400, "on_surface_variant"),
    "caption_small": TextStyle(12, 16, 400, "on_surface_variant"),
    "section": TextStyle(14, 20, 500, "primary"),
}


class UnknownNameError(KeyError):
    """A colour role, text style, icon or art kind that does not exist; the message names the nearest ones."""

    def __init__(self, what: str, name: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"e.g. {', '.join(known[:8])}"
        super().__init__(f"unknown {what} {name!r}; {hint}")

    def __str__(self) -> str:
        return str(self.args[0])


def text_style(name: str) -> TextStyle:
    """Return the text style `name`.

    Raises:
        UnknownNameError: no such style.
    """
    style = TEXT_STYLES.get(name)
    if style is None:
        raise UnknownNameError("text style", name, tuple(TEXT_STYLES))
    return style


def parse_hex(color: str) -> RGB:
    """Return the (red, green, blue) of "#rrggbb"."""
    if len(color) != 7:
        raise ValueError(f"a colour is '#rrggbb' or a role of the theme, got {color!r}")
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Return the colour that is `a` with `share` in [0, 1] of `b` over it."""
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


class Theme:
    """The colours of one theme. Compare and hash by identity; get one from `theme(dark)`."""

    __slots__ = ("_colors", "dark")

    def __init__(self, dark: bool) -> None:
        self.dark = dark
        self._colors: dict[str, RGB] = {name: parse_hex(value) for name, value in (_DARK if dark else _LIGHT).items()}

    def color(self, role_or_hex: str) -> RGB:
        """Return the (red, green, blue) of a role ("primary") or of "#rrggbb".

        Raises:
            UnknownNameError: no such role.
        """
        found = self._colors.get(role_or_hex)
        if found is not None:
            return found
        if role_or_hex.startswith("#"):
            return parse_hex(role_or_hex)
        raise UnknownNameError("colour role", role_or_hex, tuple(self._colors))


@lru_cache(maxsize=2)
def theme(dark: bool) -> Theme:
    """Return the light or the dark theme."""
    return Theme(dark)
