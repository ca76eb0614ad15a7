"""The accessibility tree of a laid out screen; `phone` serves it, the oracle pilot and real clients read it.

Invariants: only nodes that can be seen, with the bounds and the text that were drawn. Boxes that only arrange
others are left out. A control (Button, Switch, CheckBox, RadioButton) speaks its first text itself; a text field
is one EditText; a `modal` node hides what lies below it.
"""

from __future__ import annotations

from android_env_gym.devices.base import Bounds, UiNode
from android_env_gym.phone.ui.layout import Laid, Placed
from android_env_gym.phone.ui.node import Node

_CONTROLS = frozenset({"Button", "Switch", "CheckBox", "RadioButton", "Toast"})


def _class(node: Node) -> str:
    name = node.class_name
    if not name:
        if node.scroll:
            name = "ScrollView" if node.axis == "column" else "HorizontalScrollView"
        elif node.field:
            name = "EditText"
        elif node.slider:
            name = "SeekBar"
        elif node.children:
            name = "LinearLayout"
        elif node.text:
            name = "TextView"
        elif node.icon or node.art is not None:
            name = "ImageView"
        else:
            name = "View"
    prefix = "android.view." if name in ("View", "ViewGroup") else "android.widget."
    return name if "." in name else prefix + name


def _matters(node: Node) -> bool:
    if not node.children and (node.text or node.icon or node.art is not None):
        return True
    return bool(
        node.on_tap
        or node.on_long_press
        or node.scroll
        or node.field
        or node.slider
        or node.checkable
        or node.label
        or node.id
        or node.modal
    )


def _first_text(placed: Placed) -> Placed | None:
    if placed.lines and placed.node.text:
        return placed
    for child in placed.children:
        found = _first_text(child)
        if found is not None:
            return found
    return None


def _ui_node(placed: Placed, bounds: Bounds, text: str, depth: int) -> UiNode:
    node = placed.node
    return UiNode(
        bounds=bounds,
        text=text,
        label=node.label,
        resource_id=node.id,
        class_name=_class(node),
        depth=depth,
        clickable=node.on_tap is not None or bool(node.field),
        long_clickable=node.on_long_press is not None,
        scrollable=bool(node.scroll) and placed.scroll_max > 0,
        editable=bool(node.field),
        checkable=node.checkable,
        checked=node.checked,
        selected=node.selected and not node.field,
        focused=node.focused,
        enabled=node.enabled,
        password=node.password,
    )


def _inside(inner: Bounds, outer: Bounds) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _visit(placed: Placed, depth: int, spoken: Placed | None, inside_field: bool, found: list[UiNode]) -> None:
    """Append the node and its descendants; `spoken` is the text leaf that a control above already says."""
    node = placed.node
    left, top, right, bottom = placed.visible
    if right <= left or bottom <= top:
        return
    if node.modal:
        found[:] = [below for below in found if not _inside(below.bounds, (left, top, right, bottom))]
    if _matters(node) and placed is not spoken and not (inside_field and node.on_tap is None):
        said = ""
        if node.field:
            said = "•" * len(node.text) if node.password else node.text or node.hint
        elif node.children:
            if node.class_name in _CONTROLS:
                spoken = _first_text(placed)
                said = spoken.node.text if spoken is not None else ""
        else:
            said = node.text
        found.append(_ui_node(placed, (left, top, right, bottom), said, depth))
        depth += 1
    inside_field = inside_field or bool(node.field)
    for child in placed.children:
        _visit(child, depth, spoken, inside_field, found)


def ui_tree(laid: Laid) -> tuple[UiNode, ...]:
    """Return the visible accessibility nodes in drawing order, parents before children."""
    found: list[UiNode] = []
    _visit(laid.root, 0, None, False, found)
    return tuple(found)
