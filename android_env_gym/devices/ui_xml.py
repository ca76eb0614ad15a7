"""uiautomator's window dump (XML) as the flat accessibility tree of `Device.ui_tree`. Called by `adb.AdbDevice`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from android_env_gym.devices.base import Bounds, DeviceFailure, UiNode

_BOUNDS = re.compile(r"\[(-?\d+),(-?\d+)\]\[(-?\d+),(-?\d+)\]")
_EDITABLE = ("EditText", "AutoCompleteTextView")


def parse_dump(xml: str, size: tuple[int, int]) -> tuple[UiNode, ...]:
    """Return the nodes of a dump that lie on the screen of `size` (width, height), in document order.

    Raises:
        DeviceFailure: The dump is no XML.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise DeviceFailure("crashed", f"the window dump of {len(xml)} characters is no XML: {error}") from error
    found: list[UiNode] = []
    for element, depth in _walk(root, -1):
        bounds = _clipped(element.get("bounds", ""), size)
        if element.tag == "node" and bounds is not None:
            found.append(_node(element, bounds, depth))
    return tuple(found)


def _walk(element: ElementTree.Element, depth: int) -> Iterator[tuple[ElementTree.Element, int]]:
    stack = [(element, depth)]
    while stack:
        current, level = stack.pop()
        yield current, level
        stack += [(child, level + 1) for child in reversed(current)]


def _clipped(text: str, size: tuple[int, int]) -> Bounds | None:
    match = _BOUNDS.fullmatch(text)
    if match is None:
        return None
    left, top, right, bottom = (int(part) for part in match.groups())
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _node(element: ElementTree.Element, bounds: Bounds, depth: int) -> UiNode:
    class_name = element.get("class", "android.view.View")

    def is_true(name: str, default: str = "false") -> bool:
        return element.get(name, default) == "true"

    return UiNode(
        bounds=bounds,
        text=element.get("text", ""),
        label=element.get("content-desc", ""),
        resource_id=element.get("resource-id", "").rpartition("/")[2],
        class_name=class_name,
        depth=depth,
        clickable=is_true("clickable"),
        long_clickable=is_true("long-clickable"),
        scrollable=is_true("scrollable"),
        editable=class_name.endswith(_EDITABLE),
        checkable=is_true("checkable"),
        checked=is_true("checked"),
        selected=is_true("selected"),
        focused=is_true("focused"),
        enabled=is_true("enabled", "true"),
        password=is_true("password"),
    )
