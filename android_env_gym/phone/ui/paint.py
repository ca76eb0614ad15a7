"""From placed boxes to pixels: a retained-free painter that blits cached patches; `phone` calls it per new screen.

Invariant: a frame depends on the laid out tree and the theme alone, never on what was painted before.
Speed comes from `ground`, the one solid colour known to lie under a node: on it, a text run or a rounded box
is a cached opaque patch and drawing it is a copy. Where the ground is unknown (over pictures, other stack
children or a scrim) the same shapes are blended.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.ui import art, icons
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.layout import Box, Font, Laid, Placed
from android_env_gym.phone.ui.theme import RGB, Theme, mix, text_style

Image = NDArray[np.uint8]
_DISABLED = 0.38
NO_SCRIM = "none"


def _fade(alpha: NDArray[np.uint8], color: RGB, under: Image | RGB) -> Image:
    """Return `color` with coverage `alpha` (h, w) over `under` as (h, w, 3)."""
    cover = alpha[:, :, None].astype(np.uint16)
    ground = np.asarray(under, np.uint16)
    mixed = cover * np.asarray(color, np.uint16) + (255 - cover) * ground + 127
    return (mixed // 255).astype(np.uint8)


@lru_cache(maxsize=256)
def _box_alpha(width: int, height: int, radius: int) -> NDArray[np.uint8]:
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
    return alpha


@lru_cache(maxsize=64)
def _shadow_alpha(width: int, height: int, radius: int, level: int, margin: int) -> NDArray[np.uint8]:
    """Return the coverage of the soft shadow of a box, (height + 2 margin, width + 2 margin)."""
    drop = max(1, margin // 4)
    alpha = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    alpha[margin + drop : margin + drop + height, margin : margin + width] = _box_alpha(width, height, radius)
    size = margin | 1
    blurred = cv2.GaussianBlur(alpha, (size, size), 0)
    strength = (0.22, 0.26, 0.30, 0.32, 0.34)[min(level, 5) - 1]
    return (blurred * strength).astype(np.uint8)


@lru_cache(maxsize=384)
def _box_patch(size: tuple[int, int, int], fill: RGB, border: RGB | None, line: int, ground: RGB) -> Image:
    """Return a filled and bordered rounded box on solid ground."""
    width, height, radius = size
    outer = _fade(_box_alpha(width, height, radius), fill if border is None else border, ground)
    if border is not None and width > 2 * line and height > 2 * line:
        inside = outer[line : height - line, line : width - line]
        inside[:] = _fade(_box_alpha(width - 2 * line, height - 2 * line, max(0, radius - line)), fill, inside)
    outer.setflags(write=False)
    return outer


@lru_cache(maxsize=1536)
def _text_patch(text: str, weight: int, size: int, em: float, color: RGB, ground: RGB) -> tuple[Image, int]:
    """Return a line of text on solid ground and the baseline's row in it."""
    above = int(em + 1)
    patch = np.empty((above + int(em * 0.28 + 1), texts.measure(text, weight, size) + 3, 3), np.uint8)
    patch[:] = ground
    texts.draw(patch, text, 1, above, color, weight, size)
    patch.setflags(write=False)
    return patch, above


@lru_cache(maxsize=512)
def _icon_patch(name: str, size: int, color: RGB, ground: RGB) -> Image:
    patch = _fade(icons.mask(name, size), color, ground)
    patch.setflags(write=False)
    return patch


@lru_cache(maxsize=256)
def _art_patch(picture: art.Picture, radius: int, ground: RGB) -> Image:
    rgb, alpha = art.render(picture)
    if radius:
        rounded = _box_alpha(picture.width, picture.height, radius)
        alpha = rounded if alpha is None else cv2.multiply(alpha, rounded, scale=1 / 255)
    if alpha is None:
        return rgb
    patch = _over(rgb, alpha, np.asarray(ground, np.uint8))
    patch.setflags(write=False)
    return patch


def _over(rgb: Image, alpha: NDArray[np.uint8], under: Image) -> Image:
    cover = alpha[:, :, None].astype(np.uint16)
    return ((cover * rgb + (255 - cover) * under.astype(np.uint16) + 127) // 255).astype(np.uint8)


class _Painter:
    """Paints one frame onto `image`."""

    def __init__(self, image: Image, theme: Theme, density: float) -> None:
        self.image = image
        self.theme = theme
        self.density = density

    def paint(self, placed: Placed, ground: RGB | None) -> None:
        node = placed.node
        if node.modal:
            if node.fill != NO_SCRIM:
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
        color = self.theme.color(name)
        return color if enabled else mix(ground or self.theme.color("surface"), color, _DISABLED)

    def px(self, dp: float) -> int:
        return int(dp * self.density + 0.5)

    # --- boxes ---

    def box(self, placed: Placed, ground: RGB | None) -> RGB | None:
        """Draw fill, border and shadow; return the ground for what lies inside."""
        node = placed.node
        left, top, right, bottom = placed.visible
        if right <= left or bottom <= top:
            return ground
        radius = min(self.px(node.radius), placed.width // 2, placed.height // 2)
        if node.shadow:
            self.shadow(placed, radius)
            ground = None
        if not node.fill and ground is None:
            if node.border:
                self.outline(placed, radius)
            return None
        fill = self.theme.color(node.fill) if node.fill else ground
        assert fill is not None  # the branch above took the case of neither
        if not radius and not node.border:
            cv2.rectangle(self.image, (left, top), (right - 1, bottom - 1), fill, -1)
            return fill
        border = self.color(node.border, node.enabled, ground) if node.border else None
        if ground is not None:
            patch = _box_patch((placed.width, placed.height, radius), fill, border, self.line(placed), ground)
            self.blit(patch, placed.left, placed.top, placed.clip)
        else:
            self.blend_box(placed, radius, fill, border)
        return fill

    def line(self, placed: Placed) -> int:
        """Return the border's width: one dp, two in focus."""
        return self.px(2.0 if placed.node.focused else 1.0)

    def shadow(self, placed: Placed, radius: int) -> None:
        margin = int(placed.node.shadow * 2 * self.density + 3)
        alpha = _shadow_alpha(placed.width, placed.height, radius, placed.node.shadow, margin)
        height, width = alpha.shape
        thick = margin + max(radius, margin)
        if height <= 2 * thick or width <= 2 * thick:
            self.blend(alpha, (0, 0, 0), placed.left - margin, placed.top - margin, placed.clip)
            return
        x, y = placed.left - margin, placed.top - margin
        for rows, columns in (
            (slice(0, thick), slice(0, width)),
            (slice(height - thick, height), slice(0, width)),
            (slice(thick, height - thick), slice(0, thick)),
            (slice(thick, height - thick), slice(width - thick, width)),
        ):
            self.blend(alpha[rows, columns], (0, 0, 0), x + columns.start, y + rows.start, placed.clip)

    def blend_box(self, placed: Placed, radius: int, fill: RGB, border: RGB | None) -> None:
        """Draw a rounded box over unknown ground: blend its top and bottom bands, fill the middle."""
        left, top, right, bottom = placed.visible
        alpha = _box_alpha(placed.width, placed.height, radius)
        outer = border or fill
        self.blend(alpha[:radius], outer, placed.left, placed.top, placed.clip)
        self.blend(
            alpha[placed.height - radius :], outer, placed.left, placed.top + placed.height - radius, placed.clip
        )
        first, last = max(top, placed.top + radius), min(bottom, placed.top + placed.height - radius)
        if first < last:
            cv2.rectangle(self.image, (left, first), (right - 1, last - 1), outer, -1)
        if border is not None:
            line = self.line(placed)
            inner = _box_alpha(placed.width - 2 * line, placed.height - 2 * line, max(0, radius - line))
            self.blend(inner, fill, placed.left + line, placed.top + line, placed.clip)

    def outline(self, placed: Placed, radius: int) -> None:
        """Draw a border without fill over unknown ground."""
        line = self.line(placed)
        ring = _box_alpha(placed.width, placed.height, radius).copy()
        inner = ring[line:-line, line:-line]
        inner -= np.minimum(inner, _box_alpha(inner.shape[1], inner.shape[0], max(0, radius - line)))
        color = self.color(placed.node.border, placed.node.enabled, None)
        self.blend(ring, color, placed.left, placed.top, placed.clip)

    # --- leaves ---

    def text(self, placed: Placed, ground: RGB | None) -> None:
        node, font = placed.node, placed.font
        if font is None:
            return
        left, top, right, bottom = (self.px(side) for side in node.padding)
        room = placed.width - left - right
        free = placed.height - top - bottom - font.line * len(placed.lines)
        y = placed.top + top + max(0, free) // 2
        role = (node.color or text_style(node.style).color) if node.text else "on_surface_variant"
        color = self.color(role, node.enabled, ground)
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
            self.caret(placed, x, y - font.line, font)

    def run(self, line: str, x: int, y: int, font: Font, color: RGB, ground: RGB | None, clip: Box) -> None:
        baseline = y + int(font.line / 2 + font.em * 0.342 + 0.5)
        if ground is not None:
            patch, above = _text_patch(line, font.weight, font.size, font.em, color, ground)
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

    def caret(self, placed: Placed, x: int, y: int, font: Font) -> None:
        line = placed.lines[-1] if placed.lines and placed.node.text else ""
        start = x + texts.measure(line, font.weight, font.size)
        thick = max(2, self.px(1.5))
        inset = max(0, (font.line - int(font.em * 1.2)) // 2)
        self.fill((start, y + inset, start + thick, y + font.line - inset), placed.clip, self.theme.color("primary"))

    def icon(self, placed: Placed, ground: RGB | None) -> None:
        node = placed.node
        size = self.px(node.icon_size)
        x, y = self.centre(placed, size, size)
        color = self.color(node.color or "on_surface_variant", node.enabled, ground)
        if ground is not None:
            self.blit(_icon_patch(node.icon, size, color, ground), x, y, placed.clip)
        else:
            self.blend(icons.mask(node.icon, size), color, x, y, placed.clip)

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
            self.blit(_art_patch(picture, radius, ground), x, y, placed.clip)
        else:
            self.blend_art(rgb, alpha, radius, x, y, placed.clip)

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

    def blend(self, alpha: NDArray[np.uint8], color: RGB, x: int, y: int, clip: Box) -> None:
        height, width = alpha.shape
        left, top = max(x, clip[0]), max(y, clip[1])
        right, bottom = min(x + width, clip[2]), min(y + height, clip[3])
        if left < right and top < bottom:
            view = self.image[top:bottom, left:right]
            view[:] = _fade(alpha[top - y : bottom - y, left - x : right - x], color, view)

    def blend_art(self, rgb: Image, alpha: NDArray[np.uint8] | None, radius: int, x: int, y: int, clip: Box) -> None:
        height, width = rgb.shape[:2]
        if radius:
            rounded = _box_alpha(width, height, radius)
            alpha = rounded if alpha is None else cv2.multiply(alpha, rounded, scale=1 / 255)
        left, top = max(x, clip[0]), max(y, clip[1])
        right, bottom = min(x + width, clip[2]), min(y + height, clip[3])
        if left < right and top < bottom and alpha is not None:
            view = self.image[top:bottom, left:right]
            part = (slice(top - y, bottom - y), slice(left - x, right - x))
            view[:] = _over(rgb[part], alpha[part], view)


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
    ground = theme.color("background")
    if not laid.root.node.fill:
        cv2.rectangle(out, (0, 0), (laid.width - 1, laid.height - 1), ground, -1)
    _Painter(out, theme, laid.density).paint(laid.root, ground)
    return out
