"""Journeys through the Settings app, as a user takes them."""

from __future__ import annotations

import numpy as np
import pytest

from android_env_gym.actions import PressKey, Swipe, TypeText
from android_env_gym.phone.apps.settings.catalog import PAGES, paths, rows_of
from android_env_gym.phone.apps.settings.row_types import Link
from android_env_gym.phone.apps.settings.state import Network, Preferences, SettingsState
from android_env_gym.phone.apps.settings.tasks_common import slider_fraction, switches
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceSettings, PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.diff import diff
from android_env_gym.phone.world.edit import app_of, put_app, put_settings, replace
from android_env_gym.tasks.pilot import Pilot


class User:
    """Taps what it reads on a phone with two known networks."""

    def __init__(self) -> None:
        self.phone = SimPhone(seed=4)
        data = app_of(self.phone.state, SettingsState)
        networks = (Network("Home", "butterfly", 4, saved=True), Network("Cafe"), Network("Office", "telescope"))
        self.phone.apply_setup(put_app(self.phone.state, replace(data, networks=networks)))
        self.pilot = Pilot(self.phone)

    @property
    def state(self) -> PhoneState:
        return self.phone.state

    def tap(self, *texts: str) -> None:
        for text in texts:
            for action in self.pilot.scroll_and_tap(text):
                self.phone.perform(action)

    def type(self, text: str) -> None:
        self.phone.perform(TypeText(text))

    def press(self, key: str) -> None:
        self.phone.perform(PressKey(key))  # type: ignore[arg-type]


@pytest.fixture
def user() -> User:
    return User()


def test_every_link_leads_to_a_page_and_every_setting_has_one_keeper() -> None:
    assert all(row.page in PAGES for page in PAGES for row in rows_of(page) if isinstance(row, Link))
    assert set(PAGES) - set(paths()) == {"app"}
    system, own = set(DeviceSettings.__struct_fields__), set(Preferences.__struct_fields__)
    assert not system & own
    settings = [row.setting for _, row in switches().values()]
    assert len(settings) == len(set(settings))
    assert set(settings) <= system | own


def test_a_switch_changes_its_setting_and_nothing_else(user: User) -> None:
    before = user.state
    user.tap("Settings", "Connected devices", "Bluetooth")
    assert diff(before, user.state) == ("system.settings.bluetooth",)
    user.tap("Nearby Share")
    assert diff(before, user.state) == ("system.settings.bluetooth", "apps.settings.preferences.nearby_share")
    user.tap("Nearby Share", "Bluetooth")
    assert diff(before, user.state) == ()


def test_back_goes_up_page_by_page_and_then_home(user: User) -> None:
    user.tap("Settings", "Display", "Lock screen")
    names = []
    for _ in range(3):
        user.press("back")
        names.append((front(user.state).app, front(user.state).name))
    assert names == [("settings", "display"), ("settings", "main"), ("launcher", "main")]


def test_a_choice_can_be_cancelled_or_made(user: User) -> None:
    before = user.state
    user.tap("Settings", "Display", "Screen timeout", "Cancel")
    user.tap("Screen timeout")
    user.press("back")
    assert front(user.state).name == "display"
    assert front(user.state).dialog == ""
    assert diff(before, user.state) == ()
    user.tap("Screen timeout", "10 minutes")
    assert user.state.system.settings.screen_timeout == 600
    assert front(user.state).dialog == ""
    assert user.pilot.sees("10 minutes")


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_slider_goes_where_it_is_tapped(user: User, value: float) -> None:
    user.tap("Settings", "Sound & vibration")
    slider = next(node for node in user.pilot.all("Call volume") if node.class_name.endswith("SeekBar"))
    user.phone.perform(user.pilot.tap_node(slider, slider_fraction(slider, value)))
    assert user.state.system.settings.call_volume == pytest.approx(value, abs=0.02)


def test_an_open_network_is_joined_by_a_tap_and_a_protected_one_asks(user: User) -> None:
    user.tap("Settings", "Network & internet", "Internet", "Cafe")
    assert user.state.system.settings.wifi_network == "Cafe"
    user.tap("Office", "Password")
    user.type("wrongword")
    user.tap("Connect")
    assert user.state.system.settings.wifi_network == "Cafe"
    assert "Check password" in user.state.system.toast
    user.tap("Cancel", "Office", "Password")
    user.type("telescope")
    user.press("enter")
    assert user.state.system.settings.wifi_network == "Office"
    assert {item.name for item in app_of(user.state, SettingsState).networks if item.saved} == {
        "Home",
        "Cafe",
        "Office",
    }
    user.tap("Office", "Forget")
    assert user.state.system.settings.wifi_network == ""
    assert front(user.state).name == "internet"
    user.tap("Wi-Fi")
    assert not user.pilot.sees("Home")


def test_pairing_asks_first_and_forgetting_confirms(user: User) -> None:
    device = next(item.name for item in app_of(user.state, SettingsState).devices if not item.paired)

    def paired() -> bool:
        return next(item.paired for item in app_of(user.state, SettingsState).devices if item.name == device)

    user.tap("Settings", "Connected devices", "Pair new device", device, "Cancel")
    assert not paired()
    user.tap(device, "Pair")
    assert paired()
    assert front(user.state).name == "connected"
    user.tap(f"Forget {device}", "Cancel")
    assert paired()
    user.tap(f"Forget {device}", "Forget device")
    assert not paired()


def test_search_finds_a_setting_by_a_part_of_its_name(user: User) -> None:
    user.tap("Settings", "Search settings")
    user.type("magnif")
    user.tap("Magnification")
    assert front(user.state).name == "accessibility"
    user.press("back")
    user.tap("magnif")
    user.type("xyz")
    assert user.pilot.sees("No results")


def test_an_apps_notifications_are_muted_from_its_info(user: User) -> None:
    user.tap("Settings", "Apps", "Contacts", "Notifications")
    assert app_of(user.state, SettingsState).muted == ("contacts",)
    user.tap("Notifications")
    assert app_of(user.state, SettingsState).muted == ()


def test_dark_theme_and_font_size_change_the_picture(user: User) -> None:
    user.tap("Settings", "Display")
    light = user.phone.screenshot().mean()
    user.tap("Dark theme")
    assert user.phone.screenshot().mean() < light / 3
    before = user.phone.screenshot().copy()
    user.phone.restore(put_settings(user.state, font_size=3))
    assert not np.array_equal(before, user.phone.screenshot())


def test_the_main_page_scrolls_to_about_phone(user: User) -> None:
    user.tap("Settings")
    assert not user.pilot.sees("About phone")
    user.phone.perform(Swipe(0.5, 0.8, 0.5, 0.2))
    user.phone.perform(Swipe(0.5, 0.8, 0.5, 0.2))
    assert user.pilot.sees("About phone")
    user.tap("About phone")
    assert user.pilot.sees(app_of(user.state, SettingsState).hardware.model)
