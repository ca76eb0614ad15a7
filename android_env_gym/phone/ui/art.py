"""Pictures drawn by name for `Node.art`: avatars, app icons, products, wallpapers, clocks, controls; `paint` calls it.

Invariant: a picture is a pure function of its `Picture` (kind, arguments, size, theme). Painters draw in a unit
square on a `Canvas` at four times the size; averaging it down gives smooth edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import art_controls, art_photos, art_products
from android_env_gym.phone.ui.canvas import Canvas
from android_env_gym.phone.ui.node import Art
from android_env_gym.phone.ui.theme import Theme, UnknownNameError

Painter = Callable[..., None]
PAINTERS: dict[str, Painter] = {**art_controls.PAINTERS, **art_products.PAINTERS, **art_photos.PAINTERS}


class Picture(msgspec.Struct, frozen=True):
    """A picture to draw: `art` at `width` x `height` pixels in the colours of `theme`."""

    art: Art
    width: int
    height: int
    theme: Theme
    enabled: bool = True


@lru_cache(maxsize=192)
def render(picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the picture's colours (height, width, 3) and its coverage (height, width), None if it is opaque.

    Raises:
        UnknownNameError: no painter of this kind.
    """
    painter = PAINTERS.get(picture.art.kind)
    if painter is None:
        raise UnknownNameError("kind of art", picture.art.kind, tuple(PAINTERS))
    canvas = Canvas(picture.width, picture.height, picture.theme, picture.enabled)
    painter(canvas, *picture.art.args)
    return canvas.finish()
