"""Data and events of the Clock app. Times are virtual milliseconds since the epoch, UTC, the phone's time zone."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from android_env_gym.phone.dates import show_time
from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event

SECOND_MS = 1000
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LABELS = (
    "Bakery", "Breakfast", "Bus", "Cake", "Coffee", "Dentist", "Dinner", "Doctor", "Exercise", "Football", "Garden",
    "Guitar", "Gym", "Haircut", "Homework", "Interview", "Kids", "Laundry", "Lunch", "Market", "Medicine", "Meeting",
    "Movie", "Nap", "Piano", "Pizza", "Reading", "Run", "School", "Shopping", "Swimming", "Tea", "Tennis", "Train",
    "Vitamins", "Wake up", "Walk", "Work", "Yoga",
)  # fmt: skip


class Alarm(msgspec.Struct, frozen=True):
    """An alarm; `days` are weekdays (Monday 0) it repeats on, () means once; it rings first after `armed_at`."""

    key: int
    hour: int
    minute: int
    label: str = ""
    days: tuple[int, ...] = ()
    enabled: bool = True
    vibrate: bool = True
    armed_at: int = 0

    @property
    def time(self) -> str:
        """Return its time as people say it, e.g. "7:05 PM"."""
        return show_time(self.hour, self.minute)

    def shown(self, twenty_four: bool) -> str:
        """Return its time as the Clock shows it, in 12 or `twenty_four` hours."""
        return show_time(self.hour, self.minute, twenty_four)


class Timer(msgspec.Struct, frozen=True):
    """A timer over `seconds`; it ends at `ends_at` while running and has `left_ms` while paused."""

    key: int
    seconds: int
    status: Literal["running", "paused", "expired"] = "running"
    ends_at: int = 0
    left_ms: int = 0


class Stopwatch(msgspec.Struct, frozen=True):
    """A stopwatch: `elapsed_ms` before `running_since` (0: it stands still); `laps` are total times, oldest first."""

    running_since: int = 0
    elapsed_ms: int = 0
    laps: tuple[int, ...] = ()

    def total(self, now: int) -> int:
        """Return the milliseconds measured up to `now`."""
        return self.elapsed_ms + (now - self.running_since if self.running_since else 0)


class ClockState(AppState, frozen=True, tag="clock"):
    """Everything the Clock remembers; `cities` are names of `cities.CITIES` in the order of adding."""

    alarms: tuple[Alarm, ...] = ()
    cities: tuple[str, ...] = ()
    timers: tuple[Timer, ...] = ()
    stopwatch: Stopwatch = Stopwatch()
    next_key: int = 1


class SwitchAlarm(Event, frozen=True):
    """Switch the alarm `key` on or off."""

    key: int
    on: bool


class ToggleDay(Event, frozen=True):
    """Add or remove `day` of the days the alarm `key` repeats on."""

    key: int
    day: int


class SetVibrate(Event, frozen=True):
    """Let the alarm `key` vibrate or not."""

    key: int
    on: bool


class DeleteAlarm(Event, frozen=True):
    """Delete the alarm `key`."""

    key: int


class PickTime(Event, frozen=True):
    """Open the time picker for the alarm `key` (0: a new one)."""

    key: int = 0


class PickHour(Event, frozen=True):
    """Set the picker's hour (1-12) and go on to the minutes."""

    hour: int


class SaveTime(Event, frozen=True):
    """Close the picker and take its time over."""


class SaveLabel(Event, frozen=True):
    """Close the label dialog and take the label over."""


class AddCity(Event, frozen=True):
    """Add `city` to the world clock."""

    city: str


class RemoveCity(Event, frozen=True):
    """Remove `city` from the world clock."""

    city: str


class OpenCities(Event, frozen=True):
    """Open the search for a city with its field focused."""


class TimerKey(Event, frozen=True):
    """A key of the timer's keypad: "0".."9", "00" or "delete"."""

    key: str


class StartTimer(Event, frozen=True):
    """Start a timer over what was entered."""


class ToggleTimer(Event, frozen=True):
    """Pause or go on with the timer `key`."""

    key: int


class AddMinute(Event, frozen=True):
    """Give the timer `key` one more minute."""

    key: int


class DeleteTimer(Event, frozen=True):
    """Remove the timer `key`."""

    key: int


class StopwatchButton(Event, frozen=True):
    """Press "toggle", "lap" or "reset" of the stopwatch."""

    button: Literal["toggle", "lap", "reset"]


def read_time(text: str) -> tuple[int, int]:
    """Return the hour (0-23) and minute of a time that `show_time` wrote."""
    clock, half = text.split()
    hour, minute = clock.split(":")
    return int(hour) % 12 + (12 if half == "PM" else 0), int(minute)


def next_ring(alarm: Alarm) -> int:
    """Return when `alarm`, if it is enabled, rings next after `armed_at`."""
    day = alarm.armed_at // DAY_MS
    time = (alarm.hour * 60 + alarm.minute) * MINUTE_MS
    for ahead in range(8):
        moment = (day + ahead) * DAY_MS + time
        weekday = (day + ahead + EPOCH_WEEKDAY) % 7
        if moment > alarm.armed_at and (not alarm.days or weekday in alarm.days):
            return moment
    raise ValueError(f"an alarm repeats on days 0-6, got {alarm.days}")


def draw_alarms(rng: np.random.Generator, now: int, count: int) -> tuple[Alarm, ...]:
    """Return `count` alarms at different times, some labelled, some repeating, some off."""
    minutes = rng.choice(24 * 12, size=count, replace=False)
    labels = [str(item) for item in rng.permutation(LABELS)]
    alarms = []
    for key, slot in enumerate(minutes.tolist(), start=1):
        repeats = rng.random() < 0.35
        days = tuple(sorted(rng.choice(7, size=int(rng.integers(1, 6)), replace=False).tolist())) if repeats else ()
        label = labels[key % len(labels)] if rng.random() < 0.6 else ""
        on = bool(rng.random() < 0.5)
        alarms.append(Alarm(key, slot // 12, slot % 12 * 5, label, days, enabled=on, armed_at=now))
    return tuple(sorted(alarms, key=lambda item: (item.hour, item.minute)))
