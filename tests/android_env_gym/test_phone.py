"""The embedded phone: navigation, keyboard, shade, time, snapshots, determinism across processes."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from android_env_gym.actions import LongPress, OpenApp, PressKey, Swipe, TypeText, Wait
from android_env_gym.devices.base import Device, World
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.apps.contacts.state import ContactsState
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.sheet import screens, write_sheet
from android_env_gym.phone.state import Open, Page
from android_env_gym.phone.system.reduce import front, handle
from android_env_gym.phone.world.diff import diff, side_effects
from android_env_gym.phone.world.edit import app_of, put_settings
from android_env_gym.phone.world.json import from_json, to_json
from android_env_gym.tasks.attacks import random_actions
from android_env_gym.tasks.pilot import OracleStuckError, Pilot


@pytest.fixture
def phone() -> SimPhone:
    return SimPhone(seed=3)


def test_it_is_a_device_and_a_world(phone: SimPhone) -> None:
    assert isinstance(phone, Device)
    assert isinstance(phone, World)
    frame = phone.screenshot()
    assert frame.shape == (1200, 540, 3)
    assert frame.dtype == np.uint8
    assert phone.screenshot() is frame  # nothing changed, nothing is drawn
    with pytest.raises(ValueError, match="read-only"):
        frame[0, 0] = 0


def test_back_walks_the_stack_to_the_home_screen(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(pilot.tap("Contacts"))
    person = app_of(phone.state, ContactsState).people[0]
    for action in pilot.scroll_and_tap(person.name):
        phone.perform(action)
    assert front(phone.state).name == "person"
    phone.perform(PressKey("back"))
    assert (front(phone.state).app, front(phone.state).name) == ("contacts", "main")
    phone.perform(PressKey("back"))
    assert front(phone.state).app == "launcher"
    phone.perform(PressKey("back"))
    assert front(phone.state).app == "launcher"


def test_an_app_is_where_it_was_left(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp("contacts"))
    phone.perform(pilot.tap("Create contact"))
    phone.perform(PressKey("home"))
    assert front(phone.state).app == "launcher"
    phone.perform(OpenApp("com.google.android.contacts"))
    assert front(phone.state).name == "edit"
    phone.perform(PressKey("recents"))
    assert pilot.sees("Recent apps")
    phone.perform(OpenApp("no such app"))
    assert pilot.sees("Recent apps")


def test_keyboard_types_shifts_deletes_and_hides(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp("Contacts"))
    phone.perform(pilot.tap("Search contacts"))
    for key in ("Shift", "A", "d", "Symbols", "5", "Symbols", "Space", "x", "Delete"):
        phone.perform(pilot.tap(key, index=-1))
    assert front(phone.state).field("query") == "Ad5 "
    phone.perform(PressKey("back"))
    assert not pilot.sees("Space")
    assert front(phone.state).app == "contacts"
    phone.perform(TypeText("more"))
    assert front(phone.state).field("query") == "Ad5 more"


def test_long_press_selects_the_text_and_typing_replaces_it(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp("Contacts"))
    phone.perform(pilot.tap("Create contact"))
    phone.perform(pilot.tap("First name"))
    phone.perform(TypeText("Wrong"))
    phone.perform(pilot.long_press("Wrong"))
    phone.perform(pilot.tap("Copy"))
    assert phone.state.system.clipboard == "Wrong"
    phone.perform(pilot.long_press("Wrong"))
    phone.perform(TypeText("Right"))
    assert front(phone.state).field("first") == "Right"


def test_typing_without_focus_changes_nothing(phone: SimPhone) -> None:
    before = phone.snapshot()
    phone.perform(TypeText("hello"))
    assert diff(before, phone.state) == ()
    assert front(phone.state) == front(before)


def test_typing_never_presses_enter(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp("Contacts"))
    phone.perform(pilot.tap("Create contact"))
    phone.perform(pilot.tap("First name"))
    phone.perform(TypeText("Ann"))
    assert front(phone.state).name == "edit"
    phone.perform(PressKey("enter"))
    assert front(phone.state).name == "person"


def test_shade_quick_settings_and_edge_gestures(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(Swipe(0.5, 0.01, 0.5, 0.6))
    assert phone.state.system.shade == "notifications"
    phone.perform(Swipe(0.5, 0.01, 0.5, 0.6))
    assert phone.state.system.shade == "quick"
    airplane = phone.state.system.settings.airplane_mode
    phone.perform(pilot.tap("Airplane mode"))
    assert phone.state.system.settings.airplane_mode is not airplane
    brightness = next(node for node in phone.ui_tree() if node.label == "Brightness")
    phone.perform(pilot.tap_node(brightness, 0.2))
    assert abs(phone.state.system.settings.brightness - 0.2) < 0.06
    phone.perform(PressKey("back"))
    assert phone.state.system.shade == ""
    phone.perform(OpenApp("Contacts"))
    phone.perform(Swipe(0.5, 0.99, 0.5, 0.6))
    assert front(phone.state).app == "launcher"


def test_drawer_scrolls_up_from_home_and_searches(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(Swipe(0.5, 0.6, 0.5, 0.2))
    assert front(phone.state).name == "drawer"
    phone.perform(pilot.tap("Search apps"))
    phone.perform(TypeText("mess"))
    assert pilot.sees("Messages")
    assert not pilot.sees("Contacts")


def test_toast_and_clock_follow_virtual_time(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp("Contacts"))
    phone.perform(pilot.tap("Create contact"))
    phone.perform(pilot.tap("Save"))
    assert pilot.sees("Add a name", contains=True)
    started = phone.state.now
    phone.perform(Wait(5.0))
    assert phone.state.now - started == 5000
    assert not pilot.sees("Add a name", contains=True)


def test_scroll_offsets_are_clamped(phone: SimPhone) -> None:
    phone.perform(OpenApp("Contacts"))
    top = phone.screenshot()
    phone.perform(Swipe(0.5, 0.3, 0.5, 0.8))
    assert np.array_equal(top, phone.screenshot())
    for _ in range(10):
        phone.perform(Swipe(0.5, 0.8, 0.5, 0.2))
    end = phone.screenshot()
    phone.perform(Swipe(0.5, 0.8, 0.5, 0.2))
    assert np.array_equal(end, phone.screenshot())
    assert not np.array_equal(top, end)


def test_snapshot_restore_and_fork(phone: SimPhone) -> None:
    start, frame = phone.snapshot(), phone.screenshot()
    twin = phone.fork()
    phone.perform(OpenApp("Messages"))
    assert twin.state is start
    assert np.array_equal(twin.screenshot(), frame)
    phone.restore(start)
    assert np.array_equal(phone.screenshot(), frame)


def test_json_round_trip(phone: SimPhone) -> None:
    phone.perform(OpenApp("Contacts"))
    again = from_json(to_json(phone.state))
    assert again == phone.state
    assert diff(again, phone.state) == ()


def test_diff_names_data_and_skips_navigation(phone: SimPhone) -> None:
    before = phone.snapshot()
    phone.perform(OpenApp("Contacts"))
    assert diff(before, phone.state) == ()
    changed = put_settings(phone.state, wifi=not phone.state.system.settings.wifi)
    assert diff(before, changed) == ("system.settings.wifi",)
    assert side_effects(before, changed, ("system.settings",)) == ()
    assert side_effects(before, changed, ("apps.contacts",)) == ("system.settings.wifi",)


@pytest.mark.parametrize("seed", range(6))
def test_random_touching_never_breaks_the_phone(seed: int) -> None:
    phone, rng = SimPhone(seed=seed), np.random.default_rng(seed)
    for action in list(random_actions(rng, 150))[:-1]:
        phone.perform(action)
        if rng.random() < 0.1:
            phone.perform(LongPress(*map(float, rng.random(2))))
            phone.perform(TypeText("ab\u00e9 \U0001f600"))
        assert phone.screenshot().shape == (1200, 540, 3)
    for node in phone.ui_tree():
        left, top, right, bottom = node.bounds
        assert 0 <= left < right <= 540
        assert 0 <= top < bottom <= 1200


def test_every_page_of_every_app_draws_in_both_themes(tmp_path) -> None:
    for dark in (False, True):
        frames = screens(dark=dark)
        assert len(frames) >= 4 * len(APPS) - 4
        assert all(len(np.unique(frame.astype(np.uint32) @ (65536, 256, 1))) > 20 for frame in frames)
    assert write_sheet(tmp_path / "sheet.png") == len(frames)


def test_tree_and_picture_agree(phone: SimPhone) -> None:
    """Painting over what the tree calls a text's bounds with nothing there would go unnoticed: ink must be inside."""
    phone.perform(OpenApp("Contacts"))
    frame = phone.screenshot()
    texts = [node for node in phone.ui_tree() if node.text and node.class_name.endswith("TextView")]
    assert len(texts) > 5
    for node in texts:
        left, top, right, bottom = node.bounds
        assert np.ptp(frame[top:bottom, left:right].astype(int)) > 60, node


def test_pilot_says_what_the_screen_shows(phone: SimPhone) -> None:
    with pytest.raises(OracleStuckError, match=r"nothing on the screen reads 'Nonsense'; it shows .*Contacts"):
        Pilot(phone).tap("Nonsense")


PIXELS = """
import hashlib, numpy as np
from android_env_gym.phone.phone import SimPhone
from android_env_gym.tasks.attacks import random_actions
phone, digest = SimPhone(seed=11), hashlib.sha256()
for action in list(random_actions(np.random.default_rng(5), 60))[:-1]:
    phone.perform(action)
    digest.update(phone.screenshot().tobytes())
print(digest.hexdigest())
"""


def test_two_processes_with_one_seed_draw_the_same_pixels() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PIXELS], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == hashlib.sha256().digest_size * 2


def test_opening_a_page_of_another_app_keeps_both_stacks(phone: SimPhone) -> None:
    state = handle(handle(phone.state, Open(Page("contacts"))), Open(Page("messages", "new")))
    assert [stack.app for stack in state.system.stacks] == ["launcher", "contacts", "messages"]
    assert front(state).name == "new"
