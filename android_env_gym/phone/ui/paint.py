"""From placed boxes to pixels: copies and blends of cached bitmaps (`sprites`); `phone` calls it per new screen.

Invariant: a frame depends on the laid out tree and the theme alone, never on what was painted before.
Speed comes from `ground`, the one solid colour known to lie under a node: on it, a text run or a rounded box
is a cached opaque patch and drawing it is a copy. Where the ground is unknown (over pictures, other stack
children or a scrim) the same shapes are blended.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import art, sprites
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.caret import first_line, place_of_caret
from android_env_gym.phone.ui.layout import Box, Font, Laid, Placed
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.ui.theme import RGB, Theme, mix, text_style

Image = NDArray[np.uint8]
_DISABLED = 0.38
NO_SCRIM = "none"
# Boxes up to this many pixels are cached whole (one copy each); larger ones would make the cache too big.
SMALL_BOX = 40_000


class _Painter:
    """Paints one frame onto `image`."""

    def __init__(self, image: Image, theme: Theme, density: float) -> None:
        self.image = image
        self.theme = theme
        self.density = density

    def paint(self, placed: Placed, ground: RGB | None) -> None:
        node = placed.node
        if node.modal and node.fill in ("", NO_SCRIM):
            if not node.fill:
                np.right_shift(self.image, 1, out=self.image)
            ground = None
        elif node.fill or node.border or node.shadow:
            ground = self.box(placed, ground)
        if not placed.children:
            self.leaf(placed, ground)
        elif node.axis == "stack":
            for child in placed.children:
                self.paint(child, ground)
                ground = None
        else:
            for child in placed.children:
                self.paint(child, ground)

    def leaf(self, placed: Placed, ground: RGB | None) -> None:
        if placed.lines:
            self.text(placed, ground)
        elif placed.node.icon:
            self.icon(placed, ground)
        elif placed.node.art is not None:
            self.art(placed, ground)

    def color(self, name: str, enabled: bool, ground: RGB | None) -> RGB:
        return _faded(self.theme.color(name), enabled, self.theme, ground)

    def px(self, dp: float) -> int:
        return int(dp * self.density + 0.5)

    # --- boxes ---

    def box(self, placed: Placed, ground: RGB | None) -> RGB | None:
        """Draw fill, border and shadow; return the ground for what lies inside."""
        node = placed.node
        left, top, right, bottom = placed.visible
        if right <= left or bottom <= top:
            return ground
        size = (placed.width, placed.height, min(self.px(node.radius), placed.width // 2, placed.height // 2))
        if node.shadow:
            self.shadow(placed, size)
            ground = None
        fill = self.theme.color(node.fill) if node.fill else ground
        border = self.color(node.border, node.enabled, ground) if node.border else None
        if fill is None:
            if border is not None:
                self.overlay(sprites.ring_sprite(size, self.line(placed), border), placed.left, placed.top, placed.clip)
            return None
        if not size[2] and border is None:
            if fill != ground:
                cv2.rectangle(self.image, (left, top), (right - 1, bottom - 1), fill, -1)
        elif ground is not None:
            self.ground_box(placed, size, fill, border, ground)
        else:
            self.float_box(placed, size, fill)
            if border is not None:
                self.overlay(sprites.ring_sprite(size, self.line(placed), border), placed.left, placed.top, placed.clip)
        return fill

    def line(self, placed: Placed) -> int:
        """Return the border's width: one dp, two in focus."""
        return self.px(2.0 if placed.node.focused else 1.0)

    def shadow(self, placed: Placed, size: tuple[int, int, int]) -> None:
        margin = int(placed.node.shadow * 2 * self.density + 3)
        sprite = sprites.shadow_sprite(size, placed.node.shadow, margin)
        height, width = sprite.hole.shape[:2]
        thick = margin + max(size[2], margin)
        x, y = placed.left - margin, placed.top - margin
        if height <= 2 * thick or width <= 2 * thick:
            self.overlay(sprite, x, y, placed.clip)
            return
        # the middle is hidden by the box itself
        for box in (
            (0, 0, width, thick),
            (0, height - thick, width, height),
            (0, thick, thick, height - thick),
            (width - thick, thick, width, height - thick),
        ):
            self.overlay(sprite, x, y, placed.clip, box)

    def ground_box(
        self, placed: Placed, size: tuple[int, int, int], fill: RGB, border: RGB | None, ground: RGB
    ) -> None:
        """Draw a rounded box on solid ground: copy its top and bottom bands, fill the middle."""
        width, height, radius = size
        x, y, clip = placed.left, placed.top, placed.clip
        line = self.line(placed) if border is not None else 0
        band = radius + line
        if width * height <= SMALL_BOX or height <= 2 * band:
            self.blit(sprites.box_patch(size, fill, border, line, ground), x, y, clip)
            return
        patch = sprites.box_patch((width, 2 * band, radius), fill, border, line, ground)
        self.blit(patch[:band], x, y, clip)
        self.blit(patch[band:], x, y + height - band, clip)
        middle = (x, y + band, x + width, y + height - band)
        if border is not None:
            self.fill((x, middle[1], x + line, middle[3]), clip, border)
            self.fill((x + width - line, middle[1], x + width, middle[3]), clip, border)
        self.fill((x + line, middle[1], x + width - line, middle[3]), clip, fill)

    def float_box(self, placed: Placed, size: tuple[int, int, int], fill: RGB) -> None:
        """Draw a rounded box over unknown ground: blend its top and bottom bands, fill the middle."""
        width, height, radius = size
        sprite = sprites.box_sprite((width, 2 * radius, radius), fill)
        x, y = placed.left, placed.top
        self.overlay(sprite, x, y, placed.clip, (0, 0, width, radius))
        self.overlay(sprite, x, y + height - 2 * radius, placed.clip, (0, radius, width, 2 * radius))
        self.fill((x, y + radius, x + width, y + height - radius), placed.clip, fill)

    # --- leaves ---

    def text(self, placed: Placed, ground: RGB | None) -> None:
        node, font = placed.node, placed.font
        if font is None:
            return
        left, top, right, bottom = (self.px(side) for side in node.padding)
        room = placed.width - left - right
        free = placed.height - top - bottom - font.line * len(placed.lines)
        y = placed.top + top + max(0, free) // 2
        color = text_color(node, self.theme, ground)
        x = placed.left + left
        for line in placed.lines:
            if node.text_align != "start" or node.selected or node.focused:
                width = texts.measure(line, font.weight, font.size)
                shift = 0 if node.text_align == "start" else room - width
                x = placed.left + left + (shift // 2 if node.text_align == "center" else shift)
                if node.selected and node.text and line:
                    ground = self.highlight(placed, x, y, width)
            if line:
                self.run(line, x, y, font, color, ground, placed.clip)
            y += font.line
        if node.focused:
            self.caret(placed, font)

    def run(self, line: str, x: int, y: int, font: Font, color: RGB, ground: RGB | None, clip: Box) -> None:
        baseline = y + int(font.line / 2 + font.em * 0.342 + 0.5)
        if ground is not None:
            patch, above = sprites.text_patch(line, font.weight, font.size, font.em, color, ground)
            self.blit(patch, x - 1, baseline - above, clip)
            return
        left, top, right, bottom = clip
        if left < right and top < bottom:
            view = self.image[top:bottom, left:right]
            texts.draw(view, line, x - left, baseline - top, color, font.weight, font.size)

    def highlight(self, placed: Placed, x: int, y: int, width: int) -> RGB:
        color = self.theme.color("selection")
        font = placed.font
        height = font.line if font is not None else 0
        self.fill((x, y, x + width, y + height), placed.clip, color)
        return color

    def caret(self, placed: Placed, font: Font) -> None:
        x, y = first_line(placed, self.density)
        row, shift = place_of_caret(placed, self.density)
        start, y = x + shift, y + row * font.line
        thick = max(2, self.px(1.5))
        inset = max(0, (font.line - int(font.em * 1.2)) // 2)
        self.fill((start, y + inset, start + thick, y + font.line - inset), placed.clip, self.theme.color("primary"))

    def icon(self, placed: Placed, ground: RGB | None) -> None:
        node = placed.node
        size = self.px(node.icon_size)
        x, y = self.centre(placed, size, size)
        color = self.color(node.color or "on_surface_variant", node.enabled, ground)
        if ground is not None:
            self.blit(sprites.icon_patch(node.icon, size, color, ground), x, y, placed.clip)
        else:
            self.overlay(sprites.icon_sprite(node.icon, size, color), x, y, placed.clip)

    def centre(self, placed: Placed, width: int, height: int) -> tuple[int, int]:
        left, top, right, bottom = (self.px(side) for side in placed.node.padding)
        x = placed.left + left + (placed.width - left - right - width) // 2
        return x, placed.top + top + (placed.height - top - bottom - height) // 2

    def art(self, placed: Placed, ground: RGB | None) -> None:
        node = placed.node
        left, top, right, bottom = (self.px(side) for side in node.padding)
        width, height = placed.width - left - right, placed.height - top - bottom
        if node.art is None or width <= 0 or height <= 0:
            return
        x, y = placed.left + left, placed.top + top
        picture = art.Picture(node.art, width, height, self.theme, node.enabled)
        radius = min(self.px(node.radius), width // 2, height // 2)
        rgb, alpha = art.render(picture)
        if alpha is None and not radius:
            self.blit(rgb, x, y, placed.clip)
        elif ground is not None:
            self.blit(sprites.art_patch(picture, radius, ground), x, y, placed.clip)
        else:
            self.overlay(sprites.art_sprite(picture, radius), x, y, placed.clip)

    # --- pixels ---

    def fill(self, box: Box, clip: Box, color: RGB) -> None:
        left, top = max(box[0], clip[0]), max(box[1], clip[1])
        right, bottom = min(box[2], clip[2]), min(box[3], clip[3])
        if left < right and top < bottom:
            cv2.rectangle(self.image, (left, top), (right - 1, bottom - 1), color, -1)

    def blit(self, patch: Image, x: int, y: int, clip: Box) -> None:
        height, width = patch.shape[:2]
        left, top = max(x, clip[0]), max(y, clip[1])
        right, bottom = min(x + width, clip[2]), min(y + height, clip[3])
        if left < right and top < bottom:
            self.image[top:bottom, left:right] = patch[top - y : bottom - y, left - x : right - x]

    def overlay(self, sprite: sprites.Sprite, x: int, y: int, clip: Box, part: Box | None = None) -> None:
        """Blend a sprite whose corner is at (x, y), or only its `part` (in its own pixels)."""
        height, width = sprite.hole.shape[:2]
        box = part or (0, 0, width, height)
        left, top = max(x + box[0], clip[0]), max(y + box[1], clip[1])
        right, bottom = min(x + box[2], clip[2]), min(y + box[3], clip[3])
        if left < right and top < bottom:
            view = self.image[top:bottom, left:right]
            sprites.overlay(view, sprite, slice(top - y, bottom - y), slice(left - x, right - x))


def text_color(node: Node, theme: Theme, ground: RGB | None) -> RGB:
    """Return the colour in which the text or, if there is none, the hint of a text leaf is drawn on `ground`."""
    role = (node.color or text_style(node.style).color) if node.text else "on_surface_variant"
    return _faded(theme.color(role), node.enabled, theme, ground)


def _faded(color: RGB, enabled: bool, theme: Theme, ground: RGB | None) -> RGB:
    return color if enabled else mix(ground or theme.color("surface"), color, _DISABLED)


def paint(laid: Laid, theme: Theme, out: Image | None = None) -> Image:
    """Draw a laid out screen.

    Args:
        laid: What `layout` returned.
        theme: The colours.
        out: Where to draw, (height, width, 3) uint8; None makes a new array.

    Returns:
        The picture as RGB (height, width, 3) uint8: `out` if given.

    Raises:
        ValueError: `out` has another shape or type.
        UnknownNameError: a node names an unknown colour role, icon or kind of art.
    """
    if out is None:
        out = np.empty((laid.height, laid.width, 3), np.uint8)
    elif out.shape != (laid.height, laid.width, 3) or out.dtype != np.uint8:
        raise ValueError(f"out must be uint8 {(laid.height, laid.width, 3)}, got {out.dtype} {out.shape}")
    ground = theme.color(laid.root.node.fill or "background")
    cv2.rectangle(out, (0, 0), (laid.width - 1, laid.height - 1), ground, -1)
    _Painter(out, theme, laid.density).paint(laid.root, ground)
    return out
