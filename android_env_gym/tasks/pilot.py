"""`Pilot`: how oracles and near misses find things on the screen and turn them into typed actions.

A pilot sees what an accessibility service sees, nothing of the state, and acts through the same typed
actions as an agent. Used by `TaskTemplate.oracle` and `near_miss`.
"""

from __future__ import annotations

from collections.abc import Iterator

from android_env_gym.actions import Action, LongPress, OpenApp, Swipe, Tap, TypeText
from android_env_gym.devices.base import Device, UiNode
from android_env_gym.tasks.base import Goal, TaskTemplate

MIN_VISIBLE_PX = 14
MAX_SCROLLS = 20


class OracleStuckError(RuntimeError):
    """What the oracle looks for is not on the screen: the template or an app is broken."""


class Pilot:
    """Reads the screen of `device`; every method that finds nothing raises `OracleStuckError`."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._size = device.info().size

    @property
    def tree(self) -> tuple[UiNode, ...]:
        """Return the visible nodes as they are now."""
        return self._device.ui_tree()

    def all(self, text: str, *, contains: bool = False) -> list[UiNode]:
        """Return the visible nodes whose text or label is (or contains) `text`, in drawing order."""
        return [node for node in self.tree if _matches(node, text, contains) and _is_tappable(node)]

    def sees(self, text: str, *, contains: bool = False) -> bool:
        """Return whether `find` would find it."""
        return bool(self.all(text, contains=contains))

    def find(self, text: str, *, contains: bool = False, index: int = 0) -> UiNode:
        """Return the visible node with this text or label; `index` picks among several (-1: the last drawn)."""
        found = self.all(text, contains=contains)
        if not found or index >= len(found):
            seen = ", ".join(repr(node.text or node.label) for node in self.tree if node.text or node.label)
            raise OracleStuckError(f"nothing on the screen reads {text!r}; it shows {seen}")
        return found[index]

    def tap(self, text: str, *, contains: bool = False, index: int = 0) -> Tap:
        """Return a tap on the middle of the node that reads `text`."""
        return self.tap_node(self.find(text, contains=contains, index=index))

    def long_press(self, text: str, *, contains: bool = False, index: int = 0) -> LongPress:
        """Return a long press on the middle of the node that reads `text`."""
        x, y = self._middle(self.find(text, contains=contains, index=index))
        return LongPress(x, y)

    def tap_node(self, node: UiNode, fraction: float = 0.5) -> Tap:
        """Return a tap on `node`; `fraction` of its width from its left edge (for sliders)."""
        _, y = self._middle(node)
        x = node.bounds[0] + fraction * (node.bounds[2] - node.bounds[0])
        return Tap(min(max(x / self._size[0], 0.0), 1.0), y)

    def tap_beside(self, anchor: str, label: str) -> Tap:
        """Return a tap on the node reading `label` that is level with the node reading `anchor`."""
        level = self._middle(self.find(anchor))[1]
        return self.tap_node(min(self._several(label), key=lambda node: abs(self._middle(node)[1] - level)))

    def launch(self, title: str) -> Iterator[Action]:
        """Open the app `title`: by its icon if the home screen shows it, else directly."""
        yield self.tap(title) if self.sees(title) else OpenApp(title)

    def scroll_to(self, text: str, *, contains: bool = False) -> Iterator[Action]:
        """Scroll down until `text` is visible (no action if it is)."""
        for _ in range(MAX_SCROLLS):
            if self.sees(text, contains=contains):
                return
            before = self.tree
            yield Swipe(0.5, 0.7, 0.5, 0.35)
            if self.tree == before:
                break
        self.find(text, contains=contains)

    def scroll_and_tap(self, text: str, *, contains: bool = False) -> Iterator[Action]:
        """Scroll down until `text` is visible, then tap it."""
        yield from self.scroll_to(text, contains=contains)
        yield self.tap(text, contains=contains)

    def type_into(self, field: str, text: str) -> Iterator[Action]:
        """Focus the text field that reads `field` (its text, hint or label) and type `text`."""
        node = next((item for item in self.all(field) if item.editable), None) or self.find(field)
        if not node.focused:
            yield self.tap_node(node)
        yield TypeText(text)

    def _several(self, label: str) -> list[UiNode]:
        self.find(label)
        return self.all(label)

    def _middle(self, node: UiNode) -> tuple[float, float]:
        left, top, right, bottom = node.bounds
        return (left + right) / 2 / self._size[0], (top + bottom) / 2 / self._size[1]


def oracle_actions(template: TaskTemplate, device: Device, goal: Goal) -> Iterator[Action]:
    """Yield the oracle's actions; the caller performs each on `device` before asking for the next."""
    return template.oracle(Pilot(device), goal)


def _matches(node: UiNode, text: str, contains: bool) -> bool:
    if contains:
        return text in node.text or text in node.label
    return text in (node.text, node.label)


def _is_tappable(node: UiNode) -> bool:
    left, top, right, bottom = node.bounds
    return right - left >= MIN_VISIBLE_PX and bottom - top >= MIN_VISIBLE_PX
