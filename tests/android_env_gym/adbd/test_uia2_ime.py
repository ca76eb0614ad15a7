"""The keyboards that broadcasts drive: any text arrives as it was given, in the focused field, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uia2_client import Setup

from android_env_gym.phone.adbd.ime import ADB_IME, receivers
from android_env_gym.phone.adbd.packages import ADB_KEYBOARD_IME
from android_env_gym.phone.state import Focus, Open, Page
from android_env_gym.phone.system.reduce import front


def _phone(keyboard: str = ADB_KEYBOARD_IME) -> Setup:
    phone = Setup()
    phone.served.input_method = keyboard
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.served.handle(Focus("query"))
    return phone


def _send(phone: Setup, action: str, **extras: str) -> tuple[int, str]:
    return phone.served.receivers[action](extras)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _typed(phone: Setup) -> str:
    return front(phone.served.state).field("query")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=200)


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_any_text_arrives_as_it_is(first: str, second: str) -> None:
    phone = _phone()
    now = phone.served.state.now
    assert _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded(first)) == (-1, "")
    assert phone.served.state.now - now == 400
    assert _typed(phone) == first
    assert _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded(second)) == (-1, "")
    assert _typed(phone) == first + second
    assert _send(phone, "ADB_KEYBOARD_SET_TEXT", text=_encoded(second)) == (-1, "")
    assert _typed(phone) == second
    assert phone.served.state.system.clipboard == ""
    assert phone.served.state.system.focus == "query"


def test_a_long_text_and_clearing() -> None:
    phone = _phone()
    text = "أهلا 世界 \U0001f680 $(x) " * 250
    _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded(text))
    assert _typed(phone) == text
    assert _send(phone, "ADB_KEYBOARD_CLEAR_TEXT") == (-1, "")
    assert _typed(phone) == ""
    assert _send(phone, "ADB_KEYBOARD_SET_TEXT") == (-1, "")
    assert _send(phone, "ADB_KEYBOARD_INPUT_TEXT") == (-1, "")
    assert _typed(phone) == ""


def test_the_same_state_as_an_agents_typing() -> None:
    phone = _phone()
    twin = _phone()
    _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded("Grüße"))
    twin.served.text("Grüße")
    assert phone.served.state == twin.served.state
    assert (phone.served.frame() == twin.served.frame()).all()


@pytest.mark.parametrize("text", ["no base64!", "YQ", _encoded("a") + "\n", base64.b64encode(b"\xff\xfe").decode()])
def test_what_is_no_text_is_an_error_and_types_nothing(text: str) -> None:
    phone = _phone()
    before = phone.served.state
    code, data = _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=text)
    assert code == 0
    assert data.startswith("error:text must be UTF-8 in base64")
    assert phone.served.state is before


def test_hide_and_show_take_no_time() -> None:
    phone = _phone()
    now = phone.served.state.now
    assert phone.served.keyboard_shown()
    assert _send(phone, "ADB_KEYBOARD_HIDE") == (-1, "")
    assert not phone.served.keyboard_shown()
    assert _send(phone, "ADB_KEYBOARD_SHOW") == (-1, "")
    assert phone.served.keyboard_shown()
    assert phone.served.state.now == now


def test_editor_actions_and_keys() -> None:
    phone = _phone()
    _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded("ab"))
    assert _send(phone, "ADB_KEYBOARD_INPUT_KEYCODE", code="67") == (-1, "")
    assert _typed(phone) == "a"
    before = phone.served.state
    for code in ("-1", "99", "x", ""):
        assert _send(phone, "ADB_KEYBOARD_EDITOR_CODE", code=code) == (-1, "")
    assert phone.served.state is before
    assert _send(phone, "ADB_KEYBOARD_INPUT_KEYCODE", code="9999")[0] == 0
    assert _send(phone, "ADB_KEYBOARD_EDITOR_CODE", code="3") == (-1, "")
    assert not phone.served.keyboard_shown()  # a search field's action hides the keyboard
    _send(phone, "ADB_KEYBOARD_SHOW")
    assert _send(phone, "ADB_KEYBOARD_SMART_ENTER") == (-1, "Enter")
    assert not phone.served.keyboard_shown()


def test_the_clipboard_is_read_in_base64() -> None:
    phone = _phone()
    phone.served.clipboard = "Zwischen 世界"
    code, data = _send(phone, "ADB_KEYBOARD_GET_CLIPBOARD")
    assert (code, base64.b64decode(data).decode()) == (-1, "Zwischen 世界")


@pytest.mark.parametrize("action", sorted(receivers(Setup().served)))
def test_nothing_happens_without_focus_or_with_another_keyboard(action: str) -> None:
    extras = {"text": _encoded("a"), "msg": _encoded("a"), "code": "66"}
    keyboard = ADB_KEYBOARD_IME if action.startswith("ADB_KEYBOARD") else ADB_IME
    phone = _phone(keyboard)
    phone.served.handle(Focus(""))
    before = phone.served.state
    assert _send(phone, action, **extras) == (-1, action)
    phone = _phone("com.google.android.inputmethod.latin/com.android.inputmethod.latin.LatinIME")
    assert _send(phone, action, **extras) == (0, "")
    assert phone.served.state.system == _phone().served.state.system
    assert before.system.focus == ""


def test_typing_into_nothing_takes_the_time_it_takes_an_agent() -> None:
    phone, twin = _phone(), _phone()
    for setup in (phone, twin):
        setup.served.handle(Focus(""))
    assert _send(phone, "ADB_KEYBOARD_INPUT_TEXT", text=_encoded("lost")) == (-1, "ADB_KEYBOARD_INPUT_TEXT")
    twin.served.text("lost")
    assert phone.served.state == twin.served.state


def test_the_other_known_keyboard() -> None:
    phone = _phone(ADB_IME)
    assert _send(phone, "ADB_INPUT_TEXT", msg="plain é") == (-1, "")
    assert _send(phone, "ADB_INPUT_B64", msg=_encoded(" 世")) == (-1, "")
    assert _typed(phone) == "plain é 世"
    assert _send(phone, "ADB_INPUT_CODE", code="67") == (-1, "")
    assert _typed(phone) == "plain é "
    assert _send(phone, "ADB_CLEAR_TEXT") == (-1, "")
    assert _typed(phone) == ""
