"""What is drawn, what is in the tree and what the shell answers agree; a touch by the shell is the agent's touch."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.actions import KEYS, Action, LongPress, OpenApp, PressKey, Swipe, Tap, TypeText, Wait
from android_env_gym.phone.adbd.keycodes import KEYCODES, key_name
from android_env_gym.phone.adbd.packages import APP_PACKAGES
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import run
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import PutSetting

KEY_NUMBERS = {"back": 4, "home": 3, "recents": 187, "enter": 66, "delete": 67}
UNIT = st.floats(0.0, 1.0)
PACKAGES = st.sampled_from([item.name for item in APP_PACKAGES])
ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
ACTIONS = st.one_of(
    st.builds(Tap, UNIT, UNIT),
    st.builds(LongPress, UNIT, UNIT),
    st.builds(Swipe, UNIT, UNIT, UNIT, UNIT),
    st.builds(TypeText, ASCII.filter(lambda text: "%s" not in text)),
    st.builds(PressKey, st.sampled_from(KEYS)),
    st.builds(OpenApp, PACKAGES),
    st.builds(Wait, st.sampled_from([0.5, 1.0, 3.0])),
)


def ask(served: ServedPhone, command: str) -> str:
    result = run(served, command)
    assert result.exit == 0, (command, result)
    return result.stdout.decode()


def command_of(action: Action, size: tuple[int, int]) -> str:
    """Return what a client would send for the action, in whole pixels."""
    width, height = size

    def pixel(x: float, y: float) -> str:
        return f"{min(int(x * width), width - 1)} {min(int(y * height), height - 1)}"

    match action:
        case Tap(x, y):
            return f"input tap {pixel(x, y)}"
        case LongPress(x, y):
            return f"input swipe {pixel(x, y)} {pixel(x, y)} 800"
        case Swipe(x1, y1, x2, y2):
            return f"input swipe {pixel(x1, y1)} {pixel(x2, y2)} 300"
        case TypeText(text):
            return "input text " + shlex.quote(text.replace(" ", "%s"))
        case PressKey(key):
            return f"input keyevent {KEY_NUMBERS[key]}"
        case OpenApp(app):
            return f"monkey --pct-syskeys 0 -p {app} -c android.intent.category.LAUNCHER 1"
        case Wait(seconds):
            return f"sleep {seconds}"
        case _:
            raise AssertionError(action)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.lists(ACTIONS, min_size=1, max_size=12))
def test_the_same_actions_give_the_same_state_through_the_shell(seed: int, actions: list[Action]) -> None:
    direct, served = SimPhone(seed=seed), ServedPhone(SimPhone(seed=seed))
    for action in actions:
        direct.perform(action)
        ask(served, command_of(action, served.size))
        assert served.state == direct.state, action
    assert np.array_equal(served.frame(), direct.screenshot())


def test_every_page_of_every_app_is_told_as_it_is_drawn(served: ServedPhone) -> None:
    for app in APP_BY_ID.values():
        data = next(item for item in served.state.apps if isinstance(item, app.state_type))
        for page in app.sheet(data)[:4]:
            served.open(page)
            png = run(served, "screencap -p").stdout
            image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert np.array_equal(image[..., ::-1], served.frame())
            assert_dump_is_the_tree(served)
            focus = re.search(r"mCurrentFocus=Window\{\w+ u0 (\S+)/(\S+)\}", ask(served, "dumpsys window windows"))
            assert focus is not None
            assert (focus.group(1), focus.group(2)) == served.resumed() == (app.package, served.activity())
            assert "mResumedActivity: ActivityRecord{" in ask(served, "dumpsys activity activities")
            assert app.package in ask(served, "ps -A")


def assert_dump_is_the_tree(served: ServedPhone) -> None:
    ask(served, "uiautomator dump --windows /sdcard/dump.xml")
    root = ElementTree.fromstring(served.files.read("/sdcard/dump.xml"))
    dumped = {(node.get("text"), node.get("content-desc"), node.get("bounds")) for node in root.iter("node")}
    for node in served.tree():
        left, top, right, bottom = node.bounds
        bounds = f"[{left},{top}][{right},{bottom}]"
        clean = [text for text in (node.text, node.label) if text]
        assert any(entry[2] == bounds and set(clean) <= {entry[0], entry[1]} for entry in dumped), node


@pytest.mark.parametrize(
    ("name", "namespace", "key", "on", "off"),
    [
        ("wifi", "global", "wifi_on", "1", "0"),
        ("airplane_mode", "global", "airplane_mode_on", "1", "0"),
        ("bluetooth", "global", "bluetooth_on", "1", "0"),
        ("dark_theme", "secure", "ui_night_mode", "2", "1"),
        ("location", "secure", "location_mode", "3", "0"),
        ("auto_rotate", "system", "accelerometer_rotation", "1", "0"),
        ("adaptive_brightness", "system", "screen_brightness_mode", "1", "0"),
        ("battery_saver", "global", "low_power", "1", "0"),
    ],
)
def test_a_setting_is_one_whether_put_by_shell_or_by_hand(
    served: ServedPhone, name: str, namespace: str, key: str, on: str, off: str
) -> None:
    for value, text in ((True, on), (False, off), (True, on)):
        ask(served, f"settings put {namespace} {key} {text}")
        assert getattr(served.state.system.settings, name) is value
        served.handle(PutSetting(name, not value))
        assert ask(served, f"settings get {namespace} {key}").strip() == (off if value else on)


def test_a_settings_switch_is_drawn_and_told_alike(served: ServedPhone) -> None:
    ask(served, "am start -a android.settings.AIRPLANE_MODE_SETTINGS")
    switch = next(node for node in served.tree() if node.checkable and "Airplane" in node.text + node.label)
    assert not switch.checked
    left, top, right, bottom = switch.bounds
    ask(served, f"input tap {(left + right) // 2} {(top + bottom) // 2}")
    assert ask(served, "settings get global airplane_mode_on") == "1\n"
    ask(served, "cmd connectivity airplane-mode disable")
    switch = next(node for node in served.tree() if node.checkable and "Airplane" in node.text + node.label)
    assert not switch.checked


def test_other_settings_are_kept_as_text_and_deleted(served: ServedPhone) -> None:
    assert ask(served, "settings get secure my_flag") == "null\n"
    ask(served, "settings put secure my_flag 'a b'")
    assert ask(served, "settings get secure my_flag") == "a b\n"
    assert "my_flag=a b" in ask(served, "settings list secure")
    assert ask(served, "settings delete secure my_flag") == "Deleted 1 rows\n"
    assert ask(served, "settings get secure my_flag") == "null\n"
    ask(served, "settings put system font_scale 1.3")
    assert served.state.system.settings.font_size == 3
    ask(served, "settings delete system font_scale")
    assert served.state.system.settings.font_size == 1
    assert run(served, "settings put system screen_brightness bright").exit == 255
    assert run(served, "settings get nowhere x").exit == 255


@pytest.mark.parametrize("form", ["KEYCODE_{}", "{}", "number"])
def test_keys_by_name_and_number(served: ServedPhone, form: str) -> None:
    def press(name: str) -> None:
        ask(served, f"input keyevent {KEYCODES[name] if form == 'number' else form.format(name)}")

    served.launch("com.android.settings")
    press("HOME")
    assert served.package() == "com.google.android.apps.nexuslauncher"
    press("APP_SWITCH")
    assert served.state.system.shade == "recents"
    press("BACK")
    press("POWER")
    assert not served.screen_on
    press("WAKEUP")
    assert served.screen_on
    press("VOLUME_UP")
    assert served.state.system.settings.media_volume > 0.5
    press("NOTIFICATION")
    assert served.package() == "com.android.systemui"


def test_unknown_keys_and_points_are_refused(served: ServedPhone) -> None:
    before = served.state
    for command in ("keyevent KEYCODE_NOPE", "keyevent 9999", "tap 1", "tap a b", "swipe 1 2 3", "text", "wave", ""):
        result = run(served, f"input {command}")
        assert result.exit == 255, command
        assert result.stderr, command
    assert served.state == before
    with pytest.raises(KeyError, match="no key 'nope'"):
        key_name("nope")


def focus_search(served: ServedPhone) -> None:
    served.launch("com.android.settings")
    bar = next(node for node in served.tree() if "Search settings" in node.text + node.label)
    served.tap((bar.bounds[0] + bar.bounds[2]) // 2, (bar.bounds[1] + bar.bounds[3]) // 2)


def typed(served: ServedPhone) -> str:
    return next(node.text for node in served.tree() if node.editable)


def test_input_text_follows_android(served: ServedPhone) -> None:
    focus_search(served)
    ask(served, "input text 'dark%stheme'")
    assert typed(served) == "dark theme"
    ask(served, "input keycombination CTRL_LEFT A")
    ask(served, 'input text "it\'s\\$HOME;%s%d"')
    assert typed(served) == "it's$HOME; %d"
    ask(served, "input keyevent KEYCODE_DEL KEYCODE_DEL")
    ask(served, "input keycombination SHIFT_LEFT 8")
    assert typed(served).endswith("; !")
    refused = run(served, "input text 'naïve'")
    assert refused.exit == 255
    assert b"NullPointerException" in refused.stderr
    assert typed(served).endswith("; !")


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=80))
def test_any_quoted_ascii_is_typed_exactly_and_nothing_else_happens(text: str) -> None:
    served = ServedPhone(SimPhone(seed=2))
    focus_search(served)
    settings_before, files_before = served.state.system.settings, served.files.list("/sdcard")
    ask(served, "input text " + shlex.quote(text.replace(" ", "%s")))
    assert typed(served) == text.replace("%s", " ")
    assert served.state.system.settings == settings_before
    assert served.files.list("/sdcard") == files_before


def test_a_dark_screen_shows_nothing_and_takes_no_touch(served: ServedPhone) -> None:
    served.launch("com.android.settings")
    ask(served, "input keyevent SLEEP")
    assert served.frame().max() == 0
    assert served.tree() == ()
    stacks = served.state.system.stacks
    ask(served, "input tap 200 500; input keyevent BACK")
    assert served.state.system.stacks == stacks
    assert "mCurrentFocus=null" in ask(served, "dumpsys window")
    assert "state=OFF" in ask(served, "dumpsys power")
    ask(served, "input keyevent 224")
    assert served.frame().max() > 0
    assert served.package() == "com.android.settings"


def test_time_is_the_phones_own(served: ServedPhone) -> None:
    start = int(ask(served, "date +%s"))
    ask(served, "sleep 90; sleep 1m")
    assert int(ask(served, "date +%s")) - start == 150
    assert run(served, "sleep soon").exit == 1
    ask(served, "getprop; settings list global; dumpsys; am force-stop x; screencap -p >/dev/null")
    assert int(ask(served, "date +%s")) - start == 150  # looking takes no time


def test_about_the_phone_agrees(served: ServedPhone) -> None:
    ask(served, "am start -a android.settings.DEVICE_INFO_SETTINGS")
    shown = " ".join(node.text for node in served.tree())
    assert ask(served, "getprop ro.product.model").strip() in shown
    assert ask(served, "wm size") == "Physical size: 540x1200\n"
    assert ask(served, "wm density") == "Physical density: 240\n"
    assert run(served, "wm density 100").exit == 255
    assert "[sys.boot_completed]: [1]" in ask(served, "getprop")


def test_a_reboot_forgets_what_ran_and_keeps_what_is_stored(served: ServedPhone) -> None:
    boot_id = ask(served, "cat /proc/sys/kernel/random/boot_id")
    ask(
        served,
        "settings put system screen_brightness 40; echo kept > /sdcard/kept.txt; am start -a android.settings.SETTINGS",
    )
    ask(served, "reboot")
    assert served.package() == "com.google.android.apps.nexuslauncher"
    assert ask(served, "cat /sdcard/kept.txt; settings get system screen_brightness") == "kept\n40\n"
    assert ask(served, "cat /proc/sys/kernel/random/boot_id") != boot_id
    assert len(served.state.system.stacks) == 1
