"""The accessibility tree of a laid out screen; `phone` serves it, the oracle pilot and real clients read it.

Invariants: only nodes that can be seen, with the bounds and the text that were drawn. Boxes that only arrange
others are left out. A container of class Button, Switch, CheckBox, RadioButton, TextView or Toast speaks its first
text itself; a text field is one EditText; a `modal` node hides what lies below it.
"""

from __future__ import annotations

from android_env_gym.devices.base import Bounds, UiNode
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.layout import Laid, Placed
from android_env_gym.phone.ui.node import Node

_SPEAKING = frozenset({"Button", "Switch", "CheckBox", "RadioButton", "TextView", "Toast"})


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


def _matters(placed: Placed) -> bool:
    node = placed.node
    if node.scroll and node.class_name and placed.scroll_max <= 0:
        return False  # the panel of a pop-up, which scrolls only if it does not fit
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


def _written(placed: Placed, visible: Bounds, density: float) -> Bounds:
    """Return the part of `visible` that the lines of a text leaf take up, as a TextView that wraps its content."""
    node, font = placed.node, placed.font
    if font is None or not placed.lines or node.fill or node.on_tap is not None or node.on_long_press is not None:
        return visible
    width = max(texts.measure(line, font.weight, font.size) for line in placed.lines)
    left = placed.left + round(node.padding[0] * density)
    free = placed.left + placed.width - round(node.padding[2] * density) - left - width
    left += {"start": 0, "center": free // 2, "end": free}[node.text_align]
    tight = (max(left, visible[0]), visible[1], min(left + width, visible[2]), visible[3])
    return tight if tight[0] < tight[2] else visible


def _is_silent(node: Node) -> bool:
    """Tell whether a node inside a control or a text field adds nothing to what that already says."""
    return node.on_tap is None and not node.label and not (node.text and not node.children)


def _visit(
    placed: Placed, depth: int, owner: Node | None, spoken: Placed | None, found: list[UiNode], density: float
) -> None:
    """Append the node and its descendants.

    `owner` is the text field or speaking control around the node, `spoken` the text leaf that it already says.
    """
    node = placed.node
    left, top, right, bottom = placed.visible
    if right <= left or bottom <= top:
        return
    if node.modal:
        found[:] = [below for below in found if not _inside(below.bounds, (left, top, right, bottom))]
    hidden = owner is not None and (_is_silent(node) or (bool(owner.field) and node.on_tap is None))
    if _matters(placed) and placed is not spoken and not hidden:
        said = node.text
        if node.field:
            said = "•" * len(node.text) if node.password else node.text or node.hint
            owner = node
        elif node.children and node.class_name.rpartition(".")[2] in _SPEAKING:
            spoken = _first_text(placed)
            said = spoken.node.text if spoken is not None else ""
            owner = node
        bounds = _written(placed, (left, top, right, bottom), density)
        found.append(_ui_node(placed, bounds, said, depth))
        depth += 1
    for child in placed.children:
        _visit(child, depth, owner, spoken, found, density)


def ui_tree(laid: Laid) -> tuple[UiNode, ...]:
    """Return the visible accessibility nodes in drawing order, parents before children."""
    found: list[UiNode] = []
    _visit(laid.root, 0, None, None, found, laid.density)
    return tuple(found)
