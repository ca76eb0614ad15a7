"""`SimPhone` beyond the actions of an agent: power, rotation, stopped and cleared apps, fingers that hardly move."""

from __future__ import annotations

import numpy as np
import pytest

from android_env_gym.actions import OpenApp, PressKey, Swipe, Tap, TypeText
from android_env_gym.phone.apps.clock.state import ClockState
from android_env_gym.phone.phone import SimPhone, screen_size
from android_env_gym.phone.state import DeviceConfig, Home, Launch
from android_env_gym.phone.system.reduce import front, handle, stopped, with_system
from android_env_gym.phone.world.diff import diff
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.phone.world.json import from_json, to_json


@pytest.mark.parametrize("density", [1.5, 2.625])
def test_a_swipe_is_the_same_anywhere_within_its_pixels(density: float) -> None:
    rng = np.random.default_rng(5)
    config = DeviceConfig(density=density)
    for _ in range(20):
        pixels = rng.integers([0, 0], [540, 1200], (2, 2))
        ends = []
        for corner in (0.01, 0.5, 0.99):
            phone = SimPhone(config, seed=1)
            phone.perform(OpenApp("Settings"))
            (x1, y1), (x2, y2) = (pixels + corner) / (540, 1200)
            phone.perform(Swipe(x1, y1, x2, y2))
            ends.append(phone.state)
        assert ends[0] == ends[1] == ends[2]


def test_a_finger_that_hardly_moves_taps() -> None:
    tapped, slid = SimPhone(seed=1), SimPhone(seed=1)
    tapped.perform(Tap(0.5, 0.9))
    slid.perform(Swipe(0.5, 0.9, 0.51, 0.9))
    assert slid.state == tapped.state
    assert front(slid.state).app != "launcher"


def test_a_dark_screen_is_black_and_deaf() -> None:
    phone = SimPhone(seed=1)
    phone.perform(OpenApp("Settings"))
    lit = phone.screenshot()
    phone.edit(lambda state: with_system(state, screen_on=False))
    assert phone.screenshot().shape == lit.shape
    assert phone.screenshot().max() == 0
    assert phone.ui_tree() == ()
    before = phone.state
    phone.perform(Tap(0.5, 0.5))
    phone.perform(PressKey("back"))
    assert phone.state.system == before.system
    assert phone.state.now > before.now
    phone.edit(lambda state: with_system(state, screen_on=True))
    assert np.array_equal(phone.screenshot(), lit)


def test_a_turned_screen_is_laid_out_anew() -> None:
    phone = SimPhone(seed=1)
    phone.perform(OpenApp("Settings"))
    upright = phone.screenshot()
    phone.edit(lambda state: with_system(state, rotation=1))
    assert phone.screenshot().shape == (540, 1200, 3)
    assert screen_size(phone.state) == (1200, 540)
    assert all(node.bounds[2] <= 1200 and node.bounds[3] <= 540 for node in phone.ui_tree())
    assert max(node.bounds[2] for node in phone.ui_tree()) > 1000
    row = next(node for node in phone.ui_tree() if node.text == "Network & internet")
    phone.perform(Tap((row.bounds[0] + 1) / 1200, (row.bounds[1] + 1) / 540))
    assert front(phone.state).name == "network"
    phone.perform(PressKey("back"))
    phone.edit(lambda state: with_system(state, rotation=0))
    assert np.array_equal(phone.screenshot(), upright)
    assert diff(SimPhone(seed=1).state, phone.state) == ()  # turning is no change of data


def test_screen_and_rotation_survive_json() -> None:
    state = with_system(SimPhone(seed=1).state, screen_on=False, rotation=3)
    assert from_json(to_json(state)) == state


def test_stopping_an_app_ends_its_pages_and_keeps_its_data() -> None:
    phone = SimPhone(seed=1)
    for app in ("Clock", "Settings"):
        phone.perform(OpenApp(app))
    behind = stopped(phone.state, "clock")
    assert front(behind).app == "settings"
    assert [stack.app for stack in behind.system.stacks] == ["launcher", "settings"]
    before = phone.state
    shown = stopped(before, "settings")
    assert front(shown).app == "launcher"
    assert shown.apps == before.apps
    assert stopped(before, "launcher") is before


def test_clearing_an_app_gives_it_a_fresh_phones_data() -> None:
    phone = SimPhone(seed=3)
    fresh = phone.state
    phone.edit(lambda state: put_app(state, ClockState()))
    phone.perform(OpenApp("Clock"))
    phone.clear_app("clock")
    assert len(app_of(phone.state, ClockState).alarms) == len(app_of(fresh, ClockState).alarms)
    assert front(phone.state).app == "launcher"


def test_a_reboot_keeps_data_and_forgets_what_ran() -> None:
    phone = SimPhone(seed=1)
    phone.edit(lambda state: handle(handle(state, Launch("clock")), Home()))
    phone.perform(OpenApp("Settings"))
    phone.perform(TypeText("x"))
    before = phone.state
    phone.reboot()
    assert diff(before, phone.state) == ()
    assert [stack.app for stack in phone.state.system.stacks] == ["launcher"]
    assert phone.state.now == before.now
