"""Views of the Clock app: the tabs Clock, Timer and Stopwatch, the search for a city; alarms are beside this."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.clock import alarm_screens
from android_env_gym.phone.apps.clock.cities import CITIES
from android_env_gym.phone.apps.clock.state import (
    DAY_MS,
    MINUTE_MS,
    SECOND_MS,
    AddCity,
    AddMinute,
    ClockState,
    DeleteTimer,
    OpenCities,
    RemoveCity,
    StartTimer,
    StopwatchButton,
    Timer,
    TimerKey,
    ToggleTimer,
)
from android_env_gym.phone.dates import short_full_date, time_of_day
from android_env_gym.phone.state import DeviceSettings, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Event, Node

TABS = (("alarm", "Alarm"), ("clock-outline", "Clock"), ("timer-sand", "Timer"), ("timer-outline", "Stopwatch"))
TAB_NAMES = tuple(label.lower() for _, label in TABS)
KEYPAD = (("1", "2", "3"), ("4", "5", "6"), ("7", "8", "9"), ("00", "0", "delete"))
MAX_RESULTS = 40


def view(state: ClockState, context: Context) -> Node:
    """Return the page in front."""
    if context.page.name == "cities":
        return _cities(context)
    tab = context.page.field("tab", "alarm")
    index = TAB_NAMES.index(tab)
    nav = w.bottom_nav(
        tuple((icon, label, SetField("tab", label.lower())) for icon, label in TABS),
        index,
    )
    title = TABS[index][1]
    body = {"alarm": alarm_screens.alarms, "clock": _world, "timer": _timers, "stopwatch": _stopwatch}[tab]
    dialog = alarm_screens.dialog(state, context) or _remove_dialog(context)
    return w.screen(w.top_bar(title), body(state, context), bottom=nav, dialog=dialog)


def entered_seconds(entry: str) -> int:
    """Return the seconds that the digits typed on the timer's keypad (hhmmss) mean."""
    digits = entry.rjust(6, "0")
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])


# --- world clock ---


def _world(state: ClockState, context: Context) -> Node:
    today = short_full_date(context.now, context.settings)
    here = w.column(
        w.text(time_of_day(context.now, context.settings), "display_large", text_align="center"),
        w.text(today, "body", text_align="center", color="on_surface_variant"),
        padding=(16, 24, 16, 24),
        gap=4,
    )
    rows = tuple(_city_row(city, context.now, context.settings) for city in state.cities)
    return alarm_screens.with_fab(
        w.scroll(here, *rows, id="cities", gap=6, padding=(12, 0, 12, 96)), "plus", OpenCities(), "Add city"
    )


def _city_row(city: str, now: int, settings: DeviceSettings) -> Node:
    offset = CITIES[city][1]
    there = now // MINUTE_MS + offset
    day = there // (24 * 60) - now // DAY_MS
    hours = f"{abs(offset) / 60:g} hr{'s' if abs(offset) != 60 else ''} {'ahead' if offset >= 0 else 'behind'}"
    note = f"{('Yesterday', 'Today', 'Tomorrow')[day + 1]}, {hours}" if offset else "Same time"
    clock = w.text(time_of_day(there * MINUTE_MS, settings), "headline_small")
    return w.card(
        w.row(w.column(w.text(city, "title"), w.text(note, "caption"), grow=1), clock, gap=8),
        padding=(16, 12, 16, 12),
        on_swipe_left=RemoveCity(city),
        on_long_press=ShowDialog("remove_city", city),
    )


def _remove_dialog(context: Context) -> Node | None:
    if context.page.dialog != "remove_city":
        return None
    city = context.page.field("dialog_arg")
    buttons = (
        w.button("Cancel", ShowDialog(""), kind="text"),
        w.button("Remove", RemoveCity(city), kind="text"),
    )
    return w.dialog(f"Remove {city}?", "It will no longer be shown.", buttons, dismiss=ShowDialog(""))


def _cities(context: Context) -> Node:
    query = context.page.field("query").strip().casefold()
    found = [name for name in CITIES if query in name.casefold()][:MAX_RESULTS]
    rows = tuple(w.list_item(name, CITIES[name][0], on_tap=AddCity(name)) for name in found)
    back = w.icon_button("arrow-left", Pop(), "Navigate up")
    bar = w.search_bar("query", context.page.field("query"), "Search for a city", leading=back)
    nothing = w.empty_state("map-search-outline", "No cities found")
    return w.screen(w.column(bar, padding=(12, 8, 12, 8)), w.scroll(*(rows or (nothing,)), id="results"))


# --- timer ---


def _timers(state: ClockState, context: Context) -> Node:
    if not state.timers or context.page.field("adding"):
        return _keypad(state, context.page.field("entry"))
    cards = tuple(_timer_card(timer, context.now) for timer in state.timers)
    body = w.scroll(*cards, id="timers", gap=12, padding=(12, 4, 12, 96))
    return alarm_screens.with_fab(body, "plus", SetField("adding", "1"), "Add timer")


def _keypad(state: ClockState, entry: str) -> Node:
    digits = entry.rjust(6, "0")
    color = "primary" if entry else "on_surface_variant"
    shown = f"{digits[:2]}h {digits[2:4]}m {digits[4:]}s"
    rows = [w.row(*(_key(key) for key in keys), gap=12, justify="center") for keys in KEYPAD]
    start = w.fab("play", StartTimer(), "Start") if entered_seconds(entry) else Node(height=56)
    cancel = w.icon_button("delete-outline", SetField("adding", ""), "Cancel") if state.timers else Node(width=48)
    return w.scroll(
        w.text(shown, "display", color=color, text_align="center", padding=(0, 8, 0, 16), lines=1),
        *rows,
        w.spacer(),
        w.row(cancel, start, Node(width=48), justify="center", gap=24, padding=(0, 8, 0, 16)),
        id="keypad",
        gap=10,
    )


def _key(key: str) -> Node:
    erase = key == "delete"
    return Node(
        children=(w.icon("backspace-outline", 26) if erase else w.text(key, "headline"),),
        width=88,
        height=72,
        radius=36,
        fill="secondary_container" if erase else "surface_container_high",
        align="center",
        justify="center",
        on_tap=TimerKey(key),
        label="Delete" if erase else "",
        class_name="Button",
    )


def show_left(milliseconds: int) -> str:
    """Return the time left as shown on a timer, e.g. "4:59" or "1:00:00"; "-0:03" when it is over."""
    sign, seconds = ("-", -milliseconds // SECOND_MS) if milliseconds < 0 else ("", -(-milliseconds // SECOND_MS))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{sign}{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{sign}{minutes}:{seconds:02d}"


def _timer_card(timer: Timer, now: int) -> Node:
    left = timer.left_ms if timer.status == "paused" else timer.ends_at - now
    share = round(min(max(left / (timer.seconds * SECOND_MS), 0.0), 1.0), 2)
    running = timer.status == "running"
    ring = w.stack(
        Node(art=Art("ring", (share,)), width=200, height=200),
        w.text(show_left(left), "display", place="center"),
        width=200,
        height=200,
    )
    buttons = w.row(
        w.button("+ 1:00", AddMinute(timer.key), kind="tonal"),
        w.fab("pause" if running else "play", ToggleTimer(timer.key), "Pause" if running else "Resume"),
        justify="center",
        gap=16,
    )
    status = {"running": "Timer", "paused": "Paused", "expired": "Time\u2019s up"}[timer.status]
    head = w.row(
        w.text(f"{show_left(timer.seconds * SECOND_MS)} {status}", "title", grow=1),
        w.icon_button("close", DeleteTimer(timer.key), "Delete timer"),
    )
    return w.card(head, w.row(ring, justify="center"), buttons, gap=12, padding=(16, 8, 8, 16))


# --- stopwatch ---


def _stopwatch(state: ClockState, context: Context) -> Node:
    watch = state.stopwatch
    running = bool(watch.running_since)
    total = watch.total(context.now)
    laps = []
    for index in range(len(watch.laps) - 1, -1, -1):
        start = watch.laps[index - 1] if index else 0
        laps.append(_lap(index + 1, watch.laps[index] - start, watch.laps[index]))
    padding = (0, 0, 0, 0) if context.landscape else (0, 64, 0, 48)
    shown = w.text(show_precise(total), "display_large", text_align="center", padding=padding)
    side: tuple[Event, str, str] = (StopwatchButton("reset"), "Reset", "refresh")
    lap: tuple[Event, str, str] = (StopwatchButton("lap"), "Lap", "timer-plus-outline")
    arrange = w.column if context.landscape else w.row
    buttons = arrange(
        _round(*side) if total or watch.laps else Node(width=56),
        w.fab("pause" if running else "play", StopwatchButton("toggle"), "Pause" if running else "Start"),
        _round(*lap) if running else Node(width=56),
        justify="center",
        align="center",
        gap=8 if context.landscape else 32,
        padding=(0, 8, 0, 20),
    )
    times = (shown, w.scroll(*laps, id="laps", padding=(32, 0, 32, 8)))
    if context.landscape:
        return w.row(w.column(*times, grow=1), buttons, align="stretch", padding=(0, 0, 32, 0), grow=1)
    return w.column(*times, buttons, grow=1)


def _round(event: Event, label: str, icon: str) -> Node:
    return w.icon_button(icon, event, label)


def show_precise(milliseconds: int) -> str:
    """Return a stopwatch's time as shown, e.g. "1:05.40"."""
    minutes, rest = divmod(milliseconds // 10, 6000)
    seconds, hundredths = divmod(rest, 100)
    return f"{minutes}:{seconds:02d}.{hundredths:02d}" if minutes else f"{seconds:02d}.{hundredths:02d}"


def _lap(number: int, lap_ms: int, total_ms: int) -> Node:
    return w.row(
        w.text(f"# {number}", "body", color="on_surface_variant", grow=1),
        w.text(show_precise(lap_ms), "body", grow=1),
        w.text(show_precise(total_ms), "body"),
        min_height=40,
    )
