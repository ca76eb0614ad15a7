"""Painters of wallpapers and photographs for `art`: `Art("wallpaper", (n,))`, `Art("photo", (seed,))`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from android_env_gym.phone.ui.canvas import Canvas, Point

# sky top, sky bottom, sun, then hills from far to near
_SCENES = (
    ("#27457e", "#f0b48a", "#ffe3b0", "#6a78a8", "#4b5b8c", "#33416b", "#1f2a4a"),
    ("#0f6a8c", "#bfe6df", "#fff4cf", "#6fb3a8", "#3f8f86", "#226c68", "#104a4a"),
    ("#5b2a86", "#ff9f8e", "#ffe0a8", "#b0618f", "#843f78", "#572b5c", "#341a3d"),
    ("#3f8fd6", "#dff1fb", "#ffffff", "#9cc3b0", "#6aa583", "#43845c", "#27613f"),
    ("#101c3c", "#3f4f86", "#f3f1dc", "#33406e", "#263059", "#1a2244", "#0f1530"),
    ("#d7713b", "#fbe3b4", "#fff7df", "#d59a63", "#b2743f", "#86522b", "#5c361d"),
)


def _ridge(canvas: Canvas, rng: np.random.Generator, level: float, rough: float) -> list[Point]:
    """Return the outline of a hill whose top wanders around `level` (share of the height)."""
    waves = [(rng.uniform(0.6, 1.4) * (k + 1), rng.uniform(0, math.tau), rough / (k + 1)) for k in range(4)]
    points: list[Point] = [(0.0, canvas.h)]
    for step in range(61):
        x = step / 60
        y = level + sum(size * math.sin(freq * x * math.tau * 0.7 + phase) for freq, phase, size in waves)
        points.append((x * canvas.w, y * canvas.h))
    return [*points, (canvas.w, canvas.h)]


def _scene(canvas: Canvas, seed: int) -> None:
    rng = np.random.default_rng(seed)
    top, bottom, sun, *hills = _SCENES[seed % len(_SCENES)]
    canvas.background((top, bottom))
    x, y = rng.uniform(0.2, 0.8) * canvas.w, rng.uniform(0.2, 0.42) * canvas.h
    canvas.glow(x, y, 60, 60, sun, 0.75)
    canvas.circle(x, y, 9, sun)
    for index, hill in enumerate(hills):
        level = 0.52 + 0.12 * index
        canvas.poly(_ridge(canvas, rng, level, 0.05 - 0.006 * index), (canvas.shade(hill, 0.12), hill))


# How much darker a scene is as a wallpaper, everywhere and behind the clock, so that white text on it has a contrast of
# 4.5 (measured with `python -m benchmarks.legibility`).
_DIMMED = ((0.0, 0.26), (0.14, 0.06), (0.0, 0.27), (0.18, 0.34), (0.0, 0.0), (0.14, 0.16))


def wallpaper(canvas: Canvas, number: int) -> None:
    """A wallpaper: layered hills under a low sun, darker behind the clock and date at its top."""
    _scene(canvas, int(number))
    everywhere, at_top = _DIMMED[int(number) % len(_SCENES)]
    canvas.scrim(canvas.h, canvas.h + 1, everywhere)
    # Upright, clock and date reach down to 17% of the height; held sideways, text is everywhere.
    upright = canvas.h > canvas.w
    canvas.scrim(
        (0.17 if upright else 1.0) * canvas.h, (0.3 if upright else 1.1) * canvas.h, at_top if upright else 0.36
    )


def photo(canvas: Canvas, seed: int) -> None:
    """A photograph: a landscape drawn from the seed."""
    _scene(canvas, int(seed) + 1000)


PAINTERS: dict[str, Callable[..., None]] = {"wallpaper": wallpaper, "photo": photo}
