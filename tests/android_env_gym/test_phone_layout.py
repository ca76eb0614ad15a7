"""Large text and landscape: no text lies over another or outside its box, all is within reach, the caret is seen."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from android_env_gym.actions import PressKey, Tap, TypeText
from android_env_gym.phone.phone import SimPhone, laid_out, screen_size
from android_env_gym.phone.sheet import states
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front, page_view, with_system
from android_env_gym.phone.system.screen import root
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.caret import caret_line
from android_env_gym.phone.ui.layout import Box, Placed
from android_env_gym.phone.ui.node import Node

MODES = {"large": (1.5, 0), "landscape": (1.0, 1), "large-landscape": (1.5, 3), "usual": (1.0, 0)}
LEADING = 4  # pixels of a line that hold no ink
modes = pytest.mark.parametrize("mode", MODES)


def held(state: PhoneState, mode: str) -> PhoneState:
    scale, rotation = MODES[mode]
    config = msgspec.structs.replace(state.config, font_scale=scale)
    return with_system(msgspec.structs.replace(state, config=config), rotation=rotation)


def written(placed: Placed, density: float) -> Box:
    """Return the box that the lines of a text leaf take up."""
    assert placed.font is not None
    left, top, right, bottom = (int(side * density + 0.5) for side in placed.node.padding)
    width = max(texts.measure(line, placed.font.weight, placed.font.size) for line in placed.lines)
    height = placed.font.line * len(placed.lines)
    free = placed.width - left - right - width
    x = placed.left + left + {"start": 0, "center": free // 2, "end": free}[placed.node.text_align]
    y = placed.top + top + max(0, placed.height - top - bottom - height) // 2
    return x, y, x + width, y + height


def leaves(placed: Placed, above: tuple[Placed, ...] = ()) -> Iterator[tuple[Placed, tuple[Placed, ...]]]:
    if placed.lines and placed.node.text:
        yield placed, above
    for child in placed.children:
        yield from leaves(child, (*above, placed))


def outside(box: Box, above: tuple[Placed, ...]) -> Placed | None:
    """Return the first box around a text that it reaches out of, up to the container that it scrolls in."""
    for around in reversed(above):
        if around.node.scroll:
            return None
        right, bottom = around.left + around.width, around.top + around.height
        beside = around.left > box[0] + LEADING or right < box[2] - LEADING
        if beside or around.top > box[1] + LEADING or bottom < box[3] - LEADING:
            return around
    return None


def overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 2 and min(a[3], b[3]) - max(a[1], b[1]) > LEADING


def seen(placed: Placed, density: float) -> Box:
    box, clip = written(placed, density), placed.clip
    return max(box[0], clip[0]), max(box[1], clip[1]), min(box[2], clip[2]), min(box[3], clip[3])


@modes
def test_no_text_leaves_its_box_or_lies_over_another(mode: str) -> None:
    for state in states():
        laid = laid_out(held(state, mode))
        found = list(leaves(laid.root))
        for index, (leaf, above) in enumerate(found):
            assert outside(written(leaf, laid.density), above) is None, (front(state), leaf.node.text)
            for other, others in found[index + 1 :]:
                joint = next(a for a, b in reversed(list(zip(above, others, strict=False))) if a is b)
                if joint.node.axis != "stack":  # what pops up lies over what is below
                    both = seen(leaf, laid.density), seen(other, laid.density)
                    assert not overlap(*both), (front(state), leaf.node.text, other.node.text)


def fixed_nodes(node: Node) -> Iterator[Node]:
    """Return what has to be on the screen without scrolling."""
    yield node
    if not node.scroll:
        for child in node.children:
            yield from fixed_nodes(child)


@modes
def test_what_can_be_tapped_is_on_the_screen_or_can_be_scrolled_to(mode: str) -> None:
    for state in states():
        state = held(state, mode)
        tree = root(state)
        laid = laid_out(state, tree)
        shown: dict[int, Placed] = {}
        pending = [laid.root]
        while pending:
            placed = pending.pop()
            shown[id(placed.node)] = placed
            pending += placed.children
        for node in fixed_nodes(tree):
            if node.on_tap is None or not (node.label or node.text or node.children) or node.modal:
                continue
            placed = shown.get(id(node))
            assert placed is not None, (front(state), node.label or node.text)
            left, top, right, bottom = placed.visible
            assert (right - left, bottom - top) == (placed.width, placed.height), (front(state), node.label)


def _fields(node: Node) -> list[str]:
    return [*([node.field] if node.field else []), *(name for child in node.children for name in _fields(child))]


@modes
def test_the_caret_of_the_focused_field_is_above_the_keyboard(mode: str) -> None:
    tried = 0
    for state in states():
        phone = SimPhone(state.config)
        for name in _fields(page_view(state)):
            phone.restore(held(state, mode))
            node = next((item for item in phone.ui_tree() if item.resource_id == name and item.editable), None)
            if node is None:
                continue
            width, height = screen_size(phone.state)
            left, top, right, bottom = node.bounds
            phone.perform(Tap((left + right) / 2 / width, (top + bottom) / 2 / height))
            for text in ("", "some words " * 30):
                phone.perform(TypeText(text))
                tried += 1
                laid = laid_out(phone.state)
                keyboard = next(item for item in phone.ui_tree() if item.resource_id == "keyboard")
                field = _placed(laid.root, name)
                upper, lower = caret_line(field, laid.density)
                assert lower <= keyboard.bounds[1], (front(state), name)
                assert upper >= field.clip[1], (front(state), name)
                assert lower <= field.clip[3], (front(state), name)
    assert tried > 20


def _placed(placed: Placed, field: str) -> Placed:
    pending = [placed]
    while pending:
        placed = pending.pop()
        if placed.node.field == field:
            return placed
        pending += placed.children
    raise AssertionError(f"the field {field} is not on the screen")


def test_the_line_that_is_written_in_a_long_note_is_seen() -> None:
    phone = SimPhone(seed=7)
    state = next(state for state in states() if front(state).name == "edit" and front(state).app == "notes")
    phone.restore(state)
    body = next(item for item in phone.ui_tree() if item.resource_id == "body")
    phone.perform(Tap(0.5, (body.bounds[1] + 20) / 1200))
    for _ in range(40):
        phone.perform(TypeText("line"))
        phone.perform(PressKey("enter"))
    laid = laid_out(phone.state)
    keyboard = next(item for item in phone.ui_tree() if item.resource_id == "keyboard")
    assert caret_line(_placed(laid.root, "body"), laid.density)[1] <= keyboard.bounds[1]


def test_the_keys_of_the_keyboard_and_the_status_bar_do_not_grow_with_the_font() -> None:
    state = states()[-1]
    frames = []
    for mode in ("usual", "large"):
        phone = SimPhone(state.config)
        phone.restore(held(state, mode))
        frames.append(phone.screenshot())
        keyboard = next(item for item in phone.ui_tree() if item.resource_id == "keyboard").bounds
    assert (frames[0][:42] == frames[1][:42]).all()
    assert (frames[0][keyboard[1] :] == frames[1][keyboard[1] :]).all()
