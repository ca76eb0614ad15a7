"""Task templates of Settings about pages, switches, sliders and choices; `TEMPLATES` lists all of the app."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps.settings.catalog import LANGUAGES, rows_of
from android_env_gym.phone.apps.settings.row_types import Level, Switch
from android_env_gym.phone.apps.settings.tasks_common import (
    STATES,
    choices,
    get,
    page_titles,
    path_of,
    pick,
    put,
    slider_fraction,
    switches,
    walk,
)
from android_env_gym.phone.apps.settings.tasks_connections import CONNECTION_TEMPLATES
from android_env_gym.phone.apps.settings.tasks_questions import QUESTION_TEMPLATES
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

NEAR_SWITCHES = (
    "Wi-Fi", "Mobile data", "Roaming", "Airplane mode", "Wi-Fi hotspot", "USB tethering", "Data Saver", "Bluetooth",
    "NFC", "Nearby Share", "Wi-Fi calling", "Caller ID", "Notification history", "Bubbles", "Do Not Disturb",
    "Battery Saver", "Adaptive Battery", "Battery percentage", "Smart Storage", "Vibration & haptics",
    "Adaptive brightness", "Dark theme", "Now Playing", "Bold text", "High contrast text",
)  # fmt: skip
FAR_PAGES = ("accessibility", "security", "location", "accounts", "keyboard", "gestures", "date_time", "system")
NEAR_PAGES = (
    "Network & internet", "Connected devices", "Apps", "Notifications", "Battery", "Storage", "Sound & vibration",
    "Display", "Internet", "Calls & SMS", "SIMs", "Hotspot & tethering", "Data Saver", "VPN", "Pair new device",
    "Default apps", "App notifications", "Conversations", "Do Not Disturb", "Battery usage", "Battery Saver",
    "Lock screen", "Display size and text",
)  # fmt: skip
PERCENTS = tuple(range(0, 101, 10))
TOLERANCE = 0.06


class Toggle(TaskTemplate):
    """Turn a switch that needs no scrolling on or off.

    Its test goals are on pages that some train goal visits: what is unseen is the switch, or the state wanted of it.
    """

    id = "settings.toggle"
    apps = ("settings",)
    phrasings = (
        "Turn {state} {setting}",
        "Turn {setting} {state}",
        "Switch {setting} {state} in the settings",
        "Set {setting} to {state}",
        "Please switch {state} {setting}",
    )
    goals = 2 * len(NEAR_SWITCHES)
    values = ("state",)
    oracle_steps = 4
    candidates: tuple[str, ...] = NEAR_SWITCHES

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a switch and the state it is to have."""
        return {"setting": pick(rng, self.candidates), "state": pick(rng, STATES)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Draw the other switches at random and set this one to the opposite."""
        for title in self.candidates:
            if title != "Dark theme":
                state = put(state, switches()[title][1].setting, bool(rng.integers(2)))
        return put(state, _setting(goal), goal["state"] == "off")

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the switch is as asked for."""
        return get(now, _setting(goal)) is (goal["state"] == "on")

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the switch."""
        return (path_of(_setting(goal)),)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go to the page of the switch and tap it."""
        page, row = switches()[str(goal["setting"])]
        yield from walk(pilot, page)
        yield from pilot.scroll_and_tap(row.title)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Toggle another switch, on the same page if it has one."""
        page, row = switches()[str(goal["setting"])]
        others = [item.title for item in rows_of(page) if isinstance(item, Switch) and item is not row]
        if not others:
            page, others = ("battery", ["Adaptive Battery"]) if page != "battery" else ("connected", ["NFC"])
        yield from walk(pilot, page)
        yield from pilot.scroll_and_tap(others[0])


def _setting(goal: Goal) -> str:
    return switches()[str(goal["setting"])][1].setting


def _far_switches() -> tuple[str, ...]:
    return tuple(title for title, (page, _) in switches().items() if page in FAR_PAGES)


class ToggleFar(Toggle):
    """Turn a switch on or off whose category is below the fold of the main page; split as `Toggle` is."""

    id = "settings.toggle_far"
    candidates = _far_switches()
    goals = 2 * len(candidates)
    oracle_steps = 6


class OpenPage(TaskTemplate):
    """Open a page of the settings."""

    id = "settings.open_page"
    apps = ("settings",)
    phrasings = (
        "Open the {page} settings",
        "Go to {page} in the settings",
        "Show me the {page} page of the settings",
        "Open Settings and go to {page}",
    )
    goals = len(NEAR_PAGES)
    oracle_steps = 3

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a page."""
        return {"page": pick(rng, NEAR_PAGES)}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the page is in front."""
        page = front(now)
        return not now.system.shade and page.app == "settings" and page.name == page_titles()[str(goal["page"])]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the way there."""
        yield from walk(pilot, page_titles()[str(goal["page"])])

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open another page."""
        yield from walk(pilot, "storage" if goal["page"] != "Storage" else "battery")


LEVELS: dict[str, tuple[str, Level]] = {
    row.title.lower(): (page, row) for page in ("sound", "display") for row in rows_of(page) if isinstance(row, Level)
}


class SetLevel(TaskTemplate):
    """Set a volume or the brightness to a percentage, within six percent."""

    id = "settings.set_level"
    apps = ("settings",)
    phrasings = (
        "Set the {level} to {percent}%",
        "Change the {level} to {percent} percent",
        "Put the {level} at {percent}%",
    )
    goals = len(LEVELS) * len(PERCENTS)
    values = ("percent",)
    oracle_steps = 3

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a slider and a percentage."""
        return {"level": pick(rng, tuple(LEVELS)), "percent": pick(rng, PERCENTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Draw all sliders, this one far from the goal."""
        for _, row in LEVELS.values():
            state = put(state, row.setting, round(float(rng.random()), 2))
        wanted = int(goal["percent"]) / 100
        far = wanted - float(rng.uniform(0.25, 0.5)) if wanted > 0.5 else wanted + float(rng.uniform(0.25, 0.5))
        return put(state, LEVELS[str(goal["level"])][1].setting, round(far, 2))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the slider is where it should be."""
        setting = LEVELS[str(goal["level"])][1].setting
        return abs(float(get(now, setting)) - int(goal["percent"]) / 100) <= TOLERANCE

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the slider."""
        return (path_of(LEVELS[str(goal["level"])][1].setting),)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the slider at the percentage."""
        yield from self._set(pilot, goal, int(goal["percent"]) / 100)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Set the right slider to the wrong value."""
        yield from self._set(pilot, goal, (int(goal["percent"]) / 100 + 0.3) % 1.0)

    def _set(self, pilot: Pilot, goal: Goal, value: float) -> Iterator[Action]:
        page, row = LEVELS[str(goal["level"])]
        yield from walk(pilot, page)
        slider = next(node for node in pilot.all(row.title) if node.class_name.endswith("SeekBar"))
        yield pilot.tap_node(slider, slider_fraction(slider, value))


class ChooseOption(TaskTemplate):
    """Choose an option of a setting: screen timeout, font size, ringtone, ..."""

    id = "settings.choose_option"
    apps = ("settings",)
    phrasings = (
        "Set the {setting} to {option}",
        "Change {setting} to {option}",
        "In the settings, choose {option} as the {setting}",
    )
    candidates = tuple(
        (title, label) for title, (_, row) in choices().items() if len(row.options) > 2 for _, label in row.options
    )
    goals = len(candidates)
    values = ("option",)
    oracle_steps = 6

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a setting and one of its options."""
        title, label = pick(rng, self.candidates)
        return {"setting": title, "option": label}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Choose other options everywhere."""
        for title, (_, row) in choices().items():
            values = tuple(value for value, label in row.options if (title, label) != (goal["setting"], goal["option"]))
            if row.setting != "font_size" or title == goal["setting"]:
                state = put(state, row.setting, pick(rng, values))
        return state

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the option was chosen."""
        row = choices()[str(goal["setting"])][1]
        chosen = dict(row.options).get(get(now, row.setting))  # type: ignore[arg-type]
        return chosen == goal["option"]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the setting."""
        return (path_of(choices()[str(goal["setting"])][1].setting),)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the dialog and tap the option."""
        yield from self._choose(pilot, goal, str(goal["option"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Choose another option of the right setting."""
        labels = [label for _, label in choices()[str(goal["setting"])][1].options if label != goal["option"]]
        yield from self._choose(pilot, goal, labels[0])

    def _choose(self, pilot: Pilot, goal: Goal, option: str) -> Iterator[Action]:
        page, row = choices()[str(goal["setting"])]
        yield from walk(pilot, page)
        yield from pilot.scroll_and_tap(row.title)
        yield pilot.tap(option)


class SetLanguage(TaskTemplate):
    """Change the language of the phone."""

    id = "settings.set_language"
    apps = ("settings",)
    phrasings = (
        "Change the language of the phone to {language}",
        "Set the phone's language to {language}",
        "Switch the system language to {language}",
    )
    goals = len(LANGUAGES)
    oracle_steps = 10

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a language."""
        return {"language": pick(rng, LANGUAGES)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Start with another language."""
        return put(state, "language", pick(rng, tuple(item for item in LANGUAGES if item != goal["language"])))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the language was changed."""
        return get(now, "language") == goal["language"]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the language."""
        return (path_of("language"),)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go to System, Languages and tap it."""
        yield from walk(pilot, "languages")
        yield from pilot.scroll_and_tap(str(goal["language"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Choose the next language of the list."""
        yield from walk(pilot, "languages")
        yield from pilot.scroll_and_tap(LANGUAGES[(LANGUAGES.index(str(goal["language"])) + 1) % len(LANGUAGES)])


TEMPLATES: tuple[TaskTemplate, ...] = (
    Toggle(),
    OpenPage(),
    SetLevel(),
    ChooseOption(),
    ToggleFar(),
    SetLanguage(),
    *QUESTION_TEMPLATES,
    *CONNECTION_TEMPLATES,
)
