"""The cached bitmaps that `paint` copies or blends: rounded boxes, shadows, text runs, icons, pictures.

A *patch* is opaque: a shape on the one solid colour below it. A `Sprite` is blended over whatever is there.
All caches are bounded and shared by every phone of the process; everything in them is read-only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import art, icons
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.theme import RGB

Image = NDArray[np.uint8]
_SHADOW_STRENGTH = (0.22, 0.26, 0.30, 0.32, 0.34)


class Sprite(NamedTuple):
    """A translucent bitmap: `light` is added after what is below was dimmed by `hole` / 255; (h, w, 3) uint8 both."""

    light: Image
    hole: Image


def _sealed(image: Image) -> Image:
    image.setflags(write=False)
    return image


def _sprite(alpha: Image, color: RGB | Image) -> Sprite:
    cover = cv2.merge((alpha, alpha, alpha))
    full = np.empty_like(cover)
    full[:] = color
    return Sprite(_sealed(np.asarray(cv2.multiply(full, cover, scale=1 / 255), np.uint8)), _sealed(255 - cover))


def overlay(view: Image, sprite: Sprite, rows: slice, columns: slice) -> None:
    """Blend the given part of `sprite` onto `view`, which has the same size."""
    cv2.multiply(view, sprite.hole[rows, columns], view, 1 / 255)
    cv2.add(view, sprite.light[rows, columns], view)


def _on(ground: RGB, sprite: Sprite) -> Image:
    patch = np.empty(sprite.light.shape, np.uint8)
    patch[:] = ground
    overlay(patch, sprite, slice(None), slice(None))
    return patch


@lru_cache(maxsize=256)
def box_alpha(width: int, height: int, radius: int) -> Image:
    """Return the antialiased coverage of a rounded rectangle, (height, width)."""
    alpha = np.full((height, width), 255, np.uint8)
    radius = min(radius, width // 2, height // 2)
    if radius > 0:
        line = radius - 0.5 - np.arange(radius)
        corner = np.clip(radius + 0.5 - np.hypot(line[:, None], line[None, :]), 0, 1)
        corner = (corner * 255 + 0.5).astype(np.uint8)
        alpha[:radius, :radius] = corner
        alpha[:radius, -radius:] = corner[:, ::-1]
        alpha[-radius:, :radius] = corner[::-1]
        alpha[-radius:, -radius:] = corner[::-1, ::-1]
    return _sealed(alpha)


@lru_cache(maxsize=256)
def box_patch(size: tuple[int, int, int], fill: RGB, border: RGB | None, line: int, ground: RGB) -> Image:
    """Return a box of (width, height, radius) with a border of `line` pixels on solid ground."""
    width, height, radius = size
    outer = _on(ground, _sprite(box_alpha(width, height, radius), border or fill))
    if border is not None and width > 2 * line and height > 2 * line:
        inner = box_alpha(width - 2 * line, height - 2 * line, max(0, radius - line))
        view = outer[line : height - line, line : width - line]
        overlay(view, _sprite(inner, fill), slice(None), slice(None))
    return _sealed(outer)


@lru_cache(maxsize=128)
def box_sprite(size: tuple[int, int, int], fill: RGB) -> Sprite:
    """Return a box of (width, height, radius)."""
    return _sprite(box_alpha(*size), fill)


@lru_cache(maxsize=64)
def ring_sprite(size: tuple[int, int, int], line: int, color: RGB) -> Sprite:
    """Return the border alone of a box of (width, height, radius)."""
    width, height, radius = size
    ring = box_alpha(width, height, radius).copy()
    if width > 2 * line and height > 2 * line:
        inner = ring[line : height - line, line : width - line]
        inner -= np.minimum(inner, box_alpha(width - 2 * line, height - 2 * line, max(0, radius - line)))
    return _sprite(ring, color)


@lru_cache(maxsize=24)
def shadow_sprite(size: tuple[int, int, int], level: int, margin: int) -> Sprite:
    """Return the soft shadow of a box, `margin` pixels larger on every side."""
    width, height, radius = size
    drop = max(1, margin // 4)
    alpha = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    alpha[margin + drop : margin + drop + height, margin : margin + width] = box_alpha(width, height, radius)
    blurred = np.asarray(cv2.GaussianBlur(alpha, (margin | 1, margin | 1), 0))
    return _sprite((blurred * _SHADOW_STRENGTH[min(level, 5) - 1]).astype(np.uint8), (0, 0, 0))


@lru_cache(maxsize=1024)
def text_patch(text: str, weight: int, size: int, em: float, color: RGB, ground: RGB) -> tuple[Image, int]:
    """Return a line of text on solid ground, one pixel in from the left, and the row of its baseline."""
    # Marks above and below the letters of other scripts reach further than those of Latin ones.
    plain = text.isascii() or all(map(texts.is_plain, text))
    above, below = (int(em + 1), int(em * 0.28 + 1)) if plain else (int(em * 1.2 + 1), int(em * 0.5 + 1))
    patch = np.empty((above + below, texts.measure(text, weight, size) + 3, 3), np.uint8)
    patch[:] = ground
    texts.draw(patch, text, 1, above, color, weight, size)
    return _sealed(patch), above


@lru_cache(maxsize=256)
def icon_sprite(name: str, size: int, color: RGB) -> Sprite:
    """Return an icon."""
    return _sprite(icons.mask(name, size), color)


@lru_cache(maxsize=512)
def icon_patch(name: str, size: int, color: RGB, ground: RGB) -> Image:
    """Return an icon on solid ground."""
    return _sealed(_on(ground, icon_sprite(name, size, color)))


@lru_cache(maxsize=192)
def art_sprite(picture: art.Picture, radius: int) -> Sprite:
    """Return a picture with its corners rounded."""
    rgb, alpha = art.render(picture)
    rounded = box_alpha(picture.width, picture.height, radius)
    if alpha is not None:
        rounded = np.asarray(cv2.multiply(alpha, rounded, scale=1 / 255), np.uint8)
    return _sprite(rounded, rgb)


@lru_cache(maxsize=192)
def art_patch(picture: art.Picture, radius: int, ground: RGB) -> Image:
    """Return a picture with its corners rounded on solid ground."""
    rgb, alpha = art.render(picture)
    if alpha is None and not radius:
        return rgb
    return _sealed(_on(ground, art_sprite(picture, radius)))
