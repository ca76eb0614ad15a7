"""The phone's screen as Android's accessibility windows: what uiautomator dumps, matches and describes.

Invariant: every node of `ServedPhone.tree()` is one element with the same bounds, text and flags; only a root per
window is added. The first window is the active one. Called by the uiautomator2 server and by `uiautomator dump`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from android_env_gym.devices.base import Bounds, UiNode
from android_env_gym.phone.adbd import packages
from android_env_gym.phone.adbd.served import ServedPhone

DEFAULT_DEPTH = 50
ROOT_CLASS = "android.widget.FrameLayout"
_SYSTEM_WINDOWS = {
    "status_bar": packages.SYSTEM_UI,
    "gesture_bar": packages.SYSTEM_UI,
    "keyboard": packages.LATIN_KEYBOARD,
}
_HEADER = "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\r\n"
_ENTITIES = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;", '"': "&quot;", "'": "&apos;"}
# What XML 1.0 cannot hold; Android's dumper writes a full stop instead.
_FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufddf\ufffe\uffff"
_NOT_XML = re.compile(f"[{_FORBIDDEN}]")
_SPECIAL = re.compile(f"[&<>\"'\n\r\t{_FORBIDDEN}]")
_SAID = {False: "false", True: "true"}


@dataclass(eq=False, slots=True)
class Element:
    """A node of a window's accessibility tree, with what the flat `UiNode` leaves out: parent, index, package."""

    node: UiNode
    package: str
    parent: Element | None
    index: int
    children: list[Element]

    @property
    def text(self) -> str | None:
        """The text, None for a view that has none (an empty text field has one: "")."""
        return self.node.text if self.node.text or self.node.editable else None

    @property
    def description(self) -> str | None:
        """The content description, None if there is none."""
        return self.node.label or None

    @property
    def resource_name(self) -> str | None:
        """The full resource name "package:id/name", None if the view has no id."""
        name = self.node.resource_id
        return f"{self.package}:id/{name}" if name else None

    @property
    def focusable(self) -> bool:
        """Whether keyboard navigation can reach the view."""
        return self.node.clickable or self.node.editable or self.node.checkable or self.node.scrollable

    @property
    def center(self) -> tuple[int, int]:
        """The pixel in the middle of the visible bounds."""
        left, top, right, bottom = self.node.bounds
        return (left + right) // 2, (top + bottom) // 2

    def walk(self) -> Iterator[Element]:
        """Yield this element and its descendants, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def windows(served: ServedPhone) -> tuple[Element, ...]:
    """Return the root of every window that can be seen, the active window first."""
    with served.lock:
        nodes, panel = served.tree(), served.state.system.shade
        active = packages.SYSTEM_UI if panel in ("notifications", "quick") else served.resumed()[0]
        width, height = served.size
    system = {} if panel else _SYSTEM_WINDOWS  # a panel brings a status bar of its own
    groups: list[tuple[str, list[UiNode]]] = [(active, [])]
    current = groups[0][1]
    for node in nodes:
        if node.depth == 0:
            current = groups[0][1]
            if node.resource_id in system:
                current = []
                groups.append((system[node.resource_id], current))
        current.append(node)
    roots = []
    for index, (package, members) in enumerate(groups):
        bounds = (0, 0, width, height) if index == 0 else _around(members)
        roots.append(_window(package, members, bounds))
    return tuple(roots)


def to_xml(roots: Sequence[Element], rotation: int, *, compressed: bool = False, max_depth: int = DEFAULT_DEPTH) -> str:
    """Return the windows as uiautomator's hierarchy XML.

    Args:
        roots: The windows' roots.
        rotation: The screen's rotation in quarter turns.
        compressed: Leave out the views that only arrange others.
        max_depth: Levels below a window's root.
    """
    lines = [f'<hierarchy rotation="{rotation}">']
    for root in roots:
        _dump(root, 1, max_depth, compressed, lines)
    lines.append("</hierarchy>")
    return _HEADER + "\r\n".join(lines)


def describe(element: Element) -> dict[str, Any]:
    """Return what `objInfo` tells about an element."""
    node = element.node
    left, top, right, bottom = node.bounds
    bounds = {"bottom": bottom, "left": left, "right": right, "top": top}
    return {
        "bounds": bounds,
        "checkable": node.checkable,
        "checked": node.checked,
        "childCount": len(element.children),
        "className": node.class_name,
        "clickable": node.clickable,
        "contentDescription": element.description,
        "enabled": node.enabled,
        "focusable": element.focusable,
        "focused": node.focused,
        "longClickable": node.long_clickable,
        "packageName": element.package,
        "resourceName": element.resource_name,
        "scrollable": node.scrollable,
        "selected": node.selected,
        "text": element.text,
        "visibleBounds": dict(bounds),
    }


def _window(package: str, nodes: Sequence[UiNode], bounds: Bounds) -> Element:
    root = Element(UiNode(bounds, class_name=ROOT_CLASS, depth=-1), package, None, 0, [])
    path = [root]
    for node in nodes:
        while path[-1].node.depth >= node.depth:
            path.pop()
        parent = path[-1]
        element = Element(node, package, parent, len(parent.children), [])
        parent.children.append(element)
        path.append(element)
    return root


def _around(nodes: Sequence[UiNode]) -> Bounds:
    return (
        min(node.bounds[0] for node in nodes),
        min(node.bounds[1] for node in nodes),
        max(node.bounds[2] for node in nodes),
        max(node.bounds[3] for node in nodes),
    )


def _is_important(element: Element) -> bool:
    node = element.node
    can = node.clickable or node.long_clickable or node.scrollable or node.checkable or node.editable
    return bool(can or node.text or node.label or not element.children)


def _shown_children(element: Element, compressed: bool) -> Iterator[Element]:
    for child in element.children:
        if compressed and not _is_important(child):
            yield from _shown_children(child, compressed)
        else:
            yield child


def _dump(element: Element, level: int, depth: int, compressed: bool, lines: list[str], index: int = 0) -> None:
    indent = "  " * level
    opened = f"{indent}<node {_attributes(element, index)}"
    children = list(_shown_children(element, compressed)) if depth > 0 else []
    if not children:
        lines.append(f"{opened} />")
        return
    lines.append(f"{opened}>")
    for place, child in enumerate(children):
        _dump(child, level + 1, depth - 1, compressed, lines, place)
    lines.append(f"{indent}</node>")


def _attributes(element: Element, index: int) -> str:
    node, said = element.node, _SAID
    unfriendly = 'NAF="true" ' if _is_unfriendly(element) else ""
    name = element.resource_name or ""
    hint = node.label if node.editable else ""
    left, top, right, bottom = node.bounds
    return (
        f'{unfriendly}index="{index}" text="{_escaped(node.text)}" resource-id="{_escaped(name)}" '
        f'class="{_escaped(node.class_name)}" package="{_escaped(element.package)}" '
        f'content-desc="{_escaped(node.label)}" checkable="{said[node.checkable]}" checked="{said[node.checked]}" '
        f'clickable="{said[node.clickable]}" enabled="{said[node.enabled]}" focusable="{said[element.focusable]}" '
        f'focused="{said[node.focused]}" scrollable="{said[node.scrollable]}" '
        f'long-clickable="{said[node.long_clickable]}" password="{said[node.password]}" '
        f'selected="{said[node.selected]}" visible-to-user="true" bounds="[{left},{top}][{right},{bottom}]" '
        f'drawing-order="{index + 1}" hint="{_escaped(hint)}" display-id="0"'
    )


def _is_unfriendly(element: Element) -> bool:
    """Tell whether a screen reader could not say what tapping the element does ("not accessibility friendly")."""
    if not (element.node.clickable and element.node.enabled):
        return False
    return not any(item.node.text or item.node.label for item in element.walk())


def _escaped(text: str) -> str:
    return escape(_NOT_XML.sub(".", text), _ENTITIES) if _SPECIAL.search(text) else text
