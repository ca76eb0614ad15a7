"""Painters of shop products for `art`: `Art("product", (kind, color))`, any kind of `KINDS` or an icon's name.

A product is its icon made solid: lit from above, its openings filled with glass, a screen or white, standing
on a light sweep with a shadow.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import icons
from android_env_gym.phone.ui.canvas import Canvas, Fill

KINDS = {
    "phone": "cellphone",
    "shoes": "shoe_sneaker",
    "backpack": "bag_personal",
    "mug": "coffee",
    "chair": "chair_rolling",
    "tv": "television",
    "shirt": "tshirt_crew",
    "bottle": "bottle_soda_classic",
    "bike": "bicycle",
    "guitar": "guitar_acoustic",
    "suitcase": "bag_suitcase",
}
_SCREEN = ("#7cc4ff", "#4453d6")
_GLASS = ("#eef3f9", "#b9c6d6")
_OPENINGS: dict[str, Fill] = {
    "laptop": _SCREEN,
    "monitor": _SCREEN,
    "tablet": _SCREEN,
    "cellphone": _SCREEN,
    "television": _SCREEN,
    "watch": ("#34405a", "#0f1626"),
    "camera": ("#5b6a86", "#141a28"),
    "speaker": ("#4a4f5a", "#17191e"),
    "clock_outline": "#ffffff",
    "keyboard": "#ffffff",
    "soccer": "#ffffff",
    "coffee": "#ffffff",
    "robot": ("#fff3b0", "#ffc53d"),
    "bag_suitcase": ("#5c636e", "#343a44"),
}
_SIZE = 74.0


def _openings(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the coverage of what the shape encloses: all that cannot be reached from outside."""
    framed = np.pad(mask, 1)
    reached = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    cv2.floodFill(framed, reached, (0, 0), (255,), (128,), (128,), cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY)
    outside = reached[2:-2, 2:-2] > 0
    inside = np.where(outside, 0, 255).astype(np.uint8)
    return np.minimum(inside, 255 - mask)


def product(canvas: Canvas, kind: str, color: str) -> None:
    """A product photographed on a light sweep."""
    x, y = canvas.w / 2, canvas.h / 2 - 1
    icon = KINDS.get(kind, kind)
    mask = icons.mask(icon, round(_SIZE * canvas.unit))
    rows = np.flatnonzero(mask.max(axis=1) > 128)
    foot = y - _SIZE / 2 + (int(rows[-1]) if len(rows) else 0) / canvas.unit
    canvas.background(("#fdfdfe", "#e6e9ee"))
    canvas.glow(x, foot + 1.5, 40, 8, "#1c2330", 0.42)
    canvas.stamp(mask, x, y + 1.6, canvas.shade(color, -0.5))
    canvas.stamp(_openings(mask), x, y, _OPENINGS.get(icon, _GLASS))
    canvas.stamp(mask, x, y, (canvas.shade(color, 0.34), canvas.shade(color, -0.16)))
    rim = max(1, round(0.9 * canvas.unit))
    lit = mask.copy()
    lit[rim:] -= np.minimum(lit[rim:], mask[:-rim])
    canvas.stamp(lit, x, y, "#ffffff", 0.45)


PAINTERS: dict[str, Callable[..., None]] = {"product": product}
