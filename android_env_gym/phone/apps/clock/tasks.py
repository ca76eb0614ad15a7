"""Task templates of the Clock: alarms; those of cities and timers are beside this, `TEMPLATES` lists all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action, Finish, Swipe, Tap
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.apps.clock.state import (
    LABELS,
    WEEKDAYS,
    Alarm,
    ClockState,
    read_time,
    show_time,
)
from android_env_gym.phone.apps.clock.tasks_times import TIME_TEMPLATES
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.tasks.answers import same_answer
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

VISIBLE = 11  # alarms that fit on the screen, so that no fixed point switches the right one in 10% of the tasks
MAX_LABELS = 1  # a label makes a card higher; with more of them the eleventh alarm would be below the fold
SLOTS = 24 * 12
FIRST_SLOT, LAST_SLOT = 12, 276
TIMES = LAST_SLOT - FIRST_SLOT
TARGET, TWIN = 1, 100  # keys of the alarm that a task is about, and of another one at the same time
TWINS = 1 / 3  # share of the tasks that have such a twin


def draw_time(rng: np.random.Generator) -> str:
    """Return a time of day on five minutes, as shown; early or late enough for others before and after it."""
    slot = int(rng.integers(FIRST_SLOT, LAST_SLOT))
    return show_time(slot // 12, slot % 12 * 5)


def with_alarms(state: PhoneState, target: Alarm, rng: np.random.Generator, banned: str = "") -> PhoneState:
    """Return `state` with eleven or twelve alarms, `target` at a random place of those that one sees.

    One of the others has the target's time in the other half of the day; none has the label `banned`.
    """
    count = int(rng.integers(VISIBLE, VISIBLE + 2))
    taken = target.hour * 12 + target.minute // 5
    twin = (taken + SLOTS // 2) % SLOTS
    rank = int(rng.integers(VISIBLE))
    free = [slot for slot in range(SLOTS) if slot not in (taken, twin)]
    before = [slot for slot in free if slot < taken]
    after = [slot for slot in free if slot > taken]
    slots = [*rng.permutation(before)[:rank].tolist(), *rng.permutation(after)[: count - 1 - rank].tolist()]
    # The twin takes the place of one on its side of the day, so that the rank stays.
    same_side = [index for index, slot in enumerate(slots) if (slot < taken) == (twin < taken)]
    if same_side:
        slots[same_side[0]] = twin
    labels = [str(item) for item in rng.permutation(LABELS) if str(item) != banned]
    labelled = rng.permutation(len(slots))[: int(rng.integers(MAX_LABELS + 1))].tolist()
    alarms = [
        _other(index + 2, slot, labels[index] if index in labelled else "", state.now, rng)
        for index, slot in enumerate(slots)
    ]
    alarms.append(replace(target, key=TARGET, armed_at=state.now))
    ordered = tuple(sorted(alarms, key=lambda item: (item.hour, item.minute)))
    data = app_of(state, ClockState)
    return put_app(state, replace(data, alarms=ordered, next_key=len(alarms) + 2))


def _other(key: int, slot: int, label: str, now: int, rng: np.random.Generator) -> Alarm:
    days = tuple(sorted(rng.choice(7, size=int(rng.integers(1, 5)), replace=False).tolist()))
    return Alarm(
        key,
        slot // 12,
        slot % 12 * 5,
        label,
        days if rng.random() < 0.3 else (),
        enabled=bool(rng.random() < 0.5),
        armed_at=now,
    )


def target(state: PhoneState) -> Alarm | None:
    """Return the alarm that the task is about, None if it was deleted."""
    return next((item for item in app_of(state, ClockState).alarms if item.key == TARGET), None)


def became(before: PhoneState, now: PhoneState, **values: object) -> bool:
    """Return whether the alarm that the task is about got these `values`, and no others."""
    old, new = target(before), target(now)
    return old is not None and new is not None and new == replace(old, armed_at=new.armed_at, **values)


def tap_left(pilot: Pilot, text: str) -> Tap:
    """Return a tap on the left part of what reads `text`; the floating button may cover its middle."""
    return pilot.tap_node(pilot.find(text), 0.15)


class AlarmTask(TaskTemplate):
    """Base of the tasks about one alarm, named by its time."""

    apps = ("clock",)
    goals = TIMES

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw the alarm's time."""
        return {"time": draw_time(rng)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the alarm among others."""
        hour, minute = read_time(str(goal["time"]))
        enabled = bool(rng.integers(2))
        return with_alarms(state, Alarm(TARGET, hour, minute, enabled=enabled), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the alarm."""
        return (f"apps.clock.alarms.{TARGET}",)

    def _another(self, pilot: Pilot, goal: Goal) -> str:
        """Return the time of another alarm on the screen."""
        labels = [node.label for node in pilot.tree if node.label.startswith("Alarm ")]
        return next(label for label in labels if label != f"Alarm {goal['time']}").removeprefix("Alarm ")


class ToggleAlarm(AlarmTask):
    """Switch an alarm on or off."""

    id = "clock.toggle_alarm"
    phrasings = (
        "Turn {state} the {time} alarm",
        "Turn the {time} alarm {state}",
        "Switch {state} the alarm at {time}",
        "Set my {time} alarm to {state}",
    )
    goals = 2 * TIMES
    values = ("state",)
    oracle_steps = 2

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw the alarm's time and the state it is to have."""
        return {"time": draw_time(rng), "state": "on" if rng.integers(2) else "off"}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the alarm, in the opposite state, among others; another one of its time may have the state wanted."""
        hour, minute = read_time(str(goal["time"]))
        alarm = Alarm(TARGET, hour, minute, enabled=goal["state"] == "off")
        state = with_alarms(state, alarm, rng)
        if rng.random() >= TWINS:
            return state
        data = app_of(state, ClockState)
        twin = replace(alarm, key=TWIN, enabled=not alarm.enabled, armed_at=state.now)
        at = next(index for index, item in enumerate(data.alarms) if item.key == TARGET) + int(rng.integers(2))
        return put_app(state, replace(data, alarms=(*data.alarms[:at], twin, *data.alarms[at:]), next_key=TWIN + 1))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the alarm was switched and is else as before."""
        return became(before, now, enabled=goal["state"] == "on")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the alarm's switch: the one that does not stand as it is to."""
        yield from pilot.launch("Clock")
        switches = _switches(pilot, str(goal["time"]))
        yield pilot.tap_node(next(node for node in switches if node.checked != (goal["state"] == "on")))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the switch of the other alarm of that time, or of one of another time."""
        yield from pilot.launch("Clock")
        twins = [node for node in _switches(pilot, str(goal["time"])) if node.checked == (goal["state"] == "on")]
        yield pilot.tap_node((twins or _switches(pilot, self._another(pilot, goal)))[0])


def _switches(pilot: Pilot, time: str) -> list[UiNode]:
    return [node for node in pilot.all(time) if node.checkable]


class DeleteOne(AlarmTask):
    """Delete an alarm."""

    id = "clock.delete_alarm"
    phrasings = ("Delete the {time} alarm", "Remove my alarm at {time}", "Get rid of the {time} alarm")
    oracle_steps = 4

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the alarm is gone."""
        return target(now) is None

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Unfold the alarm and tap Delete."""
        yield from self._delete(pilot, goal, str(goal["time"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete another alarm."""
        yield from self._delete(pilot, goal, "")

    def _delete(self, pilot: Pilot, goal: Goal, time: str) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield tap_left(pilot, f"Alarm {time or self._another(pilot, goal)}")
        yield from pilot.scroll_to("Delete")
        yield tap_left(pilot, "Delete")


class RepeatAlarm(AlarmTask):
    """Let an alarm repeat on a weekday."""

    id = "clock.repeat_alarm"
    phrasings = (
        "Make the {time} alarm repeat every {day}",
        "Set my {time} alarm to ring on {day}s",
        "Repeat the {time} alarm on {day}",
    )
    goals = TIMES * 7
    values = ("day",)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw the alarm's time and a day."""
        return {"time": draw_time(rng), "day": WEEKDAYS[int(rng.integers(7))]}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the alarm repeats on that day alone and is else as before."""
        return became(before, now, days=(WEEKDAYS.index(str(goal["day"])),))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Unfold the alarm and tap the day."""
        yield from self._repeat(pilot, goal, str(goal["day"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the day after."""
        yield from self._repeat(pilot, goal, WEEKDAYS[(WEEKDAYS.index(str(goal["day"])) + 1) % 7])

    def _repeat(self, pilot: Pilot, goal: Goal, day: str) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield tap_left(pilot, f"Alarm {goal['time']}")
        yield from pilot.scroll_to(day)
        if pilot.find(day).bounds[3] > pilot.find("Add alarm").bounds[1]:
            yield Swipe(0.5, 0.6, 0.5, 0.4)
        yield pilot.tap(day)


class LabelAlarm(AlarmTask):
    """Give an alarm a label."""

    id = "clock.label_alarm"
    phrasings = (
        "Label the {time} alarm {label}",
        "Name my {time} alarm {label}",
        "Give the alarm at {time} the label {label}",
    )
    goals = TIMES * len(LABELS)
    values = ("label",)
    oracle_steps = 7

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw the alarm's time and a label."""
        return {"time": draw_time(rng), "label": LABELS[int(rng.integers(len(LABELS)))]}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the alarm has the label, in whatever case, and is else as before."""
        new = target(now)
        return new is not None and same_answer(new.label, str(goal["label"])) and became(before, now, label=new.label)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Unfold the alarm, type the label, confirm."""
        yield from self._label(pilot, str(goal["time"]), str(goal["label"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type half of the label."""
        yield from self._label(pilot, str(goal["time"]), str(goal["label"])[:-1])

    def _label(self, pilot: Pilot, time: str, label: str) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield tap_left(pilot, f"Alarm {time}")
        yield from pilot.scroll_to("Add label")
        yield tap_left(pilot, "Add label")
        yield from pilot.type_into("Label", label)
        yield pilot.tap("OK")


class AddAlarm(AlarmTask):
    """Set a new alarm."""

    id = "clock.add_alarm"
    phrasings = (
        "Set an alarm for {time}",
        "Add an alarm at {time}",
        "Create a new alarm for {time}",
        "Wake me up at {time}",
    )
    oracle_steps = 6

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put alarms there, none at that time, one twelve hours off."""
        hour, minute = read_time(str(goal["time"]))
        state = with_alarms(state, Alarm(TARGET, hour, minute), rng)
        data = app_of(state, ClockState)
        return put_app(state, replace(data, alarms=tuple(item for item in data.alarms if item.key != TARGET)))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether exactly one alarm, enabled and at that time, is new."""
        new = [item for item in app_of(now, ClockState).alarms if item.time == goal["time"]]
        return len(new) == 1 and new[0].enabled and not side_effects(before, now, (f"apps.clock.alarms.{new[0].key}",))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the alarms."""
        return ("apps.clock.alarms",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Pick hour, minute and half of the day, then confirm."""
        yield from self._add(pilot, *read_time(str(goal["time"])))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add an alarm an hour later."""
        hour, minute = read_time(str(goal["time"]))
        yield from self._add(pilot, (hour + 1) % 24, minute)

    def _add(self, pilot: Pilot, hour: int, minute: int) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield pilot.tap("Add alarm")
        yield pilot.tap(f"{hour % 12 or 12} o\u2019clock")
        yield pilot.tap_node(next(node for node in pilot.all(f"{minute} minutes") if node.checkable))
        half = "AM" if hour < 12 else "PM"
        if not pilot.find(half).checked:
            yield pilot.tap(half)
        yield pilot.tap("OK")


class AskAlarm(TaskTemplate):
    """Say when the alarm with a label is set."""

    id = "clock.ask_alarm"
    apps = ("clock",)
    phrasings = (
        "What time is the {label} alarm set for?",
        "When does my {label} alarm ring?",
        "At what time is the alarm named {label}?",
    )
    goals = len(LABELS)
    oracle_steps = 2
    judge_at = "finish"

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a label."""
        return {"label": LABELS[int(rng.integers(len(LABELS)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the labelled alarm among others; the first of them has a label too."""
        hour, minute = read_time(draw_time(rng))
        alarm = Alarm(TARGET, hour, minute, str(goal["label"]), enabled=bool(rng.integers(2)))
        state = with_alarms(state, alarm, rng, banned=str(goal["label"]))
        data = app_of(state, ClockState)
        first = next(item for item in data.alarms if item.key != TARGET)
        spare = replace(first, label="Gym" if goal["label"] != "Gym" else "Bus")
        alarms = tuple(spare if item is first else item for item in data.alarms)
        return put_app(state, replace(data, alarms=alarms))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the answer is its time."""
        alarm = target(before)
        return alarm is not None and same_answer(answer, alarm.time)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read the time under the label."""
        yield from pilot.launch("Clock")
        yield Finish("complete", _below(pilot, str(goal["label"])))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read the time under another label."""
        yield from pilot.launch("Clock")
        texts = {node.text for node in pilot.tree}
        other = next(label for label in LABELS if label in texts and label != goal["label"])
        yield Finish("complete", _below(pilot, other))


def _below(pilot: Pilot, label: str) -> str:
    texts = [node.text for node in pilot.tree if node.text]
    return texts[texts.index(label) + 1]


TEMPLATES: tuple[TaskTemplate, ...] = (
    ToggleAlarm(),
    DeleteOne(),
    RepeatAlarm(),
    LabelAlarm(),
    AddAlarm(),
    AskAlarm(),
    *TIME_TEMPLATES,
)
