"""Keyboards that are driven by broadcasts: how Unicode text reaches a focused field without touching the clipboard.

Two are known: uiautomator2's AdbKeyboard (`ADB_KEYBOARD_*`) and senzhk's ADBKeyBoard (`ADB_INPUT_TEXT`, ...).
Invariant: a broadcast acts only while its keyboard is the current input method; text is committed as it is given
and never ends with Enter. The shell's `am broadcast` finds the receivers in `ServedPhone.receivers`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping

import msgspec

from android_env_gym.phone.adbd import packages
from android_env_gym.phone.adbd.served import EVENT_S, Receiver, ServedPhone
from android_env_gym.phone.state import EditMenu, PhoneState
from android_env_gym.phone.system.reduce import handle, page_view, type_text, with_system
from android_env_gym.phone.ui.hit import field_node

ADB_IME_PACKAGE = "com.android.adbkeyboard"
ADB_IME = f"{ADB_IME_PACKAGE}/.AdbIME"
RESULT_OK = -1
RESULT_CANCELED = 0
_TYPING = frozenset({"ADB_KEYBOARD_INPUT_TEXT", "ADB_INPUT_TEXT", "ADB_INPUT_B64"})
EDITOR_ACTIONS = range(2, 8)  # EditorInfo.IME_ACTION_GO .. IME_ACTION_PREVIOUS

Extras = Mapping[str, str]
_Action = Callable[[ServedPhone, Extras], str]


class ImeError(ValueError):
    """A broadcast with extras that the keyboard cannot use."""


def receivers(served: ServedPhone) -> dict[str, Receiver]:
    """Return the keyboards' receivers by broadcast action, for `served.receivers`.

    A receiver takes the extras as texts and returns result code and data: (-1, "") when it did what was asked,
    (-1, action) when no field has the focus, (0, "error:...") when the extras make no sense, and (0, "") when its
    keyboard is not the current input method, which is how Android reports a broadcast that nobody received.
    """
    return {
        action: _receiver(served, keyboard, action, act)
        for keyboard, actions in ((packages.ADB_KEYBOARD_IME, _UIAUTOMATOR2), (ADB_IME, _ADB_KEYBOARD))
        for action, act in actions.items()
    }


def focused(served: ServedPhone) -> bool:
    """Return whether a text field that is on the page has the focus."""
    with served.lock:
        focus = served.state.system.focus
        return bool(focus) and served.screen_on and field_node(page_view(served.state), focus) is not None


def replace_text(served: ServedPhone, text: str) -> None:
    """Put `text` in place of the focused field's text; one event."""
    with served.lock:
        served.edit(lambda state: type_text(handle(state, EditMenu("select_all")), text))
        served.wait(EVENT_S)


def _receiver(served: ServedPhone, keyboard: str, action: str, act: _Action) -> Receiver:
    def receive(extras: Extras) -> tuple[int, str]:
        with served.lock:
            if served.input_method != keyboard:
                return RESULT_CANCELED, ""
            if not focused(served):
                if action in _TYPING:
                    served.wait(EVENT_S)  # typing into nothing takes an action's time, as `TypeText` does
                return RESULT_OK, action
            try:
                return RESULT_OK, act(served, extras)
            except ImeError as error:
                return RESULT_CANCELED, f"error:{error}"

    return receive


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ImeError(f"text must be UTF-8 in base64: {error}") from error


def _number(extras: Extras, name: str) -> int | None:
    """Return an integer extra; None if it is missing or no number, which Android reads as -1."""
    value = extras.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _input_base64(name: str) -> _Action:
    def act(served: ServedPhone, extras: Extras) -> str:
        if name in extras:
            served.text(_decoded(extras[name]))
        return ""

    return act


def _input_plain(served: ServedPhone, extras: Extras) -> str:
    if "msg" in extras:
        served.text(extras["msg"])
    return ""


def _set_base64(served: ServedPhone, extras: Extras) -> str:
    replace_text(served, _decoded(extras.get("text", "")))
    return ""


def _clear(served: ServedPhone, extras: Extras) -> str:
    replace_text(served, "")
    return ""


def _press(served: ServedPhone, extras: Extras) -> str:
    code = _number(extras, "code")
    if code is not None:
        try:
            served.key(code)
        except KeyError as error:
            raise ImeError(str(error)) from error
    return ""


def _editor_action(served: ServedPhone, extras: Extras) -> str:
    if _number(extras, "code") in EDITOR_ACTIONS:
        _submit(served)
    return ""


def _smart_enter(served: ServedPhone, extras: Extras) -> str:
    _submit(served)
    return "Enter"


def _submit(served: ServedPhone) -> None:
    served.key("ENTER")


def _clipboard(served: ServedPhone, extras: Extras) -> str:
    return base64.b64encode(served.clipboard.encode()).decode()


def _hide(served: ServedPhone, extras: Extras) -> str:
    served.edit(lambda state: _with_keyboard(state, hidden=True))
    return ""


def _show(served: ServedPhone, extras: Extras) -> str:
    served.edit(lambda state: _with_keyboard(state, hidden=False))
    return ""


def _with_keyboard(state: PhoneState, *, hidden: bool) -> PhoneState:
    return with_system(state, keyboard=msgspec.structs.replace(state.system.keyboard, hidden=hidden))


_UIAUTOMATOR2: dict[str, _Action] = {
    "ADB_KEYBOARD_INPUT_TEXT": _input_base64("text"),
    "ADB_KEYBOARD_SET_TEXT": _set_base64,
    "ADB_KEYBOARD_CLEAR_TEXT": _clear,
    "ADB_KEYBOARD_INPUT_KEYCODE": _press,
    "ADB_KEYBOARD_EDITOR_CODE": _editor_action,
    "ADB_KEYBOARD_SMART_ENTER": _smart_enter,
    "ADB_KEYBOARD_GET_CLIPBOARD": _clipboard,
    "ADB_KEYBOARD_HIDE": _hide,
    "ADB_KEYBOARD_SHOW": _show,
}
_ADB_KEYBOARD: dict[str, _Action] = {
    "ADB_INPUT_TEXT": _input_plain,
    "ADB_INPUT_B64": _input_base64("msg"),
    "ADB_INPUT_CODE": _press,
    "ADB_EDITOR_CODE": _editor_action,
    "ADB_CLEAR_TEXT": _clear,
}
