"""Painters of controls and marks for `art`: switch, slider, spinner, avatar, app icon, clock, logo."""

from __future__ import annotations

import math
from collections.abc import Callable

from android_env_gym.phone.ui.canvas import Canvas, Color
from android_env_gym.phone.ui.theme import mix


def _muted(canvas: Canvas, color: Color) -> Color:
    """Return the colour of a control part, faded if the control is disabled."""
    return color if canvas.enabled else mix(canvas.rgb("surface"), canvas.rgb(color), 0.38)


def switch(canvas: Canvas, on: int) -> None:
    """A Material 3 switch, 52 x 32 dp: 100 units are 32 dp."""
    if on:
        canvas.rect(0, 0, canvas.w, 100, _muted(canvas, "primary"), 50)
        canvas.circle(canvas.w - 50, 50, 37.5, "on_primary")
        return
    canvas.rect(0, 0, canvas.w, 100, _muted(canvas, "outline"), 50)
    canvas.rect(6.2, 6.2, canvas.w - 6.2, 93.8, "surface_container_highest", 44)
    canvas.circle(50, 50, 25, _muted(canvas, "outline"))


def slider(canvas: Canvas, value: float) -> None:
    """A Material 3 slider whose thumb is at `value` in [0, 1]; 100 units are its height."""
    inset = 24.0
    x = inset + (canvas.w - 2 * inset) * min(max(float(value), 0.0), 1.0)
    canvas.rect(inset - 4, 46, canvas.w - inset + 4, 54, _muted(canvas, "surface_container_highest"), 4)
    canvas.rect(inset - 4, 45, x, 55, _muted(canvas, "primary"), 5)
    canvas.circle(x, 50, 21, _muted(canvas, "primary"))


def progress(canvas: Canvas, value: float) -> None:
    """A linear progress bar filled up to `value` in [0, 1]."""
    canvas.rect(0, 0, canvas.w, 100, "surface_container_highest", 50)
    if value > 0:
        canvas.rect(0, 0, max(100.0, canvas.w * min(float(value), 1.0)), 100, "primary", 50)


def spinner(canvas: Canvas) -> None:
    """An indeterminate circular progress indicator."""
    canvas.arc(50, 50, 40, -90, 180, 9, "primary")


def ring(canvas: Canvas, value: float, color: str = "primary") -> None:
    """A circular progress indicator, e.g. of a timer, filled clockwise up to `value` in [0, 1]."""
    canvas.arc(50, 50, 46, 0, 360, 4, "surface_container_highest")
    if value > 0:
        canvas.arc(50, 50, 46, -90, -90 + 360 * min(float(value), 1.0), 4, color)


def avatar(canvas: Canvas, letter: str, color: str) -> None:
    """A contact's letter on a coloured disc."""
    canvas.circle(50, 50, 50, color)
    red, green, blue = canvas.rgb(color)
    dark_ink = 0.3 * red + 0.59 * green + 0.11 * blue > 170
    ink = canvas.shade(color, -0.72) if dark_ink else (255, 255, 255)
    canvas.text(letter[:2], 50, 50, 46 if len(letter) == 1 else 38, ink, 400)


def avatar_icon(canvas: Canvas, icon: str, color: str) -> None:
    """An icon on a coloured disc."""
    canvas.circle(50, 50, 50, color)
    canvas.icon(icon, 50, 50, 58, "#ffffff")


def app_icon(canvas: Canvas, icon: str, color: str) -> None:
    """A launcher icon: a white glyph with a long soft shadow on a coloured disc, as on Pixel phones."""
    white = canvas.rgb(color) == (255, 255, 255)
    canvas.circle(50, 50.6, 49.4, canvas.shade(color, -0.28), 0.45)
    top = canvas.rgb(color) if white else canvas.shade(color, 0.13)
    canvas.circle(50, 49.5, 49, (top, canvas.shade(color, -0.07)))
    glyph = "#1a73e8" if white else "#ffffff"
    canvas.icon(icon, 50, 52, 56, canvas.shade(color, -0.5), 0.22)
    canvas.icon(icon, 50, 50, 56, glyph)


def analog_clock(canvas: Canvas, hour: int, minute: int, second: int = -1) -> None:
    """A clock face with hands."""
    canvas.circle(50, 50, 50, "surface_container_high")
    for tick in range(12):
        angle = math.radians(tick * 30)
        outer, inner = 44.5, 39.5 if tick % 3 == 0 else 42.0
        sin, cos = math.sin(angle), math.cos(angle)
        ends = ((50 + inner * sin, 50 - inner * cos), (50 + outer * sin, 50 - outer * cos))
        canvas.line(ends, 1.8 if tick % 3 == 0 else 1.2, "on_surface_variant")
    for turn, length, width, color in (
        ((hour % 12 + minute / 60) / 12, 22, 5.5, "on_surface"),
        (minute / 60, 33, 3.6, "primary"),
    ):
        angle = turn * math.tau
        canvas.line(((50, 50), (50 + length * math.sin(angle), 50 - length * math.cos(angle))), width, color)
    if second >= 0:
        angle = second / 60 * math.tau
        start = (50 - 8 * math.sin(angle), 50 + 8 * math.cos(angle))
        canvas.line((start, (50 + 38 * math.sin(angle), 50 - 38 * math.cos(angle))), 1.4, "error")
    canvas.circle(50, 50, 4, "primary")
    canvas.circle(50, 50, 1.8, "surface")


def dial(canvas: Canvas, value: int, inner: int = 0) -> None:
    """The face of a time picker: `value` in 0..59 minutes, or an hour of 12 or 24 when `inner` is that."""
    canvas.circle(50, 50, 50, "surface_container_highest")
    count = 12
    angle = value / (12 if inner else 60) * math.tau
    reach = 25 if inner == 24 and not 1 <= value <= 12 else 39
    x, y = 50 + reach * math.sin(angle), 50 - reach * math.cos(angle)
    canvas.line(((50, 50), (x, y)), 1.0, "primary")
    canvas.circle(50, 50, 1.6, "primary")
    canvas.circle(x, y, 7.5 if inner == 24 else 9.5, "primary")
    for index in range(count):
        spot = index / count * math.tau
        label = str(index or 12) if inner else f"{index * 5:02d}"
        chosen = (index or 12) == (value if inner == 24 else value % 12 or 12) if inner else index * 5 == value
        color = "on_primary" if chosen else "on_surface"
        canvas.text(label, 50 + 39 * math.sin(spot), 50 - 39 * math.cos(spot), 7.2, color, 400)
        if inner == 24:
            late = (index + 12) % 24 if index else 0
            color = "on_primary" if late == value else "on_surface"
            canvas.text(f"{late:02d}", 50 + 25 * math.sin(spot), 50 - 25 * math.cos(spot), 7.2, color, 400)


def logo(canvas: Canvas, string: str, color: str) -> None:
    """A word mark on a rounded plate, for shops and sites."""
    canvas.rect(0, 0, canvas.w, canvas.h, (canvas.shade(color, 0.08), canvas.shade(color, -0.1)), 22)
    shown = string if canvas.w > 180 else string[:1].upper()
    size = min(56.0, 1.55 * canvas.w / max(1, len(shown)))
    canvas.text(shown, canvas.w / 2, canvas.h / 2, size, "#ffffff", 700)


def site(canvas: Canvas, string: str, color: str) -> None:
    """A site's round mark with its first letter."""
    canvas.circle(50, 50, 50, color)
    canvas.text(string[:1].upper(), 50, 50, 56, "#ffffff", 700)


PAINTERS: dict[str, Callable[..., None]] = {
    "switch": switch,
    "slider": slider,
    "progress": progress,
    "spinner": spinner,
    "ring": ring,
    "avatar": avatar,
    "avatar_icon": avatar_icon,
    "app_icon": app_icon,
    "analog_clock": analog_clock,
    "dial": dial,
    "logo": logo,
    "site": site,
}
