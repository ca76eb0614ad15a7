"""Which node a touch means: the topmost one under the point that wants the gesture. `phone` calls it per touch.

Invariant: what cannot be seen cannot be touched: clips count, a `modal` node hides what lies below its box, and
a filled node hides the siblings below it. A touch goes from the deepest node up its ancestors; the panel of a
modal node keeps touches from the modal's own handlers, so that only a touch beside the panel dismisses it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from android_env_gym.phone.ui.layout import Laid, Placed
from android_env_gym.phone.ui.node import Event, Node, Slid

Gesture = Literal["tap", "long_press", "swipe_left", "swipe_right", "swipe_up", "swipe_down"]
_HANDLERS: dict[str, str] = {
    "tap": "on_tap",
    "long_press": "on_long_press",
    "swipe_left": "on_swipe_left",
    "swipe_right": "on_swipe_right",
    "swipe_up": "on_swipe_up",
    "swipe_down": "on_swipe_down",
}


class Hit(msgspec.Struct, frozen=True):
    """What a gesture reached: the node, and one of an event, a text field's id, or a slider event."""

    placed: Placed
    event: Event | None = None
    field: str = ""


class _Stop(msgspec.Struct, frozen=True):
    """The touch ended on something that hides what is below but wants nothing of this gesture.

    `final` is True when ancestors must not see the touch either.
    """

    final: bool


_OPAQUE = _Stop(final=False)
_SWALLOWED = _Stop(final=True)


def contains(placed: Placed, x: int, y: int) -> bool:
    """Tell whether the visible part of a placed node contains the pixel."""
    left, top, right, bottom = placed.clip
    return (
        placed.left <= x < placed.left + placed.width
        and placed.top <= y < placed.top + placed.height
        and left <= x < right
        and top <= y < bottom
    )


def slider_value(placed: Placed, x: int, density: float) -> float:
    """Return the value in [0, 1] of a slider touched at the column `x`; its track is inset by half the height."""
    inset = 24 / 100 * min(placed.width, placed.height)
    span = placed.width - 2 * inset
    return min(max((x - placed.left - inset) / max(span, density), 0.0), 1.0)


def _own(placed: Placed, x: int, gesture: Gesture, density: float) -> Hit | None:
    node = placed.node
    event: Event | None = getattr(node, _HANDLERS[gesture])
    if event is not None:
        return Hit(placed, event)
    if gesture in ("tap", "long_press"):
        if node.field:
            return Hit(placed, None, node.field)
        if node.slider and gesture == "tap":
            return Hit(placed, Slid(node.slider, slider_value(placed, x, density)))
    return None


def _find(placed: Placed, x: int, y: int, gesture: Gesture, density: float) -> Hit | _Stop | None:
    if not contains(placed, x, y):
        return None
    node = placed.node
    inner: Hit | _Stop | None = None
    for child in reversed(placed.children):
        inner = _find(child, x, y, gesture, density)
        if inner is not None:
            break
    if isinstance(inner, Hit) or inner is _SWALLOWED:
        return inner
    if not node.enabled and (node.on_tap is not None or node.field or node.slider):
        return _SWALLOWED
    if node.modal and inner is not None:
        return _SWALLOWED
    own = _own(placed, x, gesture, density)
    if own is not None:
        return own
    if node.modal:
        return _SWALLOWED
    return _OPAQUE if inner is not None or node.fill or node.on_tap is not None else None


def hit(laid: Laid, x_px: int, y_px: int, gesture: Gesture = "tap") -> Hit | None:
    """Return what `gesture` at the pixel reaches, or None.

    A tap reaches an `on_tap`, a text field (`Hit.field`) or a slider (`Hit.event` is a `Slid`); a long press an
    `on_long_press` or a field; a swipe the handler of its direction.
    """
    found = _find(laid.root, x_px, y_px, gesture, laid.density)
    return found if isinstance(found, Hit) else None


def _path(placed: Placed, x: int, y: int) -> list[Placed]:
    """Return the topmost visible nodes under the pixel, outermost first."""
    if not contains(placed, x, y):
        return []
    for child in reversed(placed.children):
        inner = _path(child, x, y)
        if inner:
            return [placed, *inner]
    node = placed.node
    seen = node.fill or node.text or node.hint or node.icon or node.art or node.on_tap or node.scroll or node.modal
    return [placed] if seen or node.slider or node.field else []


def path_at(laid: Laid, x_px: int, y_px: int) -> tuple[Placed, ...]:
    """Return the visible nodes under the pixel, outermost first; a `modal` node cuts off its ancestors."""
    path = _path(laid.root, x_px, y_px)
    for index in range(len(path) - 1, -1, -1):
        if path[index].node.modal:
            return tuple(path[index:])
    return tuple(path)


def scroll_at(laid: Laid, x_px: int, y_px: int, axis: Literal["column", "row"] = "column") -> Placed | None:
    """Return the innermost container under the pixel that can scroll along `axis`, or None."""
    for placed in reversed(path_at(laid, x_px, y_px)):
        if placed.node.scroll and placed.node.axis == axis and placed.scroll_max > 0:
            return placed
    return None


def slider_at(laid: Laid, x_px: int, y_px: int) -> Placed | None:
    """Return the enabled slider under the pixel, which a horizontal drag moves, or None."""
    for placed in reversed(path_at(laid, x_px, y_px)):
        if placed.node.slider and placed.node.enabled:
            return placed
    return None


def field_node(root: Node, field: str) -> Node | None:
    """Return the node of a view tree whose `field` is `field`, on screen or scrolled away, or None."""
    if root.field == field:
        return root
    for child in root.children:
        found = field_node(child, field)
        if found is not None:
            return found
    return None
