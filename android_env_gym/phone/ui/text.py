"""Real Roboto text: measuring, wrapping, ellipsis and drawing; `layout` and `paint` call it.

Invariant: everything drawn went through `clean`, because OpenCV crashes the process on lone surrogates. What OpenCV
draws wrong or not at all (emoji, scripts that need shaping or run from right to left) `scripts` draws.
Sizes are pixels of the em square; OpenCV's own size unit is smaller (see `_SIZE_PER_EM`).
"""

from __future__ import annotations

import os
import threading
import unicodedata
from functools import lru_cache

import cv2
import font_roboto
import numpy as np
from numpy.typing import NDArray

from android_env_gym.errors import WrongOpenCvError
from android_env_gym.phone.ui import scripts
from android_env_gym.phone.ui.theme import RGB

if not hasattr(cv2, "FontFace"):
    raise WrongOpenCvError(
        f"OpenCV {cv2.__version__} draws no TrueType text: OpenCV 5 is needed, and another package has put this one in "
        "its place. Run: pip uninstall -y opencv-python opencv-contrib-python; "
        "pip install --force-reinstall 'opencv-python-headless>=5'"
    )

_FILES = {400: "Roboto-Regular.ttf", 500: "Roboto-Medium.ttf", 700: "Roboto-Bold.ttf"}
# OpenCV's `size` draws Roboto 5.5% larger than an em of that many pixels (measured against FreeType's advances).
_SIZE_PER_EM = 1 / 1.055
ELLIPSIS = "…"
_KEPT = " \u200c\u200d"  # not printable by themselves; the last two tell how letters and emoji join
# OpenCV draws text without the GIL through one shared engine: two threads at once draw wrong glyphs (seen).
ENGINE_LOCK = threading.Lock()


def load_face(path: str) -> cv2.FontFace:
    """Load the font at `path`.

    Raises:
        FileNotFoundError: the file cannot be read (OpenCV itself would silently draw another font).
    """
    face = cv2.FontFace(path)
    if face.getName() != path:
        raise FileNotFoundError(f"OpenCV could not load the font {path}; reinstall the font package")
    return face


@lru_cache(maxsize=4)
def face(weight: int) -> cv2.FontFace:
    """Return the Roboto face of weight 400, 500 or 700."""
    return load_face(os.path.join(font_roboto.font_directory, _FILES[weight]))


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """Return `text` on one line, without control characters and lone surrogates."""
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\n", " ").replace("\t", "    ")
    return "".join(c for c in text if c in _KEPT or c.isprintable())


@lru_cache(maxsize=256)
def font_size(em: float) -> int:
    """Return OpenCV's size for an em of `em` pixels."""
    return max(4, round(em * _SIZE_PER_EM))


@lru_cache(maxsize=8192)
def measure(text: str, weight: int, size: int) -> int:
    """Return the advance of `text` in pixels; `size` comes from `font_size`."""
    if not text:
        return 0
    if not text.isascii() and not _all_plain(clean(text)):
        return sum(width for _, width in _runs(clean(text), weight, size))
    return _plain_width(text, weight, size)


def _plain_width(text: str, weight: int, size: int) -> int:
    # The box leaves out spaces at the end; a full stop behind them makes them count.
    if text[-1] == " ":
        return _plain_width(text + ".", weight, size) - _plain_width(".", weight, size)
    font = face(weight)
    with ENGINE_LOCK:
        return cv2.getTextSize((0, 0), clean(text), (0, 0), font, size)[2]


# OpenCV draws a question mark for what neither Roboto nor its own font has.
_UNKNOWN_CHECK_SIZE = 24


@lru_cache(maxsize=4096)
def is_plain(char: str) -> bool:
    """Return whether OpenCV draws a character as it should be: it has a glyph and stands from left to right."""
    if char.isascii():
        return True
    if unicodedata.bidirectional(char) in ("R", "AL", "AN") or char in "\u200c\u200d":
        return False
    return not np.array_equal(_small(char), _small("?"))


def _small(char: str) -> NDArray[np.uint8]:
    image = np.zeros((2 * _UNKNOWN_CHECK_SIZE, 3 * _UNKNOWN_CHECK_SIZE), np.uint8)
    font = face(400)
    with ENGINE_LOCK:
        cv2.putText(image, char, (8, 32), (255, 255, 255), font, _UNKNOWN_CHECK_SIZE)
    return image


@lru_cache(maxsize=4096)
def _all_plain(line: str) -> bool:
    return all(map(is_plain, line))


def _runs(line: str, weight: int, size: int) -> list[tuple[scripts.Run, int]]:
    """Return the runs of a clean line from left to right, each with its width in pixels."""
    found = []
    for run in scripts.runs(line, is_plain):
        plain = run.font < 0
        width = _plain_width(run.text, weight, size) if plain else scripts.advance(run, weight, size / _SIZE_PER_EM)
        found.append((run, width))
    return found


def _cut(text: str, weight: int, size: int, width: int) -> int:
    """Return how many leading characters of `text` fit into `width`."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle], weight, size) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def ellipsize(text: str, weight: int, size: int, width: int) -> str:
    """Return `text`, shortened to end in "…" if it is wider than `width`."""
    if measure(text, weight, size) <= width:
        return text
    room = width - measure(ELLIPSIS, weight, size)
    return text[: _cut(text, weight, size, room)].rstrip() + ELLIPSIS


@lru_cache(maxsize=256)
def window(text: str, caret: int, weight: int, size: int, width: int) -> tuple[int, str]:
    """Return the part of `text` that a focused one-line field of `width` pixels shows, and where it starts.

    It is the end of `text`, unless the caret (-1: behind the last character) stands in front of that.
    """
    start = _tail_start(text, weight, size, width)
    if not 0 <= caret < start:
        return start, text[start:]
    start = _tail_start(text[:caret], weight, size, width)
    return start, text[start : start + _cut(text[start:], weight, size, width)]


def _tail_start(text: str, weight: int, size: int, width: int) -> int:
    start = 0
    while start < len(text) and measure(text[start:], weight, size) > width:
        start += max(1, (measure(text[start:], weight, size) - width) // (2 * size))
    return start


def _wrap_line(text: str, weight: int, size: int, width: int, limit: int) -> list[str]:
    lines: list[str] = []
    rest = text
    while rest and len(lines) <= limit:
        if measure(rest, weight, size) <= width:
            lines.append(rest)
            return lines
        fits = max(1, _cut(rest, weight, size, width))
        space = rest.rfind(" ", 0, fits + 1)
        end = space if space > 0 else fits
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return lines or [""]


@lru_cache(maxsize=4096)
def wrap(text: str, weight: int, size: int, width: int, lines: int) -> tuple[str, ...]:
    """Break `text` into lines at most `width` pixels wide.

    Args:
        text: The text; newlines break lines.
        weight: Weight of the face.
        size: Size from `font_size`.
        width: Room in pixels.
        lines: The most lines; what is left over ends in "…". 0: as many as needed.
    """
    limit = lines or 10_000
    found: list[str] = []
    for paragraph in text.split("\n"):
        found += _wrap_line(clean(paragraph), weight, size, width, limit)
        if len(found) > limit:
            break
    if len(found) <= limit:
        return tuple(found)
    last = found[limit - 1] + " " + found[limit]
    return (*found[: limit - 1], ellipsize(last, weight, size, width) if limit else "")


def draw(image: NDArray[np.uint8], text: str, x: int, baseline: int, color: RGB, weight: int, size: int) -> None:
    """Draw one clean line of text onto `image` (height, width, 3) or (height, width), clipped by the image."""
    if text.isascii() or _all_plain(text):
        _draw_plain(image, text, x, baseline, color, weight, size)
        return
    for run, width in _runs(text, weight, size):
        if run.font < 0:
            _draw_plain(image, run.text, x, baseline, color, weight, size)
        else:
            cover, margin, ascent = scripts.mask(run, weight, size / _SIZE_PER_EM)
            _blend(image, cover, x - margin, baseline - ascent, color)
        x += width


def _draw_plain(image: NDArray[np.uint8], text: str, x: int, baseline: int, color: RGB, weight: int, size: int) -> None:
    font = face(weight)
    with ENGINE_LOCK:
        cv2.putText(image, text, (x, baseline), color, font, size)


def _blend(image: NDArray[np.uint8], cover: NDArray[np.uint8], x: int, y: int, color: RGB) -> None:
    """Lay `color` over the part of `image` that `cover`, whose corner is at (x, y), covers."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + cover.shape[1], image.shape[1]), min(y + cover.shape[0], image.shape[0])
    if left >= right or top >= bottom:
        return
    share = cover[top - y : bottom - y, left - x : right - x].astype(np.float32) / 255
    view = image[top:bottom, left:right]
    if image.ndim == 3:
        share = share[:, :, None]  # (H, W) -> (H, W, 1)
    ink = np.asarray(color[: 1 if image.ndim == 2 else 3], np.float32)
    view[:] = np.round(view + (ink - view) * share).astype(np.uint8)
