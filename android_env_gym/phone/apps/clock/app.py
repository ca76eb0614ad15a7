"""The Clock app: its update and tick; pages are drawn by `screens` and `alarm_screens`."""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.phone.app import App, Context
from android_env_gym.phone.apps.clock import screens
from android_env_gym.phone.apps.clock.cities import CITIES
from android_env_gym.phone.apps.clock.state import (
    DAY_MS,
    MINUTE_MS,
    SECOND_MS,
    AddCity,
    AddMinute,
    Alarm,
    ClockState,
    DeleteAlarm,
    DeleteTimer,
    OpenCities,
    PickHour,
    PickTime,
    RemoveCity,
    SaveLabel,
    SaveTime,
    SetVibrate,
    StartTimer,
    Stopwatch,
    StopwatchButton,
    SwitchAlarm,
    Timer,
    TimerKey,
    ToggleDay,
    ToggleTimer,
    draw_alarms,
    next_ring,
)
from android_env_gym.phone.state import Focus, Notification, Notify, Open, Page, Pop, SetField, ShowDialog, Toast
from android_env_gym.phone.ui.node import Event, Node

replace = msgspec.structs.replace
Updated = tuple[ClockState, tuple[Event, ...]]
MAX_DIGITS = 6


class Clock(App[ClockState]):
    """Alarms, world clock, timers and stopwatch, as in Google's Clock."""

    id = "clock"
    title = "Clock"
    package = "com.google.android.deskclock"
    icon = "clock-outline"
    color = "#1a73e8"
    state_type = ClockState
    shows_seconds = True

    def initial(self, rng: np.random.Generator, now: int) -> ClockState:
        """Return four to eight alarms and a few cities."""
        alarms = draw_alarms(rng, now, int(rng.integers(4, 9)))
        cities = tuple(str(name) for name in rng.permutation(list(CITIES))[: int(rng.integers(1, 5))])
        return ClockState(alarms=alarms, cities=cities, next_key=len(alarms) + 1)

    def view(self, state: ClockState, context: Context) -> Node:
        """Return the tab or page in front."""
        return screens.view(state, context)

    def update(self, state: ClockState, event: Event, context: Context) -> Updated:
        """Change alarms, cities, timers or the stopwatch."""
        match event:
            case SwitchAlarm() | ToggleDay() | SetVibrate() | DeleteAlarm():
                return _update_alarm(state, event, context.now)
            case PickTime() | PickHour() | SaveTime() | SaveLabel():
                return _update_dialogs(state, event, context)
            case AddCity() | RemoveCity() | OpenCities():
                return _update_cities(state, event)
            case TimerKey() | StartTimer() | ToggleTimer() | AddMinute() | DeleteTimer():
                return _update_timers(state, event, context)
            case StopwatchButton(button):
                return replace(state, stopwatch=_pressed(state.stopwatch, button, context.now)), ()
        return state, ()

    def tick(self, state: ClockState, context: Context) -> Updated:
        """Ring the alarms and timers whose time has come: each posts a notification."""
        state, alarms = _ring_alarms(state, context)
        state, timers = _ring_timers(state, context.now)
        return state, (*alarms, *timers)

    def sheet(self, state: ClockState) -> tuple[Page, ...]:
        """Return every tab, an open alarm, the dialogs and the search for a city."""
        key = str(state.alarms[0].key)
        picker = (("hour", "7"), ("minute", "30"), ("half", "AM"))
        pages = [Page(self.id, fields=(("tab", tab),)) for tab in ("alarm", "clock", "timer", "stopwatch")]
        return (
            *pages,
            Page(self.id, fields=(("open", key),)),
            Page(self.id, dialog="time", fields=(("dialog_arg", "0"), *picker)),
            Page(self.id, dialog="time", fields=(("dialog_arg", "0"), ("picking", "minute"), *picker)),
            Page(self.id, dialog="label", fields=(("dialog_arg", key),)),
            Page(self.id, "cities", fields=(("query", "san"),)),
        )


def _update_alarm(state: ClockState, event: Event, now: int) -> Updated:
    match event:
        case SwitchAlarm(key, on):
            changed = _with_alarm(state, key, enabled=on, armed_at=now)
            return changed, (_said(changed, key, now),) if on else ()
        case ToggleDay(key, day):
            days = set(_alarm(state, key).days) ^ {day}
            return _with_alarm(state, key, days=tuple(sorted(days)), armed_at=now), ()
        case SetVibrate(key, on):
            return _with_alarm(state, key, vibrate=on), ()
        case DeleteAlarm(key):
            kept = tuple(item for item in state.alarms if item.key != key)
            return replace(state, alarms=kept), (SetField("open", ""), Toast("Alarm deleted"))
    return state, ()


def _alarm(state: ClockState, key: int) -> Alarm:
    return next(item for item in state.alarms if item.key == key)


def _with_alarm(state: ClockState, key: int, **changes: object) -> ClockState:
    alarms = tuple(replace(item, **changes) if item.key == key else item for item in state.alarms)
    return replace(state, alarms=alarms)


def _said(state: ClockState, key: int, now: int) -> Event:
    minutes = (next_ring(_alarm(state, key)) - now + MINUTE_MS - 1) // MINUTE_MS
    days, rest = divmod(minutes, DAY_MS // MINUTE_MS)
    hours, minutes = divmod(rest, 60)
    named = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    parts = [f"{count} {unit}{'s' if count > 1 else ''}" for count, unit in named if count]
    return Toast(f"Alarm set for {' '.join(parts)} from now")


def _update_dialogs(state: ClockState, event: Event, context: Context) -> Updated:
    page = context.page
    match event:
        case PickTime(key):
            minute_of_day = context.now // MINUTE_MS % (24 * 60)
            hour, minute = divmod(minute_of_day, 60)
            if key:
                hour, minute = _alarm(state, key).hour, _alarm(state, key).minute
            values = {"hour": str(hour % 12 or 12), "minute": str(minute), "half": "AM" if hour < 12 else "PM"}
            if context.settings.use_24_hour:
                values |= {"hour": str(hour), "half": ""}
            fields = tuple(SetField(name, value) for name, value in values.items())
            return state, (*fields, SetField("picking", "hour"), ShowDialog("time", str(key)))
        case PickHour(hour):
            return state, (SetField("hour", str(hour)), SetField("picking", "minute"))
        case SaveTime():
            return _save_time(state, context)
        case SaveLabel():
            key = int(page.field("dialog_arg"))
            label = page.field("label", _alarm(state, key).label).strip()
            return _with_alarm(state, key, label=label), (ShowDialog(""),)
    return state, ()


def _save_time(state: ClockState, context: Context) -> Updated:
    page = context.page
    hour, half = int(page.field("hour")), page.field("half")
    hour = hour % 12 + (12 if half == "PM" else 0) if half else hour
    minute = int(page.field("minute"))
    key = int(page.field("dialog_arg"))
    if key:
        state = _with_alarm(state, key, hour=hour, minute=minute, enabled=True, armed_at=context.now)
    else:
        key = state.next_key
        alarm = Alarm(key, hour, minute, armed_at=context.now)
        state = replace(state, alarms=(*state.alarms, alarm), next_key=key + 1)
    ordered = tuple(sorted(state.alarms, key=lambda item: (item.hour, item.minute)))
    state = replace(state, alarms=ordered)
    return state, (ShowDialog(""), SetField("open", str(key)), _said(state, key, context.now))


def _update_cities(state: ClockState, event: Event) -> Updated:
    match event:
        case OpenCities():
            return state, (Open(Page("clock", "cities")), Focus("query"))
        case AddCity(city):
            others = tuple(item for item in state.cities if item != city)
            return replace(state, cities=(*others, city)), (Pop(),)
        case RemoveCity(city):
            return replace(state, cities=tuple(item for item in state.cities if item != city)), (ShowDialog(""),)
    return state, ()


def _update_timers(state: ClockState, event: Event, context: Context) -> Updated:
    now = context.now
    entry = context.page.field("entry")
    match event:
        case TimerKey("delete"):
            return state, (SetField("entry", entry[:-1]),)
        case TimerKey(key):
            return state, (SetField("entry", (entry + key).lstrip("0")[:MAX_DIGITS]),)
        case StartTimer():
            return _start_timer(state, screens.entered_seconds(entry), now)
        case DeleteTimer(key):
            return replace(state, timers=tuple(item for item in state.timers if item.key != key)), ()
        case ToggleTimer(key):
            return _with_timer(state, _toggled(_timer(state, key), now)), ()
        case AddMinute(key):
            timer = _timer(state, key)
            left = max(0, timer.ends_at - now) if timer.status != "paused" else timer.left_ms
            status = "paused" if timer.status == "paused" else "running"
            more = replace(timer, status=status, left_ms=left + MINUTE_MS, ends_at=now + left + MINUTE_MS)
            return _with_timer(state, more), ()
    return state, ()


def _start_timer(state: ClockState, seconds: int, now: int) -> Updated:
    if seconds == 0:
        return state, ()
    timer = Timer(state.next_key, seconds, "running", now + seconds * SECOND_MS)
    state = replace(state, timers=(*state.timers, timer), next_key=timer.key + 1)
    return state, (SetField("entry", ""), SetField("adding", ""))


def _timer(state: ClockState, key: int) -> Timer:
    return next(item for item in state.timers if item.key == key)


def _with_timer(state: ClockState, timer: Timer) -> ClockState:
    return replace(state, timers=tuple(timer if item.key == timer.key else item for item in state.timers))


def _toggled(timer: Timer, now: int) -> Timer:
    if timer.status == "running":
        return replace(timer, status="paused", left_ms=timer.ends_at - now)
    left = timer.left_ms if timer.status == "paused" else timer.seconds * SECOND_MS
    return replace(timer, status="running", ends_at=now + left, left_ms=0)


def _pressed(watch: Stopwatch, button: str, now: int) -> Stopwatch:
    if button == "reset":
        return Stopwatch()
    if button == "lap":
        return replace(watch, laps=(*watch.laps, watch.total(now)))
    if watch.running_since:
        return replace(watch, running_since=0, elapsed_ms=watch.total(now))
    return replace(watch, running_since=now)


def _ring_alarms(state: ClockState, context: Context) -> Updated:
    now = context.now
    due = [item for item in state.alarms if item.enabled and next_ring(item) <= now]
    events = []
    for alarm in due:
        state = _with_alarm(state, alarm.key, enabled=bool(alarm.days), armed_at=now)
        told = f"{alarm.shown(context.settings.use_24_hour)} {alarm.label}".strip()
        events.append(Notify(Notification("clock", "Alarm", told, Page("clock"))))
    return state, tuple(events)


def _ring_timers(state: ClockState, now: int) -> Updated:
    due = [item for item in state.timers if item.status == "running" and item.ends_at <= now]
    page = Page("clock", fields=(("tab", "timer"),))
    for timer in due:
        state = _with_timer(state, replace(timer, status="expired"))
    return state, tuple(Notify(Notification("clock", "Timer", "Time\u2019s up", page)) for _ in due)
