"""Text that OpenCV cannot draw, such as emoji, Hindi, Thai and Arabic: Noto fonts, shaped by HarfBuzz; `text` calls it.

A line is split into runs, each of one font; plain runs stay with `text`. In a line that starts with a letter of a
script written from right to left, the runs stand from right to left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import manimgx_fonts
import msgspec
import numpy as np
import uharfbuzz
from numpy.typing import NDArray

hb: Any = uharfbuzz  # its names come from a compiled module without types

# In the order in which a character is looked for.
_FILES = (
    *("Arabic", "Hebrew", "Devanagari", "Thai", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada"),
    *("Malayalam", "Oriya", "Sinhala", "Lao", "Khmer", "Myanmar", "Ethiopic", "Georgian", "Armenian"),
)
_EMOJI = len(_FILES)
_FONTS = (
    *(f"NotoSans{name}[wght].ttf" for name in _FILES),
    *("NotoEmoji[wght].ttf", "NotoSansSymbols[wght].ttf", "NotoSans[wght].ttf"),
)
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # of letters and of emoji; they belong to the run that they stand in
_ZOOM = 4  # outlines are filled this much larger and averaged down, which smooths their edges
_CURVE_STEPS = 6

Mask = NDArray[np.uint8]


class Run(msgspec.Struct, frozen=True):
    """A part of a line that one font draws; `font` is an index into the Noto fonts, -1: plain text."""

    text: str
    font: int


@lru_cache(maxsize=1024)
def runs(line: str, is_plain: Callable[[str], bool]) -> tuple[Run, ...]:
    """Return the runs of a line from left to right; `is_plain` tells which characters OpenCV draws right."""
    fonts: list[int] = []
    for char in line:
        joins = char in _JOINERS or (char != " " and unicodedata.combining(char))
        fonts.append(fonts[-1] if joins and fonts else -1 if char == " " or is_plain(char) else _font_of(char))
    for index, char in enumerate(line):  # spaces between words of one script belong to it
        after = next((font for font, other in zip(fonts[index:], line[index:], strict=True) if other != " "), -1)
        if char == " " and index and fonts[index - 1] == after != _EMOJI:
            fonts[index] = after
    found: list[Run] = []
    for char, font in zip(line, fonts, strict=True):
        if char in _JOINERS and font < 0:
            continue
        if found and found[-1].font == font:
            found[-1] = Run(found[-1].text + char, font)
        else:
            found.append(Run(char, font))
    strong = next((kind for kind in map(unicodedata.bidirectional, line) if kind in ("L", "R", "AL")), "L")
    return tuple(found) if strong == "L" else tuple(map(_turned, reversed(found)))


def _turned(run: Run) -> Run:
    """Return a run of a line that is read from right to left: the spaces before its plain text stand behind it."""
    if run.font >= 0:
        return run
    bare = run.text.strip(" ")
    before = len(run.text) - len(run.text.lstrip(" ")) if bare else 0
    return Run(" " * (len(run.text) - before - len(bare)) + bare + " " * before, -1)


@lru_cache(maxsize=4096)
def _font_of(char: str) -> int:
    """Return the first Noto font that has the character, -1 if none has."""
    return next((index for index in range(len(_FONTS)) if _face(index, 400).get_nominal_glyph(ord(char))), -1)


@lru_cache(maxsize=64)
def _face(index: int, weight: int) -> Any:
    path = Path(manimgx_fonts.__file__).parent / _FONTS[index]
    font = hb.Font(hb.Face(hb.Blob.from_file_path(str(path))))
    font.set_variations({"wght": weight})
    return font


class _Glyph(msgspec.Struct, frozen=True):
    """A glyph placed in a run: its index in the font, and where it stands, in pixels from the run's start."""

    index: int
    x: float
    y: float


@lru_cache(maxsize=512)
def _shaped(run: Run, weight: int, em: float) -> tuple[tuple[_Glyph, ...], float]:
    """Return the placed glyphs of a run, y upwards, and its advance."""
    font = _face(run.font, weight)
    buffer = hb.Buffer()
    buffer.add_str(run.text)
    buffer.guess_segment_properties()
    hb.shape(font, buffer)
    scale = em / font.face.upem
    glyphs, pen = [], 0.0
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        glyphs.append(_Glyph(info.codepoint, pen + position.x_offset * scale, position.y_offset * scale))
        pen += position.x_advance * scale
    return tuple(glyphs), pen


def advance(run: Run, weight: int, em: float) -> int:
    """Return the width of a run in pixels; `em` is the em square's side."""
    return round(_shaped(run, weight, em)[1])


@lru_cache(maxsize=256)
def mask(run: Run, weight: int, em: float) -> tuple[Mask, int, int]:
    """Return the coverage of a run (height, width), how far its left edge lies left of its start, and its ascent."""
    margin, ascent, descent = int(em * 0.5) + 1, int(em * 1.25) + 1, int(em * 0.6) + 1
    glyphs, width = _shaped(run, weight, em)
    size = ((ascent + descent) * _ZOOM, (int(width) + 2 * margin) * _ZOOM)
    cover = np.zeros(size, np.uint8)
    for glyph in glyphs:
        outline = _outline(run.font, glyph.index, weight)
        scale = em / _face(run.font, weight).face.upem * _ZOOM
        origin = np.array(((margin + glyph.x) * _ZOOM, (ascent - glyph.y) * _ZOOM))
        _fill(cover, [np.round(points * (scale, -scale) + origin).astype(np.int32) for points in outline])
    small = np.asarray(cv2.resize(cover, (size[1] // _ZOOM, size[0] // _ZOOM), interpolation=cv2.INTER_AREA), np.uint8)
    small.setflags(write=False)
    return small, margin, ascent


def _fill(cover: Mask, contours: list[NDArray[np.int32]]) -> None:
    """Fill a glyph: what its contours wind around, since contours of variable fonts overlap."""
    if not contours:
        return
    points = np.concatenate(contours)
    left, top = np.maximum(points.min(axis=0), 0)
    right, bottom = np.minimum(points.max(axis=0) + 1, cover.shape[::-1])
    if left >= right or top >= bottom:
        return
    winding = np.zeros((bottom - top, right - left), np.int16)
    for contour in contours:
        inside = np.zeros(winding.shape, np.uint8)
        moved = contour - np.array((left, top), np.int32)
        cv2.fillPoly(inside, [moved], (1,))
        winding += np.where(cv2.contourArea(moved, oriented=True) > 0, 1, -1).astype(np.int16) * inside
    cover[top:bottom, left:right][winding != 0] = 255


class _Pen:
    """Collects the contours of a glyph as polygons, in units of the font; HarfBuzz calls its methods by these names."""

    def __init__(self) -> None:
        self.contours: list[list[tuple[float, float]]] = []

    def moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self.contours.append([point])

    def lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self.contours[-1].append(point)

    def qCurveTo(self, control: tuple[float, float], end: tuple[float, float]) -> None:  # noqa: N802
        self._curve((self.contours[-1][-1], control, end))

    def curveTo(self, one: tuple[float, float], two: tuple[float, float], end: tuple[float, float]) -> None:  # noqa: N802
        self._curve((self.contours[-1][-1], one, two, end))

    def closePath(self) -> None:  # noqa: N802
        """A polygon is closed as it is."""

    def _curve(self, points: tuple[tuple[float, float], ...]) -> None:
        for step in range(1, _CURVE_STEPS + 1):
            level = [np.array(point) for point in points]
            while len(level) > 1:  # de Casteljau
                share = step / _CURVE_STEPS
                level = [a + (b - a) * share for a, b in pairwise(level)]
            self.contours[-1].append((float(level[0][0]), float(level[0][1])))


@lru_cache(maxsize=1024)
def _outline(font: int, glyph: int, weight: int) -> tuple[NDArray[np.float64], ...]:
    pen = _Pen()
    _face(font, weight).draw_glyph_with_pen(glyph, pen)
    return tuple(np.array(points) for points in pen.contours if len(points) > 2)
