"""Journeys through the Clock app, as a user takes them; alarms and timers in virtual time."""

from __future__ import annotations

import pytest

from android_env_gym.actions import PressKey, Swipe, TypeText, Wait
from android_env_gym.phone.apps.clock.screens import entered_seconds, show_left, show_precise
from android_env_gym.phone.apps.clock.state import (
    DAY_MS,
    MINUTE_MS,
    Alarm,
    ClockState,
    next_ring,
    read_time,
    show_time,
)
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.tasks.pilot import Pilot


class User:
    """Taps what it reads on a phone with two alarms and one city, at 10:00 AM on a Monday."""

    def __init__(self) -> None:
        self.phone = SimPhone(seed=4)
        monday = (4 + 7 * 2930) * DAY_MS
        now = monday + 10 * 60 * MINUTE_MS
        alarms = (Alarm(1, 7, 30, "Gym", armed_at=now), Alarm(2, 19, 30, enabled=False, armed_at=now))
        data = ClockState(alarms=alarms, cities=("Tokyo",), next_key=3)
        self.phone.apply_setup(put_app(replace(self.phone.state, now=now), data))
        self.pilot = Pilot(self.phone)
        self.tap("Clock")

    @property
    def data(self) -> ClockState:
        return app_of(self.phone.state, ClockState)

    def tap(self, *texts: str) -> None:
        for text in texts:
            self.phone.perform(self.pilot.tap(text))

    def tap_switch(self, time: str) -> None:
        node = next(item for item in self.pilot.all(time) if item.checkable)
        self.phone.perform(self.pilot.tap_node(node))

    def keys(self, *keys: str) -> None:
        for key in keys:
            node = next(item for item in self.pilot.all(key) if item.class_name.endswith("Button"))
            self.phone.perform(self.pilot.tap_node(node))

    def wait(self, seconds: float) -> None:
        while seconds > 0:
            self.phone.perform(Wait(min(seconds, 60.0)))
            seconds -= 60


@pytest.fixture
def user() -> User:
    return User()


@pytest.mark.parametrize(("hour", "minute", "shown"), [(0, 5, "12:05 AM"), (12, 0, "12:00 PM"), (23, 59, "11:59 PM")])
def test_times_are_shown_in_twelve_hours(hour: int, minute: int, shown: str) -> None:
    assert show_time(hour, minute) == shown
    assert read_time(shown) == (hour, minute)


def test_a_repeating_alarm_rings_on_its_days_only() -> None:
    monday_ten = (4 + 7 * 2930) * DAY_MS + 10 * 60 * MINUTE_MS
    once = Alarm(1, 7, 30, armed_at=monday_ten)
    fridays = replace(once, days=(4,))
    mondays = replace(once, days=(0,))
    assert next_ring(once) - monday_ten == (21 * 60 + 30) * MINUTE_MS
    assert next_ring(fridays) - next_ring(once) == 3 * DAY_MS
    assert next_ring(mondays) - next_ring(once) == 6 * DAY_MS


def test_digits_and_times_left() -> None:
    assert entered_seconds("") == 0
    assert entered_seconds("130") == 90
    assert entered_seconds("10000") == 3600
    assert show_left(299_001) == "5:00"
    assert show_left(3_600_000) == "1:00:00"
    assert show_left(-21_000) == "-0:21"
    assert show_precise(65_400) == "1:05.40"


def test_switching_an_alarm_says_when_it_rings(user: User) -> None:
    user.tap_switch("7:30 PM")
    assert [item.enabled for item in user.data.alarms] == [True, True]
    assert user.phone.state.system.toast == "Alarm set for 9 hours 30 minutes from now"
    user.tap_switch("7:30 PM")
    assert [item.enabled for item in user.data.alarms] == [True, False]


def test_the_picker_adds_an_alarm_and_cancel_does_not(user: User) -> None:
    user.tap("Add alarm", "4 o\u2019clock", "Cancel")
    assert len(user.data.alarms) == 2
    user.tap("Add alarm", "4 o\u2019clock", "45 minutes", "PM", "OK")
    assert [item.time for item in user.data.alarms] == ["7:30 AM", "4:45 PM", "7:30 PM"]
    new = user.data.alarms[1]
    assert (new.enabled, new.days, new.label) == (True, (), "")
    user.tap("Edit time 4:45 PM", "5 o\u2019clock", "OK")
    assert [item.time for item in user.data.alarms] == ["7:30 AM", "5:45 PM", "7:30 PM"]


def test_a_card_unfolds_to_label_repeat_and_delete(user: User) -> None:
    user.tap("Alarm 7:30 PM", "Add label")
    user.tap("Label")
    user.phone.perform(TypeText("Dinner"))
    user.phone.perform(PressKey("enter"))
    user.tap("Tuesday", "Sunday", "Tuesday", "Vibrate")
    alarm = user.data.alarms[1]
    assert (alarm.label, alarm.days, alarm.vibrate) == ("Dinner", (6,), False)
    user.tap("Delete")
    assert [item.time for item in user.data.alarms] == ["7:30 AM"]


def test_an_alarm_rings_once_and_is_off_then(user: User) -> None:
    data = user.data
    soon = replace(data.alarms[1], hour=10, minute=2, enabled=True, armed_at=user.phone.state.now)
    user.phone.restore(put_app(user.phone.state, replace(data, alarms=(data.alarms[0], soon))))
    user.wait(90)
    assert user.phone.state.system.notifications == ()
    user.wait(60)
    assert [item.title for item in user.phone.state.system.notifications] == ["Alarm"]
    assert not user.data.alarms[1].enabled
    user.wait(120)
    assert len(user.phone.state.system.notifications) == 1


def test_a_timer_runs_pauses_and_posts_a_notification(user: User) -> None:
    user.tap("Timer")
    user.keys("7", "5", "Delete", "00")
    user.keys("Start")
    assert user.data.timers[0].seconds == 7 * 60
    user.wait(30)
    assert user.pilot.sees("6:30")
    user.tap("Pause")
    user.wait(120)
    left = user.data.timers[0].left_ms
    assert 380_000 < left < 395_000
    user.tap("Resume", "+ 1:00")
    user.wait(440)
    assert user.phone.state.system.notifications == ()
    user.wait(60)
    assert user.data.timers[0].status == "expired"
    assert [item.title for item in user.phone.state.system.notifications] == ["Timer"]
    user.tap("Delete timer")
    assert user.data.timers == ()
    assert user.pilot.sees("00h 00m 00s")


def test_the_world_clock_adds_once_and_removes(user: User) -> None:
    user.tap("Clock")
    assert user.pilot.sees("7:00 PM")
    user.tap("Add city")
    user.phone.perform(TypeText("lon"))
    user.tap("London")
    assert user.data.cities == ("Tokyo", "London")
    assert front(user.phone.state).name == "main"
    user.phone.perform(user.pilot.long_press("Tokyo"))
    user.tap("Cancel")
    user.phone.perform(user.pilot.long_press("Tokyo"))
    user.tap("Remove")
    assert user.data.cities == ("London",)
    row = user.pilot.find("London")
    y = (row.bounds[1] + row.bounds[3]) / 2 / 1200
    user.phone.perform(Swipe(0.8, y, 0.3, y))
    assert user.data.cities == ()


def test_the_stopwatch_takes_laps_and_resets(user: User) -> None:
    user.tap("Stopwatch", "Start")
    user.wait(5)
    user.tap("Lap")
    user.wait(5)
    user.tap("Pause")
    watch = user.data.stopwatch
    assert len(watch.laps) == 1
    assert 9_000 <= watch.elapsed_ms <= 12_000
    user.wait(20)
    assert user.data.stopwatch == watch
    user.tap("Reset")
    assert user.data.stopwatch.laps == ()
    assert user.data.stopwatch.elapsed_ms == 0
