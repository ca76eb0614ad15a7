"""Material Design Icons by name, drawn from their TrueType font; `paint` and `art` call it.

Names are those of pictogrammers.com with "_" or "-" ("account_plus", "wifi-off").
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from fonticon_mdi7 import MDI7
from numpy.typing import NDArray

from android_env_gym.phone.ui.text import ENGINE_LOCK, load_face
from android_env_gym.phone.ui.theme import UnknownNameError

# The em square of the icon font is 28 pixels at OpenCV's size 24, and its baseline lies at 7/8 of it (measured).
_SIZE_PER_EM = 24 / 28
_BASELINE = 7 / 8


class UnknownIconError(UnknownNameError):
    """No icon has this name; the message names the nearest ones."""


@lru_cache(maxsize=1)
def _font() -> cv2.FontFace:
    return load_face(MDI7.__font_file__)


@lru_cache(maxsize=1)
def icon_names() -> tuple[str, ...]:
    """Return every icon name, sorted."""
    return tuple(sorted(name.rstrip("_") for name in vars(MDI7) if not name.startswith("_")))


@lru_cache(maxsize=1024)
def glyph(name: str) -> str:
    """Return the character of the icon `name`.

    Raises:
        UnknownIconError: no such icon.
    """
    key = name.replace("-", "_")
    # The font's class stores "mdi7.<character>", and Python keywords with "_" behind them.
    value = vars(MDI7).get(key) or vars(MDI7).get(key + "_")
    if value is None or key.startswith("_"):
        raise UnknownIconError("icon", name, icon_names())
    return value[-1]


@lru_cache(maxsize=512)
def mask(name: str, size: int) -> NDArray[np.uint8]:
    """Return the coverage of the icon as (size, size) uint8; do not write into it."""
    image = np.zeros((size, size), np.uint8)
    scale = max(4, round(size * _SIZE_PER_EM))
    offset = round((size - scale / _SIZE_PER_EM) / 2)
    origin = (offset, round(size * _BASELINE))
    character, font = glyph(name), _font()
    with ENGINE_LOCK:
        cv2.putText(image, character, origin, (255, 255, 255), font, scale)
    image.setflags(write=False)
    return image
