"""Views of the alarms: the list with its cards, the time picker, the label dialog."""

from __future__ import annotations

import math

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.clock.state import (
    DAY_MS,
    WEEKDAYS,
    Alarm,
    ClockState,
    DeleteAlarm,
    PickHour,
    PickTime,
    SaveLabel,
    SaveTime,
    SetVibrate,
    SwitchAlarm,
    ToggleDay,
    next_ring,
)
from android_env_gym.phone.state import SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Event, Node

FACE = 256.0
MARK = 48.0
RADIUS = 0.39 * FACE  # where the picture has its numbers
INNER_RADIUS = 0.25 * FACE  # where it has those of the afternoon, in 24 hours
INNER_MARK = 32.0  # what the ring of the afternoon leaves to a number


def with_fab(body: Node, icon: str, on_tap: Event, label: str) -> Node:
    """Return `body` with a floating button at the middle of its lower edge, as the Clock has it."""
    return w.stack(body, Node(children=(w.fab(icon, on_tap, label),), place="bottom", padding=(0, 0, 0, 16)), grow=1)


def alarms(state: ClockState, context: Context) -> Node:
    """Return the list of alarms, by time of day; the card in the page's field "open" is unfolded."""
    shown = context.page.field("open")
    cards = tuple(_card(alarm, str(alarm.key) == shown, context) for alarm in state.alarms)
    empty = w.empty_state("alarm-off", "No alarms")
    body = w.scroll(*(cards or (empty,)), id="alarms", gap=3, padding=(12, 0, 12, 96))
    return with_fab(body, "plus", PickTime(), "Add alarm")


def _card(alarm: Alarm, is_open: bool, context: Context) -> Node:
    time = alarm.shown(context.settings.use_24_hour)
    ink = "on_surface" if alarm.enabled else "on_surface_variant"
    words = [w.text(time, "title_large", color=ink), w.text(schedule(alarm, context.now), "caption_small", lines=1)]
    if alarm.label and not is_open:
        words.insert(0, w.text(alarm.label, "label", color=ink, lines=1))
    key = alarm.key
    fold = w.icon("chevron-up" if is_open else "chevron-down", 20, "on_surface_variant")
    if is_open:
        words[0] = Node(children=(words[0],), on_tap=PickTime(key), label=f"Edit time {time}")
    head = w.row(
        w.column(*words, grow=1),
        fold,
        w.switch(alarm.enabled, SwitchAlarm(key, not alarm.enabled), time),
        gap=10,
    )
    return w.card(
        head,
        *(_details(alarm) if is_open else ()),
        fill="surface_container",
        padding=(16, 1, 12, 1),
        on_tap=SetField("open", "" if is_open else str(key)),
        label=f"Alarm {time}",
    )


def _details(alarm: Alarm) -> tuple[Node, ...]:
    key = alarm.key
    label = w.list_item(
        alarm.label or "Add label",
        leading=w.icon("label-outline", 22, "on_surface_variant"),
        on_tap=ShowDialog("label", str(key)),
    )
    days = w.row(*(_day(alarm, (index + 6) % 7) for index in range(7)), justify="between", padding=(12, 4, 8, 4))
    vibrate = w.checkbox_item(
        "Vibrate",
        alarm.vibrate,
        SetVibrate(key, not alarm.vibrate),
        leading=w.icon("vibrate", 22, "on_surface_variant"),
    )
    delete = w.list_item(
        "Delete",
        leading=w.icon("delete-outline", 22, "on_surface_variant"),
        on_tap=DeleteAlarm(key),
    )
    return (label, days, vibrate, delete)


def _day(alarm: Alarm, day: int) -> Node:
    on = day in alarm.days
    return Node(
        children=(w.text(WEEKDAYS[day][0], "label", color="on_primary" if on else "on_surface", text_align="center"),),
        width=36,
        height=36,
        radius=18,
        fill="primary" if on else "surface_container_highest",
        align="center",
        justify="center",
        on_tap=ToggleDay(alarm.key, day),
        label=WEEKDAYS[day],
        class_name="CheckBox",
        checkable=True,
        checked=on,
    )


def schedule(alarm: Alarm, now: int) -> str:
    """Return when an alarm rings in words, as its card says."""
    if len(alarm.days) == 7:
        return "Every day"
    if alarm.days:
        return ", ".join(WEEKDAYS[day][:3] for day in alarm.days)
    if not alarm.enabled:
        return "Not scheduled"
    return "Today" if next_ring(alarm) // DAY_MS == now // DAY_MS else "Tomorrow"


def dialog(state: ClockState, context: Context) -> Node | None:
    """Return the time picker or the label dialog, None if neither is open."""
    page = context.page
    if page.dialog == "label":
        alarm = next(item for item in state.alarms if str(item.key) == page.field("dialog_arg"))
        field = w.text_field("label", page.field("label", alarm.label), label="Label", on_submit=SaveLabel())
        return w.dialog("Add label", w.column(field, padding=(24, 0, 24, 0)), _buttons(SaveLabel()), dismiss=_CLOSE)
    if page.dialog != "time":
        return None
    return w.dialog("", _picker(context), _buttons(SaveTime()), dismiss=_CLOSE, width=328)


_CLOSE = ShowDialog("")


def _buttons(confirm: Event) -> tuple[Node, ...]:
    return (w.button("Cancel", _CLOSE, kind="text"), w.button("OK", confirm, kind="text"))


def _picker(context: Context) -> Node:
    page = context.page
    hour, minute, half = int(page.field("hour")), int(page.field("minute")), page.field("half")
    picks_minute = page.field("picking") == "minute"
    halves = (w.column(_half("AM", half), _half("PM", half)),) if half else ()
    clock = w.row(
        _part(str(hour) if half else f"{hour:02d}", not picks_minute, SetField("picking", "hour"), f"{hour} hours"),
        w.text(":", "display_fixed"),
        _part(f"{minute:02d}", picks_minute, SetField("picking", "minute"), f"{minute} minutes"),
        *halves,
        gap=8,
        justify="center",
    )
    hours = tuple(range(1, 13)) if half else tuple(range(24))
    dial = _dial(tuple(range(0, 60, 5)), minute, True) if picks_minute else _dial(hours, hour, False)
    return w.column(
        w.text("Select time", "label", color="on_surface_variant"),
        clock,
        w.row(dial, justify="center", padding=(0, 8, 0, 0)),
        gap=12,
        padding=(24, 0, 24, 0),
    )


def _part(text: str, on: bool, event: Event, label: str) -> Node:
    ink = "on_primary_container" if on else "on_surface"
    return Node(
        children=(w.text(text, "display_fixed", color=ink, text_align="center"),),
        width=88,
        height=76,
        radius=8,
        justify="center",
        fill="primary_container" if on else "surface_container_highest",
        on_tap=event,
        label=label,
        class_name="Button",
    )


def _half(name: str, now: str) -> Node:
    on = name == now
    return Node(
        children=(w.text(name, "label", text_align="center", color="on_tertiary_container" if on else "on_surface"),),
        width=52,
        height=40,
        justify="center",
        border="outline",
        fill="tertiary_container" if on else "",
        on_tap=SetField("half", name),
        class_name="RadioButton",
        checkable=True,
        checked=on,
    )


def _dial(values: tuple[int, ...], now: int, minutes: bool) -> Node:
    """Return the face of the picker: its picture, and a touch target over each of its numbers."""
    marks = [Node(art=Art("dial", (now, 0 if minutes else len(values))), place="fill")]
    size = MARK if len(values) == 12 else INNER_MARK
    for value in values:
        angle = 2 * math.pi * (value / 60 if minutes else value / 12)
        radius = INNER_RADIUS if len(values) == 24 and not 1 <= value <= 12 else RADIUS
        left = FACE / 2 + radius * math.sin(angle) - size / 2
        top = FACE / 2 - radius * math.cos(angle) - size / 2
        mark = _mark(value, value == now, minutes, size)
        marks.append(Node(children=(mark,), place="top-left", padding=(left, top, 0, 0)))
    return w.stack(*marks, width=FACE, height=FACE)


def _mark(value: int, on: bool, minutes: bool, size: float) -> Node:
    event: Event = SetField("minute", str(value)) if minutes else PickHour(value)
    return Node(
        width=size,
        height=size,
        on_tap=event,
        label=f"{value} minutes" if minutes else f"{value} o\u2019clock",
        class_name="RadioButton",
        checkable=True,
        checked=on,
    )
