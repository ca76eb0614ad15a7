"""uiautomator2's methods on what a selector means: exist, wait, info, text, gestures, scrolling, childBy...

Invariant: an object is found anew at each call; what means nothing on the screen is `UiObjectNotFoundException`.
Waiting moves the phone's own clock, never the wall clock, and not at all for what is already there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count as counter
from typing import Any

import msgspec

from android_env_gym.phone.adbd import ime
from android_env_gym.phone.adbd.hierarchy import Element, describe, windows
from android_env_gym.phone.adbd.rpc import Overload, object_not_found, overload
from android_env_gym.phone.adbd.selectors import Pattern, Selector, find, find_all, find_instances
from android_env_gym.phone.adbd.served import EVENT_S, LONG_PRESS_MS, ServedPhone
from android_env_gym.phone.adbd.uia2_device import STEP_MS
from android_env_gym.phone.adbd.uia2_scroll import Scroller

POLL_MS = 500
MAX_POLLS = 200
MAX_OBJECTS = 1024
CORNER_INSET = 5
_Target = Selector | Pattern
Key = str | Selector


class ObjectMethods:
    """The methods that take a selector, or the key of an object that `childBy...` returned."""

    def __init__(self, served: ServedPhone) -> None:
        self._served = served
        self._scroller = Scroller(served)
        self._objects: dict[str, Pattern] = {}
        self._keys = counter(1)

    def methods(self) -> dict[str, tuple[Overload, ...]]:
        """Return the signatures by method name."""
        return {
            "exist": (overload("object", self.exist),),
            "count": (overload("selector", self.count),),
            "objInfo": (overload("object", self.info),),
            "objInfoOfAllInstances": (overload("selector", self.info_of_all),),
            "waitForExists": (overload("object int", self.wait_for),),
            "waitUntilGone": (overload("object int", self.wait_until_gone),),
            "getText": (overload("object", self.text),),
            "setText": (overload("object text", self.set_text),),
            "clearTextField": (overload("object", self.clear_text),),
            "click": (overload("object", self.click), overload("object text", self.click)),
            "longClick": (overload("object", self.long_click), overload("object text", self.long_click)),
            "dragTo": (overload("object selector int", self.drag_to), overload("object int int int", self.drag_by)),
            "swipe": (
                overload("object text int", self.swipe),
                overload("object text float int", lambda key, way, _, steps: self.swipe(key, way, steps)),
            ),
            "gesture": (overload("object point point point point int", self.two_fingers),),
            "pinchIn": (overload("object int int", self.two_fingers),),
            "pinchOut": (overload("object int int", self.two_fingers),),
            "childByText": (
                overload("selector selector text", self.child_by_text),
                overload("selector selector text bool", self.child_by_text),
            ),
            "childByDescription": (
                overload("selector selector text", self.child_by_description),
                overload("selector selector text bool", self.child_by_description),
            ),
            "childByInstance": (overload("selector selector int", self.child_by_instance),),
            **self._scroller.methods(),
        }

    # --- looking ---

    def exist(self, key: Key) -> bool:
        """Tell whether the object is on the screen."""
        target = self._objects.get(key) if isinstance(key, str) else key
        return target is not None and find(windows(self._served), target) is not None

    def count(self, selector: Selector) -> int:
        """Return how many elements the selector means."""
        return len(self._all(selector))

    def info(self, key: Key) -> dict[str, Any]:
        """Describe the object."""
        return describe(self._element(self._target(key)))

    def info_of_all(self, selector: Selector) -> list[dict[str, Any]]:
        """Describe every element that the selector means."""
        return [describe(element) for element in self._all(selector)]

    def wait_for(self, key: Key, timeout_ms: int) -> bool:
        """Let at most `timeout_ms` of the phone's time pass until the object is there."""
        target = self._target(key)
        return self._wait(lambda: find(windows(self._served), target) is not None, timeout_ms)

    def wait_until_gone(self, key: Key, timeout_ms: int) -> bool:
        """Let at most `timeout_ms` of the phone's time pass until the object is gone."""
        target = self._target(key)
        return self._wait(lambda: find(windows(self._served), target) is None, timeout_ms)

    def _wait(self, reached: Callable[[], bool], timeout_ms: int) -> bool:
        step = max(POLL_MS, timeout_ms // MAX_POLLS)
        left = timeout_ms
        while not reached():
            if left <= 0:
                return False
            self._served.wait(min(step, left) / 1000)
            left -= step
        return True

    # --- text ---

    def text(self, key: Key) -> str | None:
        """Return the object's text; of an empty text field its hint, as Android does."""
        return self._element(self._target(key)).text

    def set_text(self, key: Key, text: str | None) -> bool:
        """Tap the object and put `text` in place of its text; in what is no text field, nothing is typed."""
        target = self._target(key)
        self._tap(self._element(target))
        element = self._element(target)
        if element.node.editable and element.node.focused:
            ime.replace_text(self._served, text or "")
        return True

    def clear_text(self, key: Key) -> None:
        """Empty the object's text field."""
        self.set_text(key, "")

    # --- touching ---

    def click(self, key: Key, corner: str | None = "center") -> bool:
        """Tap the object, or a corner of it."""
        return self._press(key, corner, 100)

    def long_click(self, key: Key, corner: str | None = "center") -> bool:
        """Press the object, or a corner of it, until a long press."""
        return self._press(key, corner, LONG_PRESS_MS)

    def drag_to(self, key: Key, target: Selector, steps: int) -> bool:
        """Drag the object onto another."""
        return self.drag_by(key, *self._element(target).center, steps)

    def drag_by(self, key: Key, x: int, y: int, steps: int) -> bool:
        """Drag the object to a pixel."""
        start = self._element(self._target(key)).center
        self._served.swipe(*start, x, y, max(steps, 1) * STEP_MS)
        return True

    def swipe(self, key: Key, way: str | None, steps: int) -> bool:
        """Swipe across the object: "up", "down", "left" or "right"."""
        element = self._element(self._target(key))
        left, top, right, bottom = element.node.bounds
        (x, y), inset = element.center, CORNER_INSET
        lines = {
            "u": (x, bottom - inset, x, top + inset),
            "d": (x, top + inset, x, bottom - inset),
            "l": (right - inset, y, left + inset, y),
            "r": (left + inset, y, right - inset, y),
        }
        line = lines.get((way or "").lower()[:1])
        if line is not None:
            self._served.swipe(*line, max(steps, 1) * STEP_MS)
        return line is not None

    def two_fingers(self, key: Key, *fingers: object) -> bool:
        """Touch the object with two fingers: no app of this phone zooms, so only time passes."""
        self._element(self._target(key))
        self._served.wait(EVENT_S)
        return True

    def _press(self, key: Key, corner: str | None, ms: int) -> bool:
        element = self._element(self._target(key))
        left, top, right, bottom = element.node.bounds
        points = {
            "c": element.center,
            "center": element.center,
            "tl": (left + CORNER_INSET, top + CORNER_INSET),
            "topleft": (left + CORNER_INSET, top + CORNER_INSET),
            "br": (right - CORNER_INSET, bottom - CORNER_INSET),
            "bottomright": (right - CORNER_INSET, bottom - CORNER_INSET),
        }
        point = points.get((corner or "center").lower())
        if point is not None:
            self._served.long_press(*point, ms)
        return point is not None

    def _tap(self, element: Element) -> None:
        self._served.tap(*element.center)

    # --- children of a collection ---

    def child_by_text(self, inside: Selector, child: Selector, text: str | None, scroll: bool | None = None) -> str:
        """Return the key of the `child` in `inside` that has the text, or has something with the text in it."""
        wanted = text or ""
        self._scroll_if(inside, scroll, _with_text(wanted))
        return self._child(inside, child, _with_text(wanted), lambda row: row.text == wanted, f'text= "{text}"')

    def child_by_description(
        self, inside: Selector, child: Selector, text: str | None, scroll: bool | None = None
    ) -> str:
        """Return the key of the `child` in `inside` whose description, or one in it, contains the text."""
        wanted = text or ""
        below = Selector(mask=0x80, description_contains=wanted)
        self._scroll_if(inside, scroll, below)
        return self._child(
            inside, child, below, lambda row: wanted in (row.description or ""), f'description= "{text}"'
        )

    def child_by_instance(self, inside: Selector, child: Selector, instance: int) -> str:
        """Return the key of the `instance`-th `child` in `inside`, whether it is there or not."""
        return self._remember(Pattern(inside, child, instance))

    def _scroll_if(self, inside: Selector, scroll: bool | None, target: Selector) -> None:
        if scroll is None:
            container = find(windows(self._served), inside)
            scroll = container is not None and container.node.scrollable
        if scroll:
            self._scroller.scroll_to(inside, target, True)

    def _child(
        self, inside: Selector, child: Selector, below: Selector, is_it: Callable[[Element], bool], wanted: str
    ) -> str:
        rows = find_instances(windows(self._served), inside, child)
        for place, row in enumerate(rows):
            if is_it(row) or any(find((item,), below) is not None for item in row.children):
                return self._remember(Pattern(inside, child, place))
        raise object_not_found(f"for {wanted}")

    def _remember(self, pattern: Pattern) -> str:
        key = f"object-{next(self._keys)}"
        while len(self._objects) >= MAX_OBJECTS:
            self._objects.pop(next(iter(self._objects)))
        self._objects[key] = pattern
        return key

    # --- finding ---

    def _target(self, key: Key) -> _Target:
        if not isinstance(key, str):
            return key
        if key not in self._objects:
            raise object_not_found(f"UiObject {key} not found!")
        return self._objects[key]

    def _element(self, target: _Target) -> Element:
        element = find(windows(self._served), target)
        if element is None:
            raise object_not_found(target)
        return element

    def _all(self, selector: Selector) -> list[Element]:
        return list(find_all(windows(self._served), selector))


def _with_text(text: str) -> Selector:
    return msgspec.structs.replace(Selector(), mask=0x1, text=text)
