"""A small antialiased vector canvas; the painters of `art` draw on it.

Coordinates: the shorter side of the picture is 100 units, (0, 0) is the top left. A fill is a colour role,
"#rrggbb", an RGB triple, or a pair of those for a gradient from the top of the shape to its bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import icons, text
from android_env_gym.phone.ui.theme import RGB, Theme, mix

Color = str | RGB
Fill = Color | tuple[Color, Color]
Point = tuple[float, float]


class Canvas:
    """Draws a `width` x `height` picture; everything is drawn enlarged and averaged down by `finish`.

    Attributes:
        w: Width in units.
        h: Height in units.
        theme: Colours of the roles.
        enabled: False if the control drawn is disabled.
    """

    def __init__(self, width: int, height: int, theme: Theme, enabled: bool = True) -> None:
        longest = max(width, height)
        self.width, self.height = width, height
        self.zoom = 4 if longest <= 100 else 2 if longest <= 320 else 1
        self.unit = min(width, height) * self.zoom / 100
        self.w, self.h = width * self.zoom / self.unit, height * self.zoom / self.unit
        self.theme = theme
        self.enabled = enabled
        # planes of premultiplied red, green, blue and of alpha
        self.planes = np.zeros((4, height * self.zoom, width * self.zoom), np.float32)

    # --- colours ---

    def rgb(self, color: Color) -> RGB:
        """Return the triple of a colour."""
        return self.theme.color(color) if isinstance(color, str) else color

    def shade(self, color: Color, amount: float) -> RGB:
        """Return `color` lightened (amount > 0) or darkened (amount < 0) by a share in [-1, 1]."""
        target = (255, 255, 255) if amount > 0 else (0, 0, 0)
        return mix(self.rgb(color), target, abs(amount))

    # --- shapes ---

    def background(self, fill: Fill) -> None:
        """Fill everything."""
        self.rect(0, 0, self.w, self.h, fill)

    def rect(
        self, left: float, top: float, right: float, bottom: float, fill: Fill, radius: float = 0, opacity: float = 1
    ) -> None:
        """Fill a rectangle with rounded corners."""
        radius = min(radius, (right - left) / 2, (bottom - top) / 2)
        if radius <= 0:
            self.poly(((left, top), (right, top), (right, bottom), (left, bottom)), fill, opacity)
            return
        points: list[Point] = []
        for x, y, start in (
            (right - radius, bottom - radius, 0),
            (left + radius, bottom - radius, 90),
            (left + radius, top + radius, 180),
            (right - radius, top + radius, 270),
        ):
            for step in range(0, 91, 6):
                angle = math.radians(start + step)
                points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
        self.poly(points, fill, opacity)

    def circle(self, x: float, y: float, radius: float, fill: Fill, opacity: float = 1) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, fill, opacity)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Fill, opacity: float = 1, tilt: float = 0
    ) -> None:
        """Fill an ellipse, turned clockwise by `tilt` degrees."""
        cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        points: list[Point] = []
        for step in range(0, 360, 4):
            px, py = rx * math.cos(math.radians(step)), ry * math.sin(math.radians(step))
            points.append((x + px * cos - py * sin, y + px * sin + py * cos))
        self.poly(points, fill, opacity)

    def poly(self, points: Sequence[Point], fill: Fill, opacity: float = 1) -> None:
        """Fill a polygon."""
        corners = np.round(np.asarray(points) * self.unit).astype(np.int32)
        box = self._box(corners, 1)
        if box is not None:
            mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
            cv2.fillPoly(mask, [corners - np.array(box[:2], np.int32)], (255,), cv2.LINE_AA)
            self._lay(mask.astype(np.float32) / 255, box, fill, opacity)

    def line(self, points: Sequence[Point], width: float, fill: Fill, opacity: float = 1, closed: bool = False) -> None:
        """Draw a line with round ends."""
        corners = np.round(np.asarray(points) * self.unit).astype(np.int32)
        thick = max(1, round(width * self.unit))
        box = self._box(corners, thick)
        if box is not None:
            mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
            cv2.polylines(mask, [corners - np.array(box[:2], np.int32)], closed, (255,), thick, cv2.LINE_AA)
            self._lay(mask.astype(np.float32) / 255, box, fill, opacity)

    def arc(self, x: float, y: float, radius: float, start: float, end: float, width: float, fill: Fill) -> None:
        """Draw an arc between two angles in degrees, clockwise from three o'clock."""
        steps = max(2, int(abs(end - start) / 4) + 1)
        angles = np.radians(np.linspace(start, end, steps))
        self.line([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles], width, fill)

    def curve(self, points: Sequence[Point], fill: Fill, opacity: float = 1) -> None:
        """Fill the smooth closed curve through `points` (Catmull-Rom)."""
        self.poly(smooth(points), fill, opacity)

    def glow(self, x: float, y: float, rx: float, ry: float, fill: Color, opacity: float) -> None:
        """Draw a soft ellipse that fades to nothing at its edge: a shadow or a light."""
        center, radii = np.array([x, y]) * self.unit, np.array([rx, ry]) * self.unit
        box = self._box(np.round(np.array([center - radii, center + radii])).astype(np.int32), 1)
        if box is not None:
            xs = (np.arange(box[0], box[2]) - center[0]) / radii[0]
            ys = (np.arange(box[1], box[3]) - center[1]) / radii[1]
            mask = np.clip(1 - np.hypot(xs[None, :], ys[:, None]), 0, 1)
            self._lay((mask * mask * (3 - 2 * mask)).astype(np.float32), box, fill, opacity)

    def scrim(self, bottom: float, end: float, opacity: float) -> None:
        """Darken everything from the top to `bottom`, and less and less from there to `end`."""
        rows = np.arange(self.planes.shape[1], dtype=np.float32) / self.unit
        fading = np.clip((end - rows) / max(end - bottom, 1e-3), 0, 1)
        _, height, width = self.planes.shape
        self._lay(np.repeat(fading[:, None], width, axis=1), (0, 0, width, height), "#000000", opacity)

    def icon(self, name: str, x: float, y: float, size: float, fill: Fill, opacity: float = 1) -> None:
        """Draw an icon centred at (x, y)."""
        self.stamp(icons.mask(name, round(size * self.unit)), x, y, fill, opacity)

    def stamp(self, coverage: NDArray[np.uint8], x: float, y: float, fill: Fill, opacity: float = 1) -> None:
        """Draw a shape given as coverage in pixels of the enlarged picture, centred at (x, y)."""
        left = round(x * self.unit - coverage.shape[1] / 2)
        top = round(y * self.unit - coverage.shape[0] / 2)
        self._stamp(coverage.astype(np.float32) / 255, left, top, fill, opacity)

    def text(self, string: str, x: float, y: float, size: float, fill: Fill, weight: int = 500) -> None:
        """Draw a line of text centred at (x, y); `size` is the em."""
        em = size * self.unit
        pixels = text.font_size(em)
        string = text.clean(string)
        width = text.measure(string, weight, pixels)
        mask = np.zeros((int(em * 1.3) + 2, width + 4), np.uint8)
        text.draw(mask, string, 2, int(em), (255, 255, 255), weight, pixels)
        left, top = round(x * self.unit - width / 2) - 2, round(y * self.unit + em * 0.355) - int(em)
        self._stamp(mask.astype(np.float32) / 255, left, top, fill, 1)

    def finish(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return the colours (height, width, 3) and the coverage (height, width), None if all is opaque."""
        small = cv2.merge(tuple(self.planes))
        if self.zoom > 1:
            small = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_AREA)
        small = np.asarray(small, np.float32)
        alpha = small[:, :, 3]
        if float(alpha.min()) > 0.998:
            return _bytes(small[:, :, :3]), None
        rgb = _bytes(small[:, :, :3] / np.maximum(alpha, 1e-3)[:, :, None])
        return rgb, _bytes(alpha * 255)

    # --- pixels ---

    def _box(self, corners: NDArray[np.int32], margin: int) -> tuple[int, int, int, int] | None:
        left, top = (int(v) for v in corners.min(axis=0) - margin)
        right, bottom = (int(v) for v in corners.max(axis=0) + margin + 1)
        box = max(0, left), max(0, top), min(self.planes.shape[2], right), min(self.planes.shape[1], bottom)
        return box if box[0] < box[2] and box[1] < box[3] else None

    def _stamp(self, mask: NDArray[np.floating[Any]], left: int, top: int, fill: Fill, opacity: float) -> None:
        height, width = mask.shape
        box = (
            max(0, left),
            max(0, top),
            min(self.planes.shape[2], left + width),
            min(self.planes.shape[1], top + height),
        )
        if box[0] < box[2] and box[1] < box[3]:
            self._lay(mask[box[1] - top : box[3] - top, box[0] - left : box[2] - left], box, fill, opacity)

    def _lay(self, mask: NDArray[np.floating[Any]], box: tuple[int, int, int, int], fill: Fill, opacity: float) -> None:
        left, top, right, bottom = box
        cover = mask * np.float32(opacity)
        keep = 1 - cover
        if isinstance(fill, tuple) and len(fill) == 2:
            first, last = (np.asarray(self.rgb(color), np.float32) for color in fill)
            steps = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
            colors = np.moveaxis(first + (last - first) * steps, 2, 0)
        else:
            colors = np.asarray(self.rgb(fill), np.float32)
        view = self.planes[:, top:bottom, left:right]
        for plane, color in zip(view, (*colors, np.float32(1)), strict=True):
            plane *= keep
            plane += cover * color


def _bytes(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    result = np.asarray(cv2.convertScaleAbs(values), np.uint8)
    result.setflags(write=False)
    return result


def smooth(points: Sequence[Point], steps: int = 12) -> list[Point]:
    """Return the closed Catmull-Rom curve through `points` as a polygon."""
    found: list[Point] = []
    count = len(points)
    for i in range(count):
        p0, p1, p2, p3 = (np.asarray(points[(i + k - 1) % count]) for k in range(4))
        for step in range(steps):
            t = step / steps
            point = 0.5 * (
                2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            )
            found.append((float(point[0]), float(point[1])))
    return found
