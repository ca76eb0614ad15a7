"""uiautomator2's touches, keys, screen, clipboard and toasts: the same states as an agent's typed actions give."""

from __future__ import annotations

import numpy as np
import pytest
from uia2_client import Setup
from uiautomator2.exceptions import UiObjectNotFoundError

from android_env_gym.actions import Action, LongPress, PressKey, Swipe, Tap
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig, Focus, Open, Page, Toast
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.diff import diff

SETTINGS = "com.android.settings"
WIDTH, HEIGHT = 540, 1200


@pytest.fixture
def phone() -> Setup:
    phone = Setup()
    phone.open(SETTINGS)
    return phone


def _unit(x: int, y: int) -> tuple[float, float]:
    return (x + 0.5) / WIDTH, (y + 0.5) / HEIGHT


def _after(phone: Setup, *actions: Action) -> SimPhone:
    twin = phone.phone.fork()
    for action in actions:
        twin.perform(action)
    return twin


def _same(phone: Setup, twin: SimPhone) -> None:
    assert diff(phone.served.state, twin.state) == ()
    assert phone.served.state == twin.state


def test_a_click_is_a_tap_and_a_long_click_a_long_press(phone: Setup) -> None:
    x, y = 200, 270
    twin = _after(phone, Tap(*_unit(x, y)))
    phone.d.click(x, y)
    _same(phone, twin)
    assert front(twin.state).name != "main"
    twin = _after(phone, PressKey("home"), LongPress(*_unit(x, y)))
    phone.d.press("home")
    phone.d.long_click(x, y)
    _same(phone, twin)


def test_clicks_by_share_of_the_screen_beside_it_and_negative(phone: Setup) -> None:
    twin = _after(phone, Tap(*_unit(270, 300)))
    phone.d.click(0.5, 0.25)
    _same(phone, twin)
    before = phone.served.state
    assert phone.d.jsonrpc.click(-1, 5) is False
    phone.d.click(5000, 5000)
    assert phone.served.state.system == before.system


def test_swipes_drags_and_points_are_swipes(phone: Setup) -> None:
    swipe = Swipe(*_unit(270, 900), *_unit(270, 400))
    twin = _after(phone, swipe)
    start = phone.served.state
    for gesture in (
        lambda: phone.d.swipe(270, 900, 270, 400),
        lambda: phone.d.swipe(270, 900, 270, 400, duration=0.1),
        lambda: phone.d.drag(270, 900, 270, 400),
        lambda: phone.d.swipe_points([(270, 900), (300, 700), (270, 400)]),
    ):
        phone.phone.restore(start)
        gesture()
        _same(phone, twin)
    assert front(twin.state).scroll != front(start).scroll
    assert phone.d.jsonrpc.swipePoints([5], 10) is False


def test_a_finger_that_is_put_down_moved_and_lifted(phone: Setup) -> None:
    twin = _after(phone, Tap(*_unit(200, 270)))
    start = phone.served.state
    phone.d.touch.down(200, 270)
    assert phone.served.state is start
    phone.clock.now += 0.05
    phone.d.touch.up(200, 270)
    _same(phone, twin)
    phone.phone.restore(start)
    twin = _after(phone, Swipe(*_unit(270, 900), *_unit(260, 300)))
    phone.d.touch.down(270, 900).move(270, 600).move(260, 300).up(260, 300)
    _same(phone, twin)


def test_a_finger_that_stays_is_a_long_press_and_strays_are_refused(phone: Setup) -> None:
    phone.d.press("home")
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.d(text="Search apps").set_text("clock")
    x, y = map(int, phone.d(focused=True).center())
    phone.d.touch.down(x, y)
    phone.clock.now += 0.6
    phone.d.touch.move(x + 1, y).up(x + 1, y)
    assert phone.served.state.system.selected
    assert phone.d.jsonrpc.injectInputEvent(1, x, y, 0) is False
    assert phone.d.jsonrpc.injectInputEvent(2, x, y, 0) is False
    assert phone.d.jsonrpc.injectInputEvent(7, x, y, 0) is False


@pytest.mark.parametrize(("key", "action"), [("home", "home"), ("back", "back"), ("recent", "recents"), (4, "back")])
def test_keys_are_the_actions_of_the_same_name(phone: Setup, key: str | int, action: str) -> None:
    twin = _after(phone, Tap(*_unit(200, 270)), PressKey(action))  # type: ignore[arg-type]
    phone.d.click(200, 270)
    assert phone.d.press(key)
    _same(phone, twin)


def test_keys_edit_text(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    field = phone.d(text="Search apps")
    field.click()
    edited = phone.d(focused=True)
    for code, meta in ((36, None), (37, 0x1), (7, None), (77, None)):  # h, shift+i, 0, @
        assert phone.d.press(code, meta)
    assert edited.get_text() == "hI0@"
    phone.d.press("delete")
    assert edited.get_text() == "hI0"
    assert phone.d.press(29, 0x1000)
    assert phone.d.press(31, 0x1000)  # Ctrl+A, Ctrl+C
    assert phone.d.clipboard == "hI0"
    assert phone.d.jsonrpc.pressKey("nonsense") is False
    assert phone.d.jsonrpc.pressKeyCode(5000) is False


def test_clipboard_paste_and_clear(phone: Setup) -> None:
    assert phone.d.clipboard is None
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.d(text="Search apps").click()
    edited = phone.d(focused=True)
    for text in ("Grüße, 世界 \U0001f600", "a'b\"; $(reboot) `x` \\ %s", "مرحبا", ""):
        phone.d.jsonrpc.clearInputText()
        phone.d.set_clipboard(text)
        assert phone.d.clipboard == text
        phone.d.jsonrpc.pasteClipboard()
        assert edited.get_text() == (text or "Search apps")
    phone.d.jsonrpc.setClipboard(None, None)
    assert phone.d.clipboard == ""


def test_texts_of_fields(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    field = phone.d(resourceId="com.google.android.apps.nexuslauncher:id/query")
    assert field.get_text() == "Search apps"
    long = "x" * 4000
    for text in ("clo", "Ünïcödé \U0001f600", long, "two  words"):
        assert field.set_text(text)
        assert field.get_text() == text
        assert phone.served.state.system.focus == "query"
    field.clear_text()
    assert field.get_text() == "Search apps"
    assert phone.d(text="Clock").set_text("typed nowhere") is True
    with pytest.raises(UiObjectNotFoundError):
        phone.d(text="nowhere").set_text("x", timeout=0.1)


def test_typing_is_one_event_and_never_enter(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.served.handle(Focus("query"))
    now = phone.served.state.now
    phone.d(focused=True).set_text("clock")
    assert phone.served.state.now - now == 800  # the tap and the text
    assert front(phone.served.state).name == "drawer"


def test_screen_orientation_and_rotation_lock(phone: Setup) -> None:
    phone.d.screen_off()
    assert phone.d.info["screenOn"] is False
    assert not np.asarray(phone.d.screenshot()).any()
    before = phone.served.state
    phone.d.click(200, 270)
    assert front(phone.served.state) == front(before)
    phone.d.screen_on()
    assert phone.d.info["screenOn"] is True
    assert phone.d.jsonrpc.isScreenOn() is True
    for name, size in (("left", (1200, 540)), ("right", (1200, 540)), ("natural", (540, 1200))):
        phone.d.orientation = name
        assert phone.d.orientation == name
        info = phone.d.info
        assert (info["displayWidth"], info["displayHeight"]) == size == phone.d.screenshot().size
        assert info["naturalOrientation"] == (name == "natural")
    phone.d.freeze_rotation(False)
    assert phone.served.state.system.settings.auto_rotate
    phone.d.orientation = "n"
    assert not phone.served.state.system.settings.auto_rotate


def test_a_screenshot_shows_the_frame(phone: Setup) -> None:
    seen = phone.d.screenshot(format="opencv")[:, :, ::-1].astype(int)
    frame = phone.served.frame().astype(int)
    assert seen.shape == frame.shape
    assert np.abs(seen - frame).mean() < 3
    assert len(phone.d.jsonrpc.takeScreenshot(1, 5)) < len(phone.d.jsonrpc.takeScreenshot(1, 95))


def test_panels(phone: Setup) -> None:
    assert phone.d.open_notification() is True
    assert phone.d(text="No notifications").exists or phone.d(text="Clear all").exists
    assert phone.d.open_quick_settings() is True
    assert phone.d(description="Brightness").exists
    phone.d(text="Bluetooth").click()
    assert phone.served.state.system.settings.bluetooth
    phone.d.press("back")
    assert phone.d.info["currentPackageName"] == SETTINGS
    phone.d.screen_off()
    assert phone.d.open_notification() is False


def test_toasts_are_remembered_until_they_are_cleared(phone: Setup) -> None:
    assert phone.d.last_toast is None
    phone.d.toast.show("Hello")
    assert phone.d.xpath("Hello").exists
    phone.served.wait(10)
    assert not phone.d.xpath("Hello").exists
    assert phone.d.toast.get_message(0) == "Hello"
    phone.d.toast.reset()
    assert phone.d.last_toast is None
    phone.served.handle(Toast("Again"))
    assert phone.d.last_toast == "Again"
    phone.d.clear_toast()
    assert phone.d.last_toast is None
    assert phone.d.jsonrpc.getLastTraversedText() is None


def test_looking_takes_no_time_and_changes_nothing(phone: Setup) -> None:
    before = phone.served.state
    assert phone.d.info["screenOn"]
    phone.d.dump_hierarchy()
    phone.d.screenshot()
    assert phone.d(text="Apps").exists
    assert phone.d(text="Apps").wait(timeout=5)
    assert phone.d(text="nowhere").wait_gone(timeout=5)
    assert phone.d(text="Apps").count == 1
    assert phone.d.xpath("Apps").exists
    assert phone.d.jsonrpc.waitForIdle(1000) is None
    assert phone.served.state is before


def test_waiting_moves_the_phones_own_clock(phone: Setup) -> None:
    now = phone.served.state.now
    assert phone.d(text="nowhere").wait(timeout=20) is False
    assert phone.served.state.now - now == 20_000
    phone.d.toast.show("Soon gone")
    now = phone.served.state.now
    assert phone.d(text="Soon gone").wait_gone(timeout=20) is True
    assert 3000 <= phone.served.state.now - now <= 4500
    assert phone.d(text="Apps").wait_gone(timeout=2) is False
    now = phone.served.state.now
    assert phone.d.jsonrpc.waitForExists({"mask": 1, "text": "nowhere"}, 3_600_000) is False
    assert phone.served.state.now - now == 3_600_000


def test_object_gestures(phone: Setup) -> None:
    network = phone.d(text="Network & internet")
    assert network.pinch_in() is True
    assert network.pinch_out(percent=50, steps=5) is True
    assert network.gesture((10, 10), (20, 20), (30, 30), (40, 40)) is True
    with pytest.raises(UiObjectNotFoundError):
        phone.d(text="nowhere").pinch_in()
    start = phone.served.state
    assert network.drag_to(100, 100) is True
    phone.phone.restore(start)
    below = phone.d(text="Display").info["bounds"]["top"] > network.info["bounds"]["top"]
    assert below
    assert phone.d(text="Display").drag_to(text="Network & internet") is True
    assert front(phone.served.state).scroll != front(start).scroll
    phone.phone.restore(start)
    phone.d(scrollable=True).swipe("up")
    assert front(phone.served.state).scroll != front(start).scroll


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("click", []),
        ("click", ["tl"]),
        ("click", ["br"]),
        ("longClick", []),
        ("longClick", ["topleft"]),
        ("swipe", ["left", 10]),
        ("swipe", ["up", 0.5, 10]),
    ],
)
def test_the_servers_older_object_methods(phone: Setup, method: str, params: list[object]) -> None:
    selector = {"mask": 0x1, "text": "Network & internet"}
    before = phone.served.state
    assert getattr(phone.d.jsonrpc, method)(selector, *params) is True
    assert phone.served.state.now - before.now == 400
    assert (front(phone.served.state).name != "main") == (method == "click")
    phone.phone.restore(before)
    assert getattr(phone.d.jsonrpc, method)(selector, "nonsense", *params[1:]) is False
    assert phone.served.state is before


def test_scrolling_to_the_ends_and_into_view(phone: Setup) -> None:
    rows = phone.d(scrollable=True)
    top = phone.served.state
    assert rows.scroll.backward() is False
    assert phone.served.state is top
    assert rows.scroll.forward() is True or front(phone.served.state).scroll != front(top).scroll
    assert rows.scroll.toEnd() is True
    end = front(phone.served.state).scroll
    assert phone.d(text="About phone").exists
    assert rows.scroll.forward() is False
    assert front(phone.served.state).scroll == end
    assert rows.fling.toBeginning() is True
    assert front(phone.served.state).scroll[0][1] == 0.0
    rows.fling.forward()
    rows.fling.backward()
    assert front(phone.served.state).scroll[0][1] == 0.0
    assert rows.fling.toEnd(max_swipes=30) is True
    assert rows.scroll.to(text="Network & internet") is True
    assert phone.d(text="Network & internet").exists
    assert rows.scroll.to(text="No such row") is False
    assert rows.scroll.horiz.forward() is False
    with pytest.raises(UiObjectNotFoundError):
        phone.d(text="nowhere").scroll.forward()


def test_scrolling_back_at_the_top_of_the_drawer_does_not_close_it() -> None:
    phone = Setup(config=DeviceConfig(height=340))
    phone.served.handle(Open(Page("launcher", "drawer")))
    drawer = phone.d(scrollable=True, className="android.widget.ScrollView")
    assert drawer.scroll.toBeginning() is True
    assert front(phone.served.state).name == "drawer"
    assert drawer.scroll.to(text="Settings") is True
    phone.d(text="Settings").click()
    assert phone.served.package() == SETTINGS


def test_xpath_finds_clicks_and_scrolls(phone: Setup) -> None:
    phone.d.xpath("//*[@text='Network & internet']").click()
    assert front(phone.served.state).name != "main"
    phone.d.press("back")
    assert phone.d.xpath("%internet").get().info["packageName"] == SETTINGS
    assert phone.d.xpath("^Net.*").exists
    assert phone.d.xpath("@com.android.systemui:id/status_bar").exists
    assert phone.d.xpath("//android.widget.TextView").all()
    found = phone.d.xpath("//*[@scrollable='true']").get().scroll_to("About phone")
    assert found is not None
    found.click()
    assert phone.d.xpath("Network & internet").wait_gone(timeout=1)
    parent = phone.d.xpath("//android.widget.TextView").get().parent()
    assert parent is not None
    assert parent.get_xpath().startswith("/hierarchy/")
    watched = phone.d.watcher.when("About phone")
    watched.press("home")
    assert phone.d.watcher.run() is True
    assert phone.d.info["currentPackageName"] == "com.google.android.apps.nexuslauncher"
