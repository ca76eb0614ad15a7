"""Settings act: one format of times everywhere, in 12 or 24 hours; language; airplane mode."""

from __future__ import annotations

import re

import pytest

from android_env_gym.actions import OpenApp, PressKey, Swipe, TypeText
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.apps.clock.state import ClockState
from android_env_gym.phone.apps.messages.state import MessagesState
from android_env_gym.phone.dates import full_date, show_time, time_of_day
from android_env_gym.phone.languages import LANGUAGES
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.sheet import states
from android_env_gym.phone.state import DeviceSettings, Home, Open, Page, PutSetting
from android_env_gym.phone.system.gestures import find_app
from android_env_gym.phone.system.reduce import front, handle
from android_env_gym.phone.web.site import link
from android_env_gym.phone.world.edit import app_of
from android_env_gym.tasks.pilot import Pilot

TWELVE, TWENTY_FOUR = re.compile(r"\b\d{1,2}:\d\d [AP]M\b"), re.compile(r"\b([01]?\d|2[0-3]):[0-5]\d\b")
# Not times of day: time zones, spans of timers and of the stopwatch, the colon of the picker.
SPANS = re.compile(r"GMT\+00:00 .*|\+ 1:00|\d+:\d\d:\d\d|\d+:\d\d (Timer|Paused)|:")


@pytest.fixture
def phone() -> SimPhone:
    return SimPhone(seed=7)


@pytest.mark.parametrize("twenty_four", [False, True])
def test_every_screen_writes_times_in_the_format_that_is_set(phone: SimPhone, twenty_four: bool) -> None:
    seen = 0
    for state in states(use_24_hour=twenty_four):
        phone.restore(state)
        for node in phone.ui_tree():
            for text in (node.text, node.label):
                if TWENTY_FOUR.search(text) and not SPANS.fullmatch(text):
                    seen += 1
                    assert bool(TWELVE.search(text)) != twenty_four, text
    assert seen > 100


def test_the_clock_of_the_status_bar_is_that_of_the_home_screen_and_of_the_clock(phone: SimPhone) -> None:
    for settings in ({}, {"use_24_hour": True}):
        for name, value in settings.items():
            phone.edit(lambda state, n=name, v=value: handle(state, PutSetting(n, v)))
        shown = time_of_day(phone.state.now, phone.state.system.settings)
        assert [node.text for node in phone.ui_tree()].count(shown) == 2
        phone.edit(lambda state: handle(state, Open(Page("clock", fields=(("tab", "clock"),)))))
        assert [node.text for node in phone.ui_tree()].count(shown) == 2
        phone.edit(lambda state: handle(state, Home()))


@pytest.mark.parametrize(
    ("hour", "twelve", "twenty_four"), [(0, "12:05 AM", "0:05"), (12, "12:05 PM", "12:05"), (23, "11:05 PM", "23:05")]
)
def test_times_of_day(hour: int, twelve: str, twenty_four: str) -> None:
    assert (show_time(hour, 5), show_time(hour, 5, True)) == (twelve, twenty_four)


def test_the_picker_of_an_alarm_counts_24_hours_when_the_phone_does(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.edit(lambda state: handle(state, PutSetting("use_24_hour", True)))
    phone.perform(OpenApp("Clock"))
    phone.perform(pilot.tap("Add alarm"))
    assert not pilot.sees("PM")
    phone.perform(pilot.tap("21 o\u2019clock"))
    phone.perform(pilot.tap("35 minutes", index=-1))
    phone.perform(pilot.tap("OK"))
    assert any((item.hour, item.minute) == (21, 35) for item in app_of(phone.state, ClockState).alarms)
    assert pilot.sees("21:35")


def test_24_hours_are_switched_on_in_settings(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.edit(lambda state: handle(state, Open(Page("settings", "date_time"))))
    phone.perform(pilot.tap("Use 24-hour format"))
    assert not any(TWELVE.search(node.text) for node in phone.ui_tree())
    assert phone.state.system.settings.use_24_hour


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_names_days_months_and_apps(phone: SimPhone, language: str) -> None:
    names = LANGUAGES[language]
    assert (len(names.weekdays), len(names.months)) == (7, 12)
    assert set(names.apps) == set(APP_BY_ID) - {"launcher"}
    assert len(set(names.apps.values())) == len(names.apps)
    pilot = Pilot(phone)
    for action in (OpenApp("Settings"),):
        phone.perform(action)
    for title in ("System", "Languages", language):
        for action in pilot.scroll_and_tap(title):
            phone.perform(action)
    phone.perform(PressKey("home"))
    shown = {node.text or node.label for node in phone.ui_tree()}
    assert full_date(phone.state.now, phone.state.system.settings) in shown
    assert names.weekdays[5] in full_date(phone.state.now, phone.state.system.settings)  # it is a Saturday
    assert set(names.apps.values()) <= shown
    for app, title in names.apps.items():
        assert find_app(title, language) == app
        assert find_app(APP_BY_ID[app].title, language) == app


def test_airplane_mode_switches_the_radios_off_and_gives_them_back(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    before = phone.state.system.settings
    phone.perform(Swipe(0.5, 0.01, 0.5, 0.6))
    icons = phone.screenshot()[:42].copy()
    phone.perform(pilot.tap("Airplane mode"))
    assert (phone.screenshot()[:42] != icons).any()
    tile = next(node for node in phone.ui_tree() if node.label == "Internet")
    assert not tile.checked
    phone.perform(pilot.tap("Internet"))
    assert phone.state.system.settings.wifi == before.wifi
    phone.perform(pilot.tap("Airplane mode"))
    assert next(node for node in phone.ui_tree() if node.label == "Internet").checked
    assert phone.state.system.settings == before


def test_nothing_comes_from_the_web_in_airplane_mode(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.edit(lambda state: handle(state, PutSetting("airplane_mode", True)))
    url = link("shoply.com")
    phone.edit(lambda state: handle(state, Open(Page("browser", "page", arg=url))))
    assert pilot.sees("You are offline", contains=True)
    assert not pilot.sees("Deals of the day")
    phone.edit(lambda state: handle(state, PutSetting("airplane_mode", False)))
    assert pilot.sees("Deals of the day")


@pytest.mark.parametrize(
    ("settings", "online"),
    [
        ({}, True),
        ({"wifi": False}, True),
        ({"mobile_data": False}, True),
        ({"wifi": False, "mobile_data": False}, False),
        ({"wifi_network": "", "mobile_data": False}, False),
        ({"airplane_mode": True}, False),
    ],
)
def test_the_phone_is_online_over_either_radio(settings: dict[str, bool | str], online: bool) -> None:
    assert DeviceSettings(**settings).online is online  # pyright: ignore[reportArgumentType]


def test_a_message_is_not_sent_in_airplane_mode(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.edit(lambda state: handle(state, PutSetting("airplane_mode", True)))
    phone.edit(lambda state: handle(state, Open(Page("messages", "chat", "0"))))
    chats = app_of(phone.state, MessagesState).conversations
    phone.perform(pilot.tap("Text message"))
    phone.perform(TypeText("hello"))
    phone.perform(pilot.tap("Send"))
    assert app_of(phone.state, MessagesState).conversations == chats
    assert front(phone.state).field("draft") == "hello"
    assert pilot.sees("Not sent", contains=True)


def test_settings_show_that_airplane_mode_is_on(phone: SimPhone) -> None:
    phone.edit(lambda state: handle(state, PutSetting("airplane_mode", True)))
    phone.edit(lambda state: handle(state, Open(Page("settings", "internet"))))
    assert not any(node.clickable and node.text == "Wi-Fi" and node.enabled for node in phone.ui_tree())
    phone.edit(lambda state: handle(state, Open(Page("settings", "network"))))
    assert Pilot(phone).sees("Airplane mode is on")
