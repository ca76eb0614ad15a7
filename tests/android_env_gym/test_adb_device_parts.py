"""The parts of real devices that need none: frames, settling, names of apps, window dumps, bounds in time, settings."""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
import time

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from android_env_gym.actions import ActionError, TypeText
from android_env_gym.devices import loan
from android_env_gym.devices.adb import AdbDevice, check_typable
from android_env_gym.devices.base import Device, DeviceFailure, World
from android_env_gym.devices.config import AdbConfig, EmulatorConfig, SettleConfig
from android_env_gym.devices.frames import alike, checked_png, decode, is_black
from android_env_gym.devices.launching import find_package
from android_env_gym.devices.loan import OWN_KEYBOARD, Claim, Loan
from android_env_gym.devices.make import (
    DeviceUnavailableError,
    is_blocking,
    make_device,
    split_devices,
)
from android_env_gym.devices.settle import WindowLog, settle
from android_env_gym.devices.transport import Bounds, is_remote
from android_env_gym.devices.ui_xml import parse_dump
from android_env_gym.env import AndroidTaskEnv, longest_command
from android_env_gym.errors import NeedsWorldError, UnknownNameError
from android_env_gym.named import NamedError
from android_env_gym.vector_worker import CLOSE_SECONDS, EnvSpec

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def png_of(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


PNG = png_of(PICTURE)
WARNING = b"[Warning] Multiple displays were found, but no display id was specified! Defaulting to the first display.\n"


def test_a_whole_png_comes_through_and_warnings_before_it_are_cut_away():
    assert checked_png(PNG, "R5") == checked_png(WARNING + PNG + b"\n", "R5") == PNG
    frame = decode(PNG, "R5")
    assert np.array_equal(frame, PICTURE) and not frame.flags.writeable


@given(st.integers(0, len(PNG) - 1))
def test_a_cut_png_is_never_a_frame(length):
    with pytest.raises(DeviceFailure) as caught:
        checked_png(PNG[:length], "R5")
    assert caught.value.kind == "bad_frame" and "R5" in str(caught.value)


@given(st.integers(8, len(PNG) - 1), st.integers(1, 255))
def test_a_damaged_png_is_never_a_frame(place, change):
    damaged = bytearray(PNG)
    damaged[place] ^= change
    with pytest.raises(DeviceFailure, match=r"damaged|cut off"):
        checked_png(bytes(damaged), "R5")


def test_what_is_no_picture_is_shown_in_the_message():
    with pytest.raises(DeviceFailure, match="no PNG but 22 bytes: 'screencap: no display!"):
        checked_png(b"screencap: no display!", "R5")


def test_black_and_nearly_equal_frames_are_told_apart():
    black = np.zeros((40, 30, 3), np.uint8)
    dark = black.copy()
    dark[3, 4] = 60
    assert is_black(black) and not is_black(dark)
    caret = PICTURE.copy()
    caret[4:6, 5] ^= 255
    assert alike(PICTURE, caret, 0.01) and not alike(PICTURE, caret, 0.0)
    assert not alike(PICTURE, PICTURE[:20], 1.0)


def looks(*numbers: int):
    """Return a `look` that shows these pictures, the last one for ever."""
    shown = list(numbers)
    return lambda: np.full((8, 8, 3), shown.pop(0) if len(shown) > 1 else shown[0], np.uint8)


QUICK = SettleConfig(max_seconds=2.0, react_seconds=0.1, still_seconds=0.02, opening_seconds=0.3, quiet_seconds=0.05)


def test_a_screen_settles_when_two_frames_are_alike():
    settled = settle(looks(0, 90, 180, 250), np.zeros((8, 8, 3), np.uint8), QUICK)
    assert settled.at_rest and settled.frame[0, 0, 0] == 250 and settled.looks == 5


def test_a_screen_that_has_not_changed_is_watched_for_a_while():
    slow = looks(0, 0, 0, 200)
    settled = settle(slow, np.zeros((8, 8, 3), np.uint8), QUICK)
    assert settled.at_rest and settled.frame[0, 0, 0] == 200
    started = time.monotonic()
    assert settle(looks(0), np.zeros((8, 8, 3), np.uint8), QUICK).at_rest
    assert time.monotonic() - started >= QUICK.react_seconds


def test_a_window_on_its_way_keeps_a_screen_from_settling():
    started = time.monotonic()
    settled = settle(looks(7), None, QUICK, lambda: time.monotonic() - started > 0.25)
    assert settled.at_rest and time.monotonic() - started >= 0.25


def test_frames_that_are_compared_are_not_taken_at_once():
    started = time.monotonic()
    settled = settle(looks(7), None, SettleConfig(react_seconds=0.0, still_seconds=0.15))
    assert settled.looks == 2 and time.monotonic() - started >= 0.15


RESUMED = b"I/wm_set_resumed_activity( 1412): [0,com.android.settings/.Settings,resumeTopActivity]"
LEFT = b"I/input_focus( 1412): [Focus leaving 1f2 com.android.launcher/.Home (server),reason=NO_WINDOW]"
ENTERED = b"I/input_focus( 1412): [Focus entering 3a4 com.android.settings/.Settings (server),reason=NO_WINDOW]"
STOPPED = b"I/wm_stop_activity( 1412): [0,123,com.android.launcher/.Home]"


def test_a_window_is_there_when_it_takes_the_focus():
    log = WindowLog()
    log.note(ENTERED, old=True)
    assert log.at_rest(QUICK)
    for opening in (RESUMED, LEFT):
        log.note(opening)
        assert not log.at_rest(QUICK)
        log.note(ENTERED)
        assert log.at_rest(QUICK), "nothing is left to wait for"
    log.note(STOPPED)
    assert log.at_rest(QUICK), "the end of what is behind is nothing to wait for"


def test_a_window_that_never_takes_the_focus_is_waited_for_in_vain_for_a_while():
    log = WindowLog()
    log.note(ENTERED)
    log.note(RESUMED)
    started = time.monotonic()
    settled = settle(looks(7), None, QUICK, lambda: log.at_rest(QUICK))
    assert settled.at_rest and 0.25 <= time.monotonic() - started < 2.0


def test_without_news_of_the_focus_events_are_waited_out():
    log = WindowLog()
    log.note(RESUMED, old=True)
    assert log.at_rest(QUICK)
    log.note(b"I/am_proc_start( 1412): [0,1,2]")
    assert log.at_rest(QUICK)
    log.note(STOPPED)
    assert not log.at_rest(QUICK)
    assert settle(looks(7), None, QUICK, lambda: log.at_rest(QUICK)).at_rest


def test_a_screen_that_never_rests_is_taken_after_the_bound():
    def flicker():
        flicker.count += 1
        return np.full((8, 8, 3), flicker.count * 40 % 256, np.uint8)

    flicker.count = 0
    started = time.monotonic()
    settled = settle(flicker, None, SettleConfig(max_seconds=0.2))
    assert not settled.at_rest and 0.2 <= time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Clock", "com.android.deskclock"),
        (" settings ", "com.android.settings"),
        ("com.whatsapp", "com.whatsapp"),
        ("WhatsApp", "com.whatsapp"),
        ("My bank", "org.example.bank"),
        ("Spotify", "com.spotify.music"),
        ("Uno", None),
        ("", None),
        ("com", None),
        ("$(reboot)", None),
    ],
)
def test_titles_find_packages_that_are_installed(name, expected):
    installed = ("com.android.deskclock", "com.android.settings", "com.whatsapp", "com.spotify.music")
    assert find_package(name, installed, {"my bank": "org.example.bank"}) == expected


DUMP = """<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>
<hierarchy rotation="0"><node class="android.widget.FrameLayout" bounds="[0,0][100,200]" enabled="true">
<node class="android.widget.EditText" text="a &lt;b&gt; &quot;c&quot;" resource-id="com.app:id/name"
 bounds="[10,20][90,40]" clickable="true" focused="true" enabled="true" content-desc="Name"/>
<node class="android.widget.Button" text="below" bounds="[0,190][100,260]" clickable="true" enabled="false"/>
<node class="android.widget.Button" text="away" bounds="[0,200][100,260]"/><node bounds="nonsense"/>
</node></hierarchy>"""


def test_a_window_dump_becomes_the_nodes_on_the_screen():
    frame, field, button = parse_dump(DUMP, (100, 200))
    assert (frame.depth, field.depth) == (0, 1)
    assert field.text == 'a <b> "c"' and field.label == "Name" and field.resource_id == "name"
    assert field.editable and field.focused and field.clickable and field.bounds == (10, 20, 90, 40)
    assert button.bounds == (0, 190, 100, 200) and not button.enabled
    with pytest.raises(DeviceFailure, match="no XML"):
        parse_dump("<hierarchy>", (100, 200))


def test_bounds_only_tighten_and_end():
    bounds = Bounds("R5", 5.0)
    assert bounds.remaining() == 5.0
    with bounds.within(1.0):
        assert 0.5 < bounds.remaining() <= 1.0
        with bounds.within(60.0):
            assert bounds.remaining() <= 1.0
        with bounds.within(0.0), pytest.raises(DeviceFailure, match="R5: no time is left") as caught:
            bounds.remaining()
    assert caught.value.kind == "timeout" and bounds.remaining() == 5.0


@pytest.mark.parametrize("text", ["a\nb", "\r", "\x00", "tab\t", "\ud800", "\u2028", "x" * 4001])
def test_text_that_cannot_be_typed_exactly_is_refused_before_anything_is_sent(text):
    with pytest.raises(ActionError, match="text: got"):
        check_typable(text)
    device = AdbDevice("127.0.0.1:1", config=AdbConfig(connect_seconds=0.3))
    with pytest.raises(ActionError):
        device._send(TypeText(text))  # and not a failure to connect


@pytest.mark.parametrize("text", ["", "; reboot", "$(id) `id` 'q' \"q\"", "a😀b", "שלום مرحبا", "é" * 4000])
def test_any_other_text_can_be_typed(text):
    check_typable(text)


def test_serials_on_the_network_are_recognised():
    assert is_remote("192.168.1.5:5555") and is_remote("phone.local:5555") and is_remote("[::1]:5555")
    assert not is_remote("R58M12ABCDE") and not is_remote("emulator-5554")


class Settings:
    """What a `Loan` asks of a shell: settings by name, the keyboard among them."""

    def __init__(self, **values: str) -> None:
        self.values = {"android_id": "a1", "default_input_method": "keys", "user_rotation": "0"} | values

    def text(self, words):
        return " ".join(("keys", OWN_KEYBOARD)) if words[0] == "ime" else self.values.get(words[3], "null")

    def run(self, words):
        name, value = ("default_input_method", words[2]) if words[0] == "ime" else words[3:]
        self.values[name] = value


TAKEN = {"default_input_method": OWN_KEYBOARD, "stay_on_while_plugged_in": "7", "user_rotation": "1"}


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Where the loan of "R5" is kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return loan._file("R5", "json")


def test_a_phone_is_claimed_by_a_user_who_has_no_name(kept, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: {}["uid 12345"])  # a container's user need not be in its passwd
    claim = Claim("R5")
    claim.take()
    claim.release()
    assert kept.name.startswith(f"android-env-gym-{os.getuid()}-")


def test_what_a_killed_run_changed_is_given_back_by_the_next_one(kept, caplog):
    shell = Settings(stay_on_while_plugged_in="0")
    before = dict(shell.values)
    for _ in range(2):  # it may be killed more than once
        Loan("R5").take(shell)
        shell.values |= TAKEN
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and list(kept.parent.iterdir()) == [kept]
    last = Loan("R5")
    last.take(shell)
    last.give_back(shell)
    assert shell.values == before and not last.taken and not kept.exists() and not caplog.text
    last.take(Settings(android_id="a2", user_rotation="3"))
    other = Loan("R5")
    other.take(shell)  # the serial has moved on to another phone
    shell.values |= TAKEN
    other.give_back(shell)
    assert shell.values == before


@pytest.mark.parametrize(
    "damaged",
    [
        *("", "{", "[]", '"a1"', "{}", "\xff", "[" * 100_000),
        '{"android_id":"a1","keyboard":"keys","settings":["1","1",1]}',
        '{"android_id":"a1","keyboard":"keys","settings":["1","1"]}',
        '{"android_id":"a1","keyboard":"keys","settings":["1","1","1\\n"]}',
        '{"android_id":"a1","keyboard":null,"settings":["1","1","1"]}',
    ],
)
def test_a_damaged_loan_is_ignored_with_a_warning(kept, caplog, damaged):
    kept.write_text(damaged, encoding="latin-1")
    refused(Loan("R5"), caplog)


def test_a_loan_of_somebody_else_is_ignored_with_a_warning(kept, caplog, monkeypatch):
    trap = kept.with_name("trap")
    Loan("R5").take(Settings(user_rotation="3"))
    kept.rename(trap)
    kept.symlink_to(trap)
    refused(Loan("R5"), caplog)
    assert "not a file of this user" in caplog.text
    caplog.clear()
    Loan("R5").take(Settings(user_rotation="3"))
    taken = Loan("R5")
    monkeypatch.setattr(loan, "_USER", loan._USER + 1)
    refused(taken, caplog)


def refused(taken, caplog):
    shell = Settings()
    taken.take(shell)
    assert "left by an earlier run, is ignored" in caplog.text
    shell.values |= TAKEN
    taken.give_back(shell)
    assert shell.values["user_rotation"] == "0" and shell.values["default_input_method"] == "keys"


def test_a_loan_that_cannot_be_kept_is_a_warning(kept, caplog, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(kept.parent / "gone"))
    Loan("R5").take(Settings())
    assert "is not given back as it was if this run is killed" in caplog.text


def test_a_list_of_devices_is_split_and_no_phone_is_shared():
    assert split_devices("sim") == ("sim",)
    assert split_devices("adb:A:1, adb:B,emulator:P,emulator:P") == ("adb:A:1", "adb:B", "emulator:P", "emulator:P")
    with pytest.raises(ValueError, match="given twice: adb:A"):
        split_devices("adb:A,adb:A")
    writable = AdbConfig(emulator=EmulatorConfig(read_only=False, data_root="/data"))
    assert split_devices("emulator:P,emulator:Q", writable) == ("emulator:P", "emulator:Q")
    with pytest.raises(DeviceUnavailableError, match=r"given twice: emulator:P; writable .* emulator.read_only"):
        split_devices("emulator:P,emulator:P", writable)
    with pytest.raises(ValueError, match="expected different devices"):
        split_devices(" , ")
    assert [is_blocking(name) for name in ("sim", "adb:A", "emulator:P")] == [False, True, True]


def test_names_of_devices_are_checked_and_nothing_is_connected_before_it_is_used():
    device = make_device("adb:127.0.0.1:1")
    assert isinstance(device, Device) and not isinstance(device, World)
    assert device.info().serial == "127.0.0.1:1" and device.info().size == (0, 0)
    device.close()
    with pytest.raises(DeviceUnavailableError, match="distrl-train devices"):
        make_device("adb")
    with pytest.raises(UnknownNameError, match="did you mean 'adb'"):
        make_device("abd:R5")
    with pytest.raises(UnknownNameError):
        make_device("sim:1")
    with pytest.raises(ValueError, match='"module:name" that can be imported'):
        make_device("adb:R5", adb=AdbConfig(hook="no_such_module:f"))
    with pytest.raises(NamedError, match=r"hook: got '.mine:f', .* whole name"):
        make_device("adb:R5", adb=AdbConfig(hook=".mine:f"))


def test_templates_over_adb_need_a_world_and_the_message_says_what_works():
    with pytest.raises(NeedsWorldError) as caught:
        AndroidTaskEnv(device="adb:R5")
    said = str(caught.value)
    assert "suite and judge" in said and 'judge="vlm:' in said and "instructions:" in said


def test_settings_cross_processes_and_bound_what_a_worker_may_take():
    spec = EnvSpec(device="adb:R5", adb=AdbConfig(packages=("com.app",), apps={"App": "com.app"}))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=EnvSpec) == spec
    assert EnvSpec().patience == 0
    assert spec.patience == longest_command("adb:R5", AdbConfig()) > 3 * AdbConfig().reset_seconds
    assert EnvSpec(device="emulator:P").patience > 3 * AdbConfig().emulator.boot_seconds
    assert EnvSpec().close_seconds == CLOSE_SECONDS < 5.0, "an embedded phone is closed at once"
    assert spec.close_seconds == CLOSE_SECONDS + AdbConfig().step_seconds + AdbConfig().command_seconds
    assert EnvSpec(device="emulator:P").close_seconds == spec.close_seconds + AdbConfig().emulator.stop_seconds < 60.0
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"rest": "home"}, AdbConfig)
