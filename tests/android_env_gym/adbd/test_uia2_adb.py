"""Unmodified uiautomator2 over the genuine adb: connect, drive, type by both routes, lose the server, come back."""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Iterator

import pytest
import uiautomator2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uiautomator2.exceptions import UiObjectNotFoundError

from android_env_gym.phone.adbd.packages import ADB_KEYBOARD_IME
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.state import Focus, Open, Page
from android_env_gym.phone.system.reduce import front

SETTINGS = "com.android.settings"
LAUNCHER = "com.google.android.apps.nexuslauncher"


@pytest.fixture
def d(adb_host, serial: str, served: ServedPhone) -> Iterator[uiautomator2.Device]:
    """The client, connected."""
    device = uiautomator2.connect(serial)
    device.settings["wait_timeout"] = 3.0
    yield device
    device.stop_uiautomator(wait=False)


def _search(served: ServedPhone) -> None:
    served.handle(Open(Page("launcher", "drawer")))
    served.handle(Focus("query"))


def _typed(served: ServedPhone) -> str:
    return front(served.state).field("query")


def test_connecting_pushes_and_starts_the_server(d: uiautomator2.Device, served: ServedPhone) -> None:
    assert d.info["displayWidth"] == 540
    assert d.window_size() == (540, 1200)
    assert d.device_info["model"] == served.properties["ro.product.model"]
    assert served.files.stat("/data/local/tmp/u2.jar").size > 1_000_000
    again = uiautomator2.connect(d.adb_device)
    assert again.info == d.info


def test_apps_are_started_seen_and_stopped(d: uiautomator2.Device, served: ServedPhone) -> None:
    d.app_start(SETTINGS, wait=True)
    assert d.app_current()["package"] == SETTINGS == d.info["currentPackageName"] == served.package()
    assert SETTINGS in d.app_list()
    assert SETTINGS in d.app_list_running()
    d(text="Network & internet").click()
    assert d(description="Navigate up").wait()
    d.app_stop(SETTINGS)
    assert d.info["currentPackageName"] == LAUNCHER
    assert SETTINGS not in d.app_list_running()
    with d.session("com.google.android.deskclock") as clock:
        assert clock.running()
        assert clock.info["currentPackageName"] == "com.google.android.deskclock"


def test_what_is_dumped_drawn_and_touched_is_one(d: uiautomator2.Device, served: ServedPhone) -> None:
    d.app_start(SETTINGS)
    bounds = d.xpath("//*[@text='Network & internet']").get().bounds
    assert bounds == d(text="Network & internet").bounds()
    tree = {node.text: node.bounds for node in served.tree()}
    assert bounds == tree["Network & internet"]
    assert d(text="Network & internet").screenshot().size == (bounds[2] - bounds[0], bounds[3] - bounds[1])
    d.swipe_ext("up")
    assert d.xpath.scroll_to("About phone") is not None
    assert d(scrollable=True).scroll.toBeginning() is True
    assert re.search(r"<node [^>]*class=.android.widget.FrameLayout", d.dump_hierarchy(pretty=True))


def test_text_by_the_clipboard_until_the_keyboard_is_installed(d: uiautomator2.Device, served: ServedPhone) -> None:
    _search(served)
    assert not d.is_input_ime_installed()
    text = "Grüße 世界 \U0001f600 $(reboot); `x` \"q\" 'p'"
    d.send_keys(text)
    assert _typed(served) == text
    assert served.clipboard == text
    d.clear_text()
    assert _typed(served) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # adbutils says how to get its APK parser
        d.set_input_ime(True)
    assert d.is_input_ime_installed()
    assert d.current_ime() == ADB_KEYBOARD_IME
    served.clipboard = "untouched"
    d.send_keys(text)
    assert _typed(served) == text
    assert not served.keyboard_shown()
    d.clear_text()
    assert _typed(served) == ""
    d.send_keys("abc", clear=True)
    d.send_keys("def", clear=True)
    assert _typed(served) == "def"
    d.send_action("search")
    assert served.clipboard == "untouched"
    d.set_input_ime(False)
    assert d.current_ime() != ADB_KEYBOARD_IME


def test_hostile_text_arrives_as_it_is_by_both_routes(d: uiautomator2.Device, served: ServedPhone) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d.set_input_ime(True)
    files = sorted(served.files.list("/data/local/tmp"))

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=300))
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def arrives(text: str) -> None:
        _search(served)
        d.send_keys(text)
        assert _typed(served) == text
        served.handle(Open(Page("launcher", "drawer")))
        d(text="Search apps").set_text(text)
        assert _typed(served) == text

    arrives()
    arrives_long = "';|&$(){}[]<>*?!~`\"\\ \t%s مرحبا \U0001f469\u200d\U0001f680 " * 80
    _search(served)
    d.send_keys(arrives_long)
    assert _typed(served) == arrives_long
    assert sorted(served.files.list("/data/local/tmp")) == files
    assert served.package() == LAUNCHER


def test_a_missing_object_is_not_found_at_once(d: uiautomator2.Device) -> None:
    start = time.monotonic()
    with pytest.raises(UiObjectNotFoundError):
        d(text="nowhere").click(timeout=20)
    assert d(text="nowhere").wait(timeout=20) is False
    assert time.monotonic() - start < 5  # 40 s of the phone's time


def test_turning_dimming_and_panels(d: uiautomator2.Device) -> None:
    d.orientation = "l"
    assert (d.orientation, d.window_size()) == ("left", (1200, 540))
    d.orientation = "n"
    assert d.window_size() == (540, 1200)
    d.screen_off()
    assert d.info["screenOn"] is False
    d.unlock()
    assert d.info["screenOn"] is True
    d.open_notification()
    d.open_quick_settings()
    assert d(text="Bluetooth").exists
    d.press("back")
    d.press("home")
    assert d.info["currentPackageName"] == LAUNCHER


def test_a_server_that_was_stopped_is_started_again_by_the_next_call(d: uiautomator2.Device) -> None:
    before = d.info
    d.stop_uiautomator()
    assert not d._check_alive()
    assert d.info == before
    d.reset_uiautomator()
    assert d.info == before


def test_two_clients_use_one_phone(d: uiautomator2.Device, served: ServedPhone) -> None:
    other = uiautomator2.connect(d.adb_device)
    served.launch(SETTINGS)
    answers: list[str] = []

    def ask(client: uiautomator2.Device, text: str) -> None:
        for _ in range(5):
            answers.append(client(text=text).info["text"])

    threads = [threading.Thread(target=ask, args=pair) for pair in ((d, "Apps"), (other, "Network & internet"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == ["Apps"] * 5 + ["Network & internet"] * 5
