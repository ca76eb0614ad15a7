"""From the view tree to placed boxes in pixels: a small flexbox. `phone` calls it once per shown screen.

Invariant: a placed child outside its scroll container's view is not placed at all, so painting, hit test
and accessibility tree walk only what can be seen, and see the same boxes.

Rules beyond `Node`'s docstring:
- Padding is (left, top, right, bottom). A leaf is as large as its content, an art leaf without height is square.
- In a row, `grow` children share what the others leave; if the others need too much, the widest free ones shrink.
- In a column, `grow` children share what is left (their natural height if the column's height is free); if nothing
  is left, scroll containers without `grow` shrink until the rest fits.
- A stack child with a `place` other than "fill" keeps its natural size; words of `place` choose the edges.
- A `scroll` node scrolls along its axis; a column's natural height is that of its whole content. Empty boxes that
  grow share what its content leaves free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.ui.theme import text_style

Box = tuple[int, int, int, int]
_NO_PADDING = (0.0, 0.0, 0.0, 0.0)
_ZERO = (0, 0, 0, 0)
_FAR = 1_000_000  # pixels; no content is as long


class Font(msgspec.Struct, frozen=True):
    """A text style in pixels: OpenCV size, line height, em and weight."""

    size: int
    line: int
    em: float
    weight: int


class Placed(msgspec.Struct, frozen=True):
    """A node with its box in pixels. `clip` is (left, top, right, bottom) of what its ancestors let through.

    `lines` and `font` are set for text leaves. For scroll containers `offset` and `scroll_max` are the present
    (clamped) and the largest offset in dp.
    """

    node: Node
    left: int
    top: int
    width: int
    height: int
    clip: Box
    children: tuple[Placed, ...] = ()
    lines: tuple[str, ...] = ()
    font: Font | None = None
    offset: float = 0.0
    scroll_max: float = 0.0

    @property
    def visible(self) -> Box:
        """The visible part of the box as (left, top, right, bottom); empty if right <= left or bottom <= top."""
        left, top, right, bottom = self.clip
        return (
            max(left, self.left),
            max(top, self.top),
            min(right, self.left + self.width),
            min(bottom, self.top + self.height),
        )


class Laid(msgspec.Struct, frozen=True):
    """A laid out screen. `scroll_max` maps the id of each scroll container to its largest offset in dp."""

    root: Placed
    width: int
    height: int
    density: float
    scroll_max: dict[str, float]


@lru_cache(maxsize=512)
def _font(style: str, density: float, font_scale: float) -> Font:
    entry = text_style(style)
    scale = density * (1.0 if entry.fixed else font_scale)
    em = entry.size * scale
    return Font(texts.font_size(em), round(entry.line * scale), em, entry.weight)


@lru_cache(maxsize=2048)
def _padding(padding: tuple[float, float, float, float], density: float) -> Box:
    left, top, right, bottom = (int(side * density + 0.5) for side in padding)
    return left, top, right, bottom


def _share(total: int, weights: list[float]) -> list[int]:
    """Split `total` by `weights` into integers that add up."""
    whole = sum(weights)
    parts: list[int] = []
    done = 0.0
    for weight in weights:
        start = int(done * total / whole + 0.5)
        done += weight
        parts.append(int(done * total / whole + 0.5) - start)
    return parts


class _Pass:
    """One layout run. Memo keys use `id(node)`; the root, held by the caller, keeps every node alive."""

    def __init__(self, density: float, font_scale: float, scroll: Mapping[str, float], clipped: bool) -> None:
        self.density = density
        self.font_scale = font_scale
        self.scroll = scroll
        self.clipped = clipped
        self.scroll_max: dict[str, float] = {}
        self.widths: dict[tuple[int, int], int] = {}
        self.heights: dict[tuple[int, int], int] = {}
        self.rows: dict[tuple[int, int], list[int]] = {}
        self.fonts: dict[str, Font] = {}

    def font(self, style: str) -> Font:
        found = self.fonts.get(style)
        if found is None:
            found = self.fonts[style] = _font(style, self.density, self.font_scale)
        return found

    def lines(self, node: Node, width: int) -> tuple[str, ...]:
        font = self.font(node.style)
        if node.focused and node.lines == 1:
            shown = texts.clean(node.text or node.hint)
            if not node.text:
                return (shown,)
            return (texts.window(shown, node.caret, font.weight, font.size, width - 3)[1],)
        return texts.wrap(node.text or node.hint, font.weight, font.size, max(1, width), node.lines)

    # --- natural width: what a node would like, at most `room` ---

    def width(self, node: Node, room: int) -> int:
        fixed = node.width
        if fixed is not None:
            return int(fixed * self.density + 0.5)
        key = (id(node), room)
        found = self.widths.get(key)
        if found is None:
            left, _, right, _ = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
            inner = self._content_width(node, room - left - right)
            found = self.widths[key] = min(room, inner + left + right)
        return found

    def _content_width(self, node: Node, room: int) -> int:
        children = node.children
        if children:
            if node.axis == "row":
                gaps = int(node.gap * self.density + 0.5) * (len(children) - 1)
                return sum([self.width(child, room) for child in children]) + gaps
            return max([self.width(child, room) for child in children])
        if node.text or node.hint:
            font = self.font(node.style)
            shown = node.text or node.hint
            if "\n" in shown:
                return max(texts.measure(line, font.weight, font.size) for line in shown.split("\n"))
            return texts.measure(shown, font.weight, font.size) + 1
        if node.icon:
            return int(node.icon_size * self.density + 0.5)
        if node.art is not None and node.height is not None:
            return int(node.height * self.density + 0.5)
        return 0

    def row_widths(self, node: Node, inner: int) -> list[int]:
        """Return the width of each child of a row that has `inner` pixels."""
        key = (id(node), inner)
        found = self.rows.get(key)
        if found is not None:
            return found
        children = node.children
        endless = bool(node.scroll)
        widths = [0 if child.grow and not endless else self.width(child, inner) for child in children]
        if not endless:
            left = inner - int(node.gap * self.density + 0.5) * (len(children) - 1) - sum(widths)
            growing = [index for index, child in enumerate(children) if child.grow]
            if left > 0 and growing:
                for index, part in zip(growing, _share(left, [children[i].grow for i in growing]), strict=True):
                    widths[index] = part
            elif left < 0:
                self._shrink(children, widths, -left)
        self.rows[key] = widths
        return widths

    @staticmethod
    def _shrink(children: tuple[Node, ...], widths: list[int], excess: int) -> None:
        free = [index for index, child in enumerate(children) if child.width is None and widths[index]]
        while excess > 0 and free:
            widest = max(free, key=widths.__getitem__)
            others = [widths[index] for index in free if index != widest]
            cut = min(excess, max(widths[widest] - max(others, default=0), -(-excess // len(free))), widths[widest])
            widths[widest] -= cut
            excess -= cut
            if not widths[widest]:
                free.remove(widest)

    # --- height at an exact width ---

    def height(self, node: Node, width: int) -> int:
        fixed = node.height
        if fixed is not None:
            return int(fixed * self.density + 0.5)
        key = (id(node), width)
        found = self.heights.get(key)
        if found is None:
            left, top, right, bottom = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
            found = self._content_height(node, width - left - right) + top + bottom
            if node.min_height:
                found = max(found, int(node.min_height * self.density + 0.5))
            self.heights[key] = found
        return found

    def _content_height(self, node: Node, inner: int) -> int:
        children = node.children
        if children:
            if node.axis == "column":
                gaps = int(node.gap * self.density + 0.5) * (len(children) - 1)
                stretch = node.align == "stretch"
                return gaps + sum([self.height(c, self._across(c, inner, stretch)) for c in children])
            if node.axis == "row":
                widths = self.row_widths(node, inner)
                return max([self.height(child, w) for child, w in zip(children, widths, strict=True)])
            return max([self.height(c, self._across(c, inner, c.place == "fill")) for c in children])
        if node.text or node.hint:
            return len(self.lines(node, inner)) * self.font(node.style).line
        if node.icon:
            return int(node.icon_size * self.density + 0.5)
        return inner if node.art is not None else 0

    def _across(self, child: Node, inner: int, stretch: bool) -> int:
        if stretch and child.width is None:
            return inner
        return min(inner, self.width(child, inner))

    # --- placing ---

    def place(self, node: Node, left: int, top: int, width: int, height: int, clip: Box) -> Placed:
        if not node.children:
            if node.text or node.hint:
                return self._place_text(node, left, top, width, height, clip)
            return Placed(node, left, top, width, height, clip)
        if node.axis == "stack":
            children = self._place_stack(node, left, top, width, height, clip)
            return Placed(node, left, top, width, height, clip, children)
        if node.scroll:
            return self._place_scroll(node, left, top, width, height, clip)
        pad = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
        x, y = left + pad[0], top + pad[1]
        across, along = width - pad[0] - pad[2], height - pad[1] - pad[3]
        if node.axis == "row":
            children = self._place_row(node, x, y, across, along, clip)
        else:
            children = self._place_column(node, x, y, across, along, clip)
        return Placed(node, left, top, width, height, clip, children)

    def _place_text(self, node: Node, left: int, top: int, width: int, height: int, clip: Box) -> Placed:
        pad = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
        lines = self.lines(node, width - pad[0] - pad[2])
        return Placed(node, left, top, width, height, clip, (), lines, self.font(node.style))

    def _place_scroll(self, node: Node, left: int, top: int, width: int, height: int, clip: Box) -> Placed:
        pad = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
        across, along = width - pad[0] - pad[2], height - pad[1] - pad[3]
        inside = (
            max(clip[0], left),
            max(clip[1], top),
            min(clip[2], left + width),
            min(clip[3], top + height),
        )
        if not self.clipped:
            inside = clip
        is_row = node.axis == "row"
        if is_row:
            gaps = int(node.gap * self.density + 0.5) * (len(node.children) - 1)
            most = max(0, sum(self.row_widths(node, across)) + gaps - across)
        else:
            most = max(0, self._content_height(node, across) - along)
        begin = most / self.density if node.from_end else 0.0
        offset = min(max(0, int(self.scroll.get(node.scroll, begin) * self.density + 0.5)), most)
        most_dp = most / self.density
        self.scroll_max[node.scroll] = most_dp
        x, y = left + pad[0], top + pad[1]
        if is_row:
            children = self._place_row(node, x - offset, y, across, along, inside)
        else:
            children = self._place_column(node, x, y - offset, across, along, inside)
        return Placed(node, left, top, width, height, clip, children, offset=offset / self.density, scroll_max=most_dp)

    def _column_heights(self, node: Node, widths: list[int], along: int, gap: int) -> tuple[list[int], int]:
        """Return the children's heights and the pixels left over."""
        children = node.children
        heights = [
            0 if child.grow and not node.scroll else self.height(child, w)
            for child, w in zip(children, widths, strict=True)
        ]
        left = along - gap * (len(children) - 1) - sum(heights)
        growing = [i for i, child in enumerate(children) if child.grow and not (node.scroll and child.children)]
        if left > 0 and growing:
            for index, part in zip(growing, _share(left, [children[i].grow for i in growing]), strict=True):
                heights[index] = part
            return heights, 0
        if left < 0 and not node.scroll:
            for index, child in enumerate(children):
                if left < 0 and child.scroll:
                    cut = min(-left, heights[index])
                    heights[index] -= cut
                    left += cut
        return heights, max(0, left)

    def _place_column(self, node: Node, x: int, y: int, across: int, along: int, clip: Box) -> tuple[Placed, ...]:
        children = node.children
        align = node.align
        widths = [self._across(child, across, align == "stretch") for child in children]
        gap = int(node.gap * self.density + 0.5)
        heights, left = self._column_heights(node, widths, along, gap)
        y, extra = _justify(node.justify, y, left, len(children))
        placed: list[Placed] = []
        for child, w, h in zip(children, widths, heights, strict=True):
            if y < clip[3] and y + h > clip[1]:
                shift = 0 if align in ("stretch", "start") else (across - w) // (2 if align == "center" else 1)
                placed.append(self.place(child, x + shift, y, w, h, clip))
            y += h + gap + extra
        return tuple(placed)

    def _place_row(self, node: Node, x: int, y: int, across: int, along: int, clip: Box) -> tuple[Placed, ...]:
        children = node.children
        align = node.align
        widths = self.row_widths(node, across)
        gap = int(node.gap * self.density + 0.5)
        left = 0 if node.scroll else max(0, across - sum(widths) - gap * (len(children) - 1))
        x, extra = _justify(node.justify, x, left, len(children))
        placed: list[Placed] = []
        for child, w in zip(children, widths, strict=True):
            if x < clip[2] and x + w > clip[0]:
                h = along if align == "stretch" and child.height is None else min(along, self.height(child, w))
                shift = 0 if align == "start" else (along - h) // (1 if align == "end" else 2)
                placed.append(self.place(child, x, y + shift, w, h, clip))
            x += w + gap + extra
        return tuple(placed)

    def _place_stack(self, node: Node, left: int, top: int, width: int, height: int, clip: Box) -> tuple[Placed, ...]:
        pad = _padding(node.padding, self.density) if node.padding != _NO_PADDING else _ZERO
        left, top = left + pad[0], top + pad[1]
        width, height = width - pad[0] - pad[2], height - pad[1] - pad[3]
        placed: list[Placed] = []
        for child in node.children:
            where = child.place
            if where == "fill":
                w = width if child.width is None else self.width(child, width)
                h = height if child.height is None else self.height(child, w)
            else:
                w = min(width, self.width(child, width))
                h = min(height, self.height(child, w))
            x = left if "left" in where else left + width - w if "right" in where else left + (width - w) // 2
            y = top if "top" in where else top + height - h if "bottom" in where else top + (height - h) // 2
            placed.append(self.place(child, x, y, w, h, clip))
        return tuple(placed)


def _justify(justify: str, start: int, left: int, count: int) -> tuple[int, int]:
    """Return where the first child starts and the extra gap between children."""
    if not left or justify == "start":
        return start, 0
    if justify == "between":
        return start, left // (count - 1) if count > 1 else 0
    return start + (left // 2 if justify == "center" else left), 0


def layout(
    root: Node,
    width_px: int,
    height_px: int,
    density: float = 1.5,
    font_scale: float = 1.0,
    scroll: Mapping[str, float] | None = None,
    *,
    clipped: bool = True,
) -> Laid:
    """Place `root` on a screen of `width_px` x `height_px` pixels.

    Args:
        root: The view tree; it fills the screen.
        width_px: Width of the screen in pixels.
        height_px: Height of the screen in pixels.
        density: Pixels per dp.
        font_scale: Factor on text sizes.
        scroll: Offset in dp per scroll container id; clamped to what there is.
        clipped: False places what is scrolled away too, to find out where it is.

    Raises:
        UnknownNameError: a node names a text style that does not exist.
    """
    run = _Pass(density, font_scale, scroll or {}, clipped)
    clip = (0, 0, width_px, height_px) if clipped else (-_FAR, -_FAR, _FAR, _FAR)
    placed = run.place(root, 0, 0, width_px, height_px, clip)
    return Laid(placed, width_px, height_px, density, run.scroll_max)
