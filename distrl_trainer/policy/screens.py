"""Screens for grounding: labelled boxes of a phone that is walked at random. No task is involved.

Invariant: a deterministic function of the seed. Frames are what the environment would show, shrunk as the
tiny model shrinks them. Called by `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, PressKey, Swipe, Tap, TypeText
from android_env_gym.devices.base import Bounds, Device, UiNode
from android_env_gym.phone.ui.layout import layout
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.ui.paint import paint
from android_env_gym.phone.ui.theme import theme
from android_env_gym.phone.ui.tree import ui_tree
from android_env_gym.rendering import observe
from distrl_trainer.policy.tiny_policy import shrink
from distrl_trainer.policy.tiny_vocab import COLUMNS, ROWS, cell_of

SCREEN = (448, 224)
WIDTH, HEIGHT, DENSITY = 540, 1200, 1.5
PAGE_DP = 740.0
DARK_SHARE = 0.1
MAX_LABEL = 40
LINE_ASPECT = 4.5
"""A text higher than this many letters are wide has several lines."""
OUTER = ".,;:!?()\"'\u2026"
STYLES = ("body", "body_strong", "title", "label", "headline_small")
FILLS = ("", "", "surface_container", "secondary_container", "#fff8b8", "#e2f6d3", "#d4e4ed", "#f6e2dd")
"""What written pages draw on: the theme's surfaces and the colours of notes."""


class Widget(msgspec.Struct, frozen=True):
    """A label on the screen, the cell of its centre and all cells whose centre lies inside it."""

    label: str
    centre: int
    inside: tuple[int, ...]


class Word(msgspec.Struct, frozen=True):
    """A word that is written on the screen, once or more often: the middle cell of each time, and all its cells."""

    word: str
    centres: tuple[int, ...]
    inside: tuple[int, ...]


class Screen(msgspec.Struct, frozen=True):
    """A frame `(448, 224, 3)`, the widgets on it whose label names one place, and the words written on it.

    A label may stand elsewhere than its widget, or nowhere: a switch is described by the text at the other end.
    """

    frame: NDArray[np.uint8]
    widgets: tuple[Widget, ...]
    words: tuple[Word, ...]


def screen_of(frame: NDArray[np.uint8], nodes: Sequence[UiNode]) -> Screen:
    """Return the screen that `frame` (RGB, device pixels) and its accessibility `nodes` show."""
    height, width = frame.shape[:2]
    found: dict[str, list[tuple[Widget, bool]]] = {}
    written: dict[str, list[Widget]] = {}
    for node in nodes:
        label = " ".join((node.text or node.label).split())
        for word in _written(node, width, height):
            written.setdefault(word.label.lower(), []).append(word)
        if not node.enabled or not 0 < len(label) <= MAX_LABEL:
            continue
        widget = _widget(label, node.bounds, width, height)
        if widget is not None:
            found.setdefault(label.lower(), []).append((widget, node.clickable))
    named = (_meant(group) for group in found.values())
    return Screen(
        shrink(observe(frame, SCREEN)),
        tuple(widget for widget in named if widget is not None),
        tuple(_word(group) for group in written.values()),
    )


def _word(group: Sequence[Widget]) -> Word:
    inside = {cell for widget in group for cell in widget.inside}
    return Word(group[0].label, tuple(dict.fromkeys(widget.centre for widget in group)), tuple(sorted(inside)))


def _written(node: UiNode, width: int, height: int) -> list[Widget]:
    """Return the words of a text of one line, each where it should be if all letters were equally wide."""
    left, top, right, bottom = node.bounds
    letter = (right - left) / max(1, len(node.text))
    if bottom - top > LINE_ASPECT * letter:
        return []
    found = []
    for match in re.finditer(r"\S+", node.text):
        word = match.group().strip(OUTER)
        bounds = (round(left + match.start() * letter), top, round(left + match.end() * letter), bottom)
        widget = _widget(word, bounds, width, height) if word else None
        if widget is not None:
            found.append(widget)
    return found


def _meant(group: Sequence[tuple[Widget, bool]]) -> Widget | None:
    """Return the widget that a label means: the only one, or the only one of several that can be tapped."""
    for candidates in (group, [item for item in group if item[1]]):
        if len({widget.inside for widget, _ in candidates}) == 1:
            return candidates[0][0]
    return None


def _widget(label: str, bounds: Bounds, width: int, height: int) -> Widget | None:
    left, top, right, bottom = bounds
    x, y = (left + right) / 2 / width, (top + bottom) / 2 / height
    if right - left < 4 or bottom - top < 4 or not (0 <= x <= 1 and 0 <= y <= 1):
        return None
    columns = [c for c in range(COLUMNS) if left <= (c + 0.5) / COLUMNS * width < right]
    rows = [r for r in range(ROWS) if top <= (r + 0.5) / ROWS * height < bottom]
    centre = cell_of(x, y)
    return Widget(label, centre, tuple(sorted({centre, *(r * COLUMNS + c for r in rows for c in columns)})))


def walk(
    make_phone: Callable[[int], Device], rng: np.random.Generator, *, steps_per_phone: int = 12
) -> Iterator[Screen]:
    """Yield the screens of a random walk without end: mostly taps on what can be tapped, a new phone now and then.

    Args:
        make_phone: Seed -> a phone with other contents.
        rng: Every choice comes from it.
        steps_per_phone: Actions before the next phone.
    """
    words: list[str] = ["hello"]
    while True:
        phone = make_phone(int(rng.integers(2**31)))
        phone.reset()
        for _ in range(steps_per_phone):
            frame, nodes = phone.screenshot(), phone.ui_tree()
            screen = screen_of(frame, nodes)
            if len(screen.widgets) > 1:
                yield screen
            words = (words + [widget.label for widget in screen.widgets])[-500:]
            phone.perform(_choose(nodes, frame.shape[1], frame.shape[0], words, rng))
        phone.close()


def _choose(nodes: Sequence[UiNode], width: int, height: int, words: list[str], rng: np.random.Generator) -> Action:
    draw = rng.random()
    focused = any(node.focused and node.editable for node in nodes)
    if focused and draw < 0.4:
        return TypeText(words[rng.integers(len(words))]) if draw < 0.3 else PressKey("enter")
    if draw < 0.15:
        return PressKey("back") if draw < 0.12 else PressKey("home")
    if draw < 0.3 and any(node.scrollable for node in nodes):
        return Swipe(0.5, 0.7, 0.5, 0.35) if draw < 0.25 else Swipe(0.5, 0.3, 0.5, 0.7)
    boxes = [node.bounds for node in nodes if node.clickable and node.enabled]
    if not boxes:
        return PressKey("back")
    left, top, right, bottom = boxes[rng.integers(len(boxes))]
    return Tap(min(max((left + right) / 2 / width, 0), 1), min(max((top + bottom) / 2 / height, 0), 1))


def written_page(words: Sequence[str], rng: np.random.Generator) -> Screen:
    """Return a page that is no app's: some of `words` in the phone's type, at random places, sizes and colours.

    On the phone most screens say the same; here every word is as frequent as any other, so reading is learned.
    """
    dark = bool(rng.random() < DARK_SHARE)
    fills = FILLS[:4] if dark else FILLS
    rows: list[Node] = []
    height = 0.0
    while height < PAGE_DP:
        room = float(rng.integers(28, 84))
        columns = int(rng.choice((1, 1, 2, 3)))
        cells = tuple(_written_cell(words, room, rng) for _ in range(columns))
        rows.append(Node(axis="row", children=cells, height=room, fill=fills[rng.integers(len(fills))]))
        height += room
    laid = layout(Node(children=tuple(rows), fill="surface"), WIDTH, HEIGHT, DENSITY)
    return screen_of(paint(laid, theme(dark)), ui_tree(laid))


def _written_cell(words: Sequence[str], room: float, rng: np.random.Generator) -> Node:
    picked = [str(words[i]) for i in rng.integers(len(words), size=1 + int(rng.random() < 0.4))]
    inset = float(rng.integers(0, 96)) if rng.random() < 0.7 else 0.0
    text = Node(text=" ".join(picked), style=STYLES[rng.integers(len(STYLES))], lines=1, color="on_surface")
    return Node(
        children=(text,), grow=1, height=room, padding=(inset, float(rng.integers(0, 9)), 0, 0), justify="center",
        align="start" if rng.random() < 0.7 else "center",
    )  # fmt: skip
