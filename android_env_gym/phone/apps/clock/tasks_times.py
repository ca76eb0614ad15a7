"""Task templates of the Clock about the world clock, timers and the stopwatch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action, TypeText
from android_env_gym.phone.apps.clock.cities import CITIES
from android_env_gym.phone.apps.clock.state import ClockState, Stopwatch
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

CITY_NAMES = tuple(name for name in CITIES if " " not in name)
MAX_LAPS = 4


def _with_cities(state: PhoneState, cities: list[str], rng: np.random.Generator) -> PhoneState:
    return put_app(state, replace(app_of(state, ClockState), cities=tuple(rng.permutation(cities).tolist())))


class AddCityTask(TaskTemplate):
    """Add a city to the world clock."""

    id = "clock.add_city"
    apps = ("clock",)
    phrasings = (
        "Add {city} to the world clock",
        "Show the time in {city} in the clock app",
        "Add the city {city} to the clock",
        "Put {city} on my world clock",
    )
    goals = len(CITY_NAMES)
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a city."""
        return {"city": CITY_NAMES[int(rng.integers(len(CITY_NAMES)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Show some other cities."""
        others = [name for name in rng.permutation(list(CITIES)).tolist() if name != goal["city"]]
        return _with_cities(state, others[: int(rng.integers(0, 4))], rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether exactly this city is new."""
        old, new = app_of(before, ClockState).cities, app_of(now, ClockState).cities
        return new == (*old, goal["city"])

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the cities."""
        return ("apps.clock.cities",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for the city and tap it."""
        yield from self._add(pilot, str(goal["city"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add another city."""
        yield from self._add(pilot, "San Diego")

    def _add(self, pilot: Pilot, city: str) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield pilot.tap("Clock")
        yield pilot.tap("Add city")
        yield TypeText(city)
        yield pilot.tap_node(next(node for node in pilot.all(city) if not node.editable))


class RemoveCityTask(TaskTemplate):
    """Remove a city from the world clock."""

    id = "clock.remove_city"
    apps = ("clock",)
    phrasings = (
        "Remove {city} from the world clock",
        "Delete {city} from my clock",
        "Take the city {city} off the world clock",
    )
    goals = len(CITIES)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a city."""
        return {"city": tuple(CITIES)[int(rng.integers(len(CITIES)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the city among three to five others."""
        others = [name for name in rng.permutation(list(CITIES)).tolist() if name != goal["city"]]
        return _with_cities(state, [str(goal["city"]), *others[: int(rng.integers(3, 5))]], rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether exactly this city is gone."""
        old, new = app_of(before, ClockState).cities, app_of(now, ClockState).cities
        return new == tuple(item for item in old if item != goal["city"])

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the cities."""
        return ("apps.clock.cities",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Long-press the city and confirm."""
        yield from pilot.launch("Clock")
        yield pilot.tap("Clock")
        yield pilot.long_press(str(goal["city"]))
        yield pilot.tap("Remove")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Remove another city."""
        yield from pilot.launch("Clock")
        yield pilot.tap("Clock")
        shown = [node.text for node in pilot.tree if node.text in CITIES and node.text != goal["city"]]
        yield pilot.long_press(shown[0])
        yield pilot.tap("Remove")


class StartTimerTask(TaskTemplate):
    """Start a timer of some minutes or seconds."""

    id = "clock.start_timer"
    apps = ("clock",)
    phrasings = (
        "Start a timer for {amount} {unit}",
        "Set a timer for {amount} {unit}",
        "Start a {amount} {unit} timer",
        "Set the timer to {amount} {unit} and start it",
    )
    goals = 8 + 58
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw 2-9 minutes or 2-59 seconds."""
        if rng.random() < 0.3:
            return {"amount": int(rng.integers(2, 10)), "unit": "minutes"}
        return {"amount": int(rng.integers(2, 60)), "unit": "seconds"}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Have no timers yet."""
        return put_app(state, replace(app_of(state, ClockState), timers=()))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether one timer of this length was started."""
        timers = app_of(now, ClockState).timers
        return len(timers) == 1 and timers[0].seconds == _seconds(goal) and timers[0].status != "paused"

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the timers."""
        return ("apps.clock.timers",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type the digits and start."""
        yield from self._start(pilot, str(goal["amount"]), str(goal["unit"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Start a timer in the other unit."""
        yield from self._start(pilot, str(goal["amount"]), "seconds" if goal["unit"] == "minutes" else "minutes")

    def _start(self, pilot: Pilot, amount: str, unit: str) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield pilot.tap("Timer", index=-1)
        for key in (*amount, *(("00",) if unit == "minutes" else ())):
            yield pilot.tap_node(next(node for node in pilot.all(key) if node.class_name.endswith("Button")))
        yield pilot.tap("Start")


class StartLongTimer(StartTimerTask):
    """Start a timer of 10 minutes to an hour."""

    id = "clock.start_long_timer"
    goals = 50
    oracle_steps = 6

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw 10-59 minutes."""
        return {"amount": int(rng.integers(10, 60)), "unit": "minutes"}


def _seconds(goal: Goal) -> int:
    return int(goal["amount"]) * (60 if goal["unit"] == "minutes" else 1)


class StopwatchLaps(TaskTemplate):
    """Run the stopwatch, take a number of laps, stop it."""

    id = "clock.stopwatch_laps"
    apps = ("clock",)
    phrasings = (
        "Start the stopwatch, record {laps} laps and stop it",
        "Use the stopwatch to take {laps} laps, then pause it",
        "Run the stopwatch, press lap {laps} times and stop",
    )
    goals = MAX_LAPS - 1
    oracle_steps = 4 + MAX_LAPS
    unseen = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw the number of laps."""
        return {"laps": int(rng.integers(2, MAX_LAPS + 1))}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Start with a stopwatch at zero."""
        return put_app(state, replace(app_of(state, ClockState), stopwatch=Stopwatch()))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether it stands still with that many laps."""
        watch = app_of(now, ClockState).stopwatch
        return not watch.running_since and len(watch.laps) == goal["laps"]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the stopwatch."""
        return ("apps.clock.stopwatch",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Start, press Lap that many times, pause."""
        yield from self._run(pilot, int(goal["laps"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Take one lap too few."""
        yield from self._run(pilot, int(goal["laps"]) - 1)

    def _run(self, pilot: Pilot, laps: int) -> Iterator[Action]:
        yield from pilot.launch("Clock")
        yield pilot.tap("Stopwatch")
        yield pilot.tap("Start")
        for _ in range(laps):
            yield pilot.tap("Lap")
        yield pilot.tap("Pause")


TIME_TEMPLATES: tuple[TaskTemplate, ...] = (
    AddCityTask(),
    RemoveCityTask(),
    StartTimerTask(),
    StartLongTimer(),
    StopwatchLaps(),
)
