"""uiautomator2's scrolling of containers: forward, backward, to an end, until something is in view.

Invariant: a scroll is one swipe across the container, less a dead zone at both ends; it says whether another one
the same way would still move it. A swipe that could not move a scrollable container is not made.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from android_env_gym.phone.adbd.hierarchy import Element, windows
from android_env_gym.phone.adbd.rpc import Overload, object_not_found, overload
from android_env_gym.phone.adbd.selectors import Selector, find
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.uia2_device import STEP_MS
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front

SCROLL_STEPS, FLING_STEPS = 55, 5
DEAD_ZONE = 0.1
MAX_SEARCH_SWIPES = 30


class Scroller:
    """Scrolls what a selector means, as Android's UiScrollable does."""

    def __init__(self, served: ServedPhone) -> None:
        self._served = served

    def methods(self) -> dict[str, tuple[Overload, ...]]:
        """Return the signatures by method name."""
        return {
            "scrollForward": (overload("selector bool int", self._one(True)),),
            "scrollBackward": (overload("selector bool int", self._one(False)),),
            "scrollToEnd": (overload("selector bool int int", self._far(True)),),
            "scrollToBeginning": (overload("selector bool int int", self._far(False)),),
            "scrollTo": (overload("selector selector bool", self.scroll_to),),
            "flingForward": (overload("selector bool", self._one(True)),),
            "flingBackward": (overload("selector bool", self._one(False)),),
            "flingToEnd": (overload("selector bool int", self._far(True)),),
            "flingToBeginning": (overload("selector bool int", self._far(False)),),
        }

    def scroll(self, selector: Selector, vertical: bool, forward: bool, steps: int = SCROLL_STEPS) -> bool:
        """Scroll once and return whether there is more that way.

        Raises:
            RpcError: `selector` means nothing on the screen.
        """
        container = find(windows(self._served), selector)
        if container is None:
            raise object_not_found(selector)
        line = _line(container, vertical, forward)
        start = self._served.state
        if not self._swipe(line, steps):
            if container.node.scrollable:
                self._back_to(start)
            return False
        reached = self._served.state
        more = self._swipe(line, steps)
        self._back_to(reached)
        return more

    def scroll_far(self, selector: Selector, vertical: bool, forward: bool, swipes: int, steps: int) -> bool:
        """Scroll until there is no more that way, at most `swipes` times; return whether the end was reached."""
        return any(not self.scroll(selector, vertical, forward, steps) for _ in range(swipes))

    def scroll_to(self, selector: Selector, target: Selector, vertical: bool) -> bool:
        """Scroll from the beginning until `target` is in view inside `selector`; return whether it is."""
        inside = msgspec.structs.replace(
            selector,
            child_or_sibling=(*selector.child_or_sibling, "child"),
            child_or_sibling_selector=(*selector.child_or_sibling_selector, target),
        )
        if self._shows(inside):
            return True
        self.scroll_far(selector, vertical, False, MAX_SEARCH_SWIPES, SCROLL_STEPS)
        for _ in range(MAX_SEARCH_SWIPES):
            if self._shows(inside):
                return True
            if not self.scroll(selector, vertical, True):
                return self._shows(inside)
        return False

    def _shows(self, selector: Selector) -> bool:
        return find(windows(self._served), selector) is not None

    def _one(self, forward: bool) -> Callable[..., bool]:
        def scroll(selector: Selector, vertical: bool, steps: int = FLING_STEPS) -> bool:
            return self.scroll(selector, vertical, forward, steps)

        return scroll

    def _far(self, forward: bool) -> Callable[..., bool]:
        def scroll(selector: Selector, vertical: bool, swipes: int, steps: int = FLING_STEPS) -> bool:
            return self.scroll_far(selector, vertical, forward, swipes, steps)

        return scroll

    def _swipe(self, line: tuple[int, int, int, int], steps: int) -> bool:
        """Swipe and return whether that scrolled the page in front."""
        before = front(self._served.state)
        self._served.swipe(*line, max(steps, 1) * STEP_MS)
        return front(self._served.state).scroll != before.scroll

    def _back_to(self, state: PhoneState) -> None:
        self._served.edit(lambda _: state)


def _line(container: Element, vertical: bool, forward: bool) -> tuple[int, int, int, int]:
    left, top, right, bottom = container.node.bounds
    x, y = container.center
    if vertical:
        dead = int((bottom - top) * DEAD_ZONE)
        low, high = (x, bottom - dead), (x, top + dead)
    else:
        dead = int((right - left) * DEAD_ZONE)
        low, high = (right - dead, y), (left + dead, y)
    (x1, y1), (x2, y2) = (low, high) if forward else (high, low)
    return x1, y1, x2, y2
