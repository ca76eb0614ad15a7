"""The caret and the clipboard: a tap sets the caret, typing happens there, paste is offered wherever it can be."""

from __future__ import annotations

import pytest

from android_env_gym.actions import LongPress, Tap, TypeText
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import Copy, Focus, KeyTap, Open, Page
from android_env_gym.phone.system.reduce import front, handle
from android_env_gym.phone.ui import text as texts
from android_env_gym.tasks.pilot import OracleStuckError, Pilot

LONG = "A rather long company name that does not fit into one line of its field"


@pytest.fixture
def phone() -> SimPhone:
    phone = SimPhone(seed=3)
    phone.edit(lambda state: handle(state, Open(Page("contacts", "edit", "-1"))))
    return phone


def _field(phone: SimPhone, name: str) -> UiNode:
    return next(node for node in phone.ui_tree() if node.resource_id == name)


def _at(phone: SimPhone, name: str, before: str) -> Tap:
    """Return a tap behind the characters `before` of the field `name`."""
    left, top, _, bottom = _field(phone, name).bounds
    inset = 63 if name in ("first", "company", "phone", "email") else 24  # padding, and an icon in front
    font = (400, texts.font_size(24.0))  # the style "body": 16 sp at 1.5 pixels per sp
    return Tap((left + inset + 15 * (inset > 24) + texts.measure(before, *font)) / 540, (top + bottom) / 2 / 1200)


def _type(phone: SimPhone, name: str, text: str) -> None:
    phone.edit(lambda state: handle(state, Focus(name)))
    phone.perform(TypeText(text))


@pytest.mark.parametrize("before", ["", "H", "Hello", "Hello wor", "Hello world"])
def test_a_tap_sets_the_caret_where_typing_and_deleting_happen(phone: SimPhone, before: str) -> None:
    _type(phone, "last", "Hello world")
    phone.perform(_at(phone, "last", before))
    phone.perform(TypeText("xy"))
    rest = "Hello world".removeprefix(before)
    assert front(phone.state).field("last") == f"{before}xy{rest}"
    phone.perform(Pilot(phone).tap("Z" if Pilot(phone).sees("Z") else "z", index=-1))
    assert front(phone.state).field("last") == f"{before}xyz{rest}"
    for _ in range(3):
        phone.edit(lambda state: handle(state, KeyTap("delete")))
    assert front(phone.state).field("last") == "Hello world"
    phone.edit(lambda state: handle(state, KeyTap("delete")))
    assert front(phone.state).field("last") == before[:-1] + rest


def test_the_caret_is_drawn_where_it_stands(phone: SimPhone) -> None:
    _type(phone, "last", "Hello world")
    end = phone.screenshot()
    phone.perform(_at(phone, "last", "Hello"))
    left, top, right, bottom = _field(phone, "last").bounds
    changed = (end != phone.screenshot())[top:bottom, left:right].any(axis=(0, 2)).nonzero()[0]
    font = (400, texts.font_size(24.0))
    assert set(changed.tolist()) == {
        24 + texts.measure(words, *font) + step for words in ("Hello", "Hello world") for step in (0, 1)
    }


def test_the_part_of_a_long_text_around_the_caret_is_shown(phone: SimPhone) -> None:
    _type(phone, "last", LONG)
    end = phone.screenshot()
    phone.edit(lambda state: handle(state, Focus("last", 2)))
    assert (end != phone.screenshot()).any()
    phone.perform(TypeText("x"))
    assert front(phone.state).field("last") == LONG[:2] + "x" + LONG[2:]
    phone.perform(_at(phone, "last", LONG[:2] + "x" + LONG[2:4]))
    phone.perform(TypeText("y"))
    assert front(phone.state).field("last") == LONG[:2] + "x" + LONG[2:4] + "y" + LONG[4:]


@pytest.mark.parametrize("caret", [0, 3, 20, 40, len(LONG), -1])
def test_the_window_holds_the_caret_and_is_as_wide_as_it_may_be(caret: int) -> None:
    size = texts.font_size(24.0)
    start, shown = texts.window(LONG, caret, 400, size, 300)
    assert LONG[start : start + len(shown)] == shown
    assert texts.measure(shown, 400, size) <= 300
    assert start <= (len(LONG) if caret < 0 else caret) <= start + len(shown)
    assert texts.measure(shown, 400, size) > 270


def test_a_tap_in_a_line_of_a_note_sets_the_caret_there() -> None:
    phone = SimPhone(seed=3)
    pilot = Pilot(phone)
    key = next(item.key for item in phone.state.apps if hasattr(item, "notes") for item in item.notes if item.body)
    phone.edit(lambda state: handle(state, Open(Page("notes", "edit", str(key)))))
    text = "first line\n\nthird one that is so long that it has to be broken at a space somewhere\nlast"
    phone.edit(lambda state: handle(handle(state, Focus("body")), KeyTap("x")))
    phone.perform(pilot.long_press(pilot.find("x", contains=True, index=0).text))
    phone.perform(TypeText(text))
    left, top, _, _ = _field(phone, "body").bounds
    line = 33  # the style "body": 22 sp at 1.5 pixels per sp
    for row, typed in ((0, "1"), (1, "2"), (4, "3")):
        phone.perform(Tap((left + 31) / 540, (top + 12 + line * row + 16) / 1200))
        phone.perform(TypeText(typed))
    assert front(phone.state).field("body") == f"1{text}".replace("\n\n", "\n2\n").replace("\nlast", "\n3last")


def test_paste_is_offered_over_an_empty_field(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(pilot.long_press("First name"))
    with pytest.raises(OracleStuckError):
        pilot.find("Paste")  # nothing was copied yet
    phone.edit(lambda state: handle(state, Copy("Ada")))
    phone.perform(pilot.long_press("First name"))
    assert not pilot.sees("Cut")
    phone.perform(pilot.tap("Paste"))
    assert front(phone.state).field("first") == "Ada"
    assert not pilot.sees("Paste")


def test_paste_goes_to_the_caret_or_in_place_of_the_selection(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    _type(phone, "last", "Lovelace")
    phone.edit(lambda state: handle(state, Focus("last", 4)))
    phone.edit(lambda state: handle(state, Copy("-")))
    phone.perform(pilot.long_press("Lovelace"))
    phone.perform(pilot.tap("Paste"))
    assert front(phone.state).field("last") == "-"


def test_without_a_clipboard_a_selection_is_not_pasted_away(phone: SimPhone) -> None:
    _type(phone, "last", "Lovelace")
    node = _field(phone, "last")
    phone.perform(LongPress((node.bounds[0] + 30) / 540, (node.bounds[1] + node.bounds[3]) / 2 / 1200))
    assert Pilot(phone).sees("Copy")
    assert not Pilot(phone).sees("Paste")
