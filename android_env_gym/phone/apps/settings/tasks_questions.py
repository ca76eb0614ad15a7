"""Task templates of Settings that end with an answer: details of this phone, and features it does not have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.phone.apps.settings.catalog import LANGUAGES
from android_env_gym.phone.apps.settings.state import FEATURES, Feature, SettingsState, draw_features, draw_hardware
from android_env_gym.phone.apps.settings.tasks_common import (
    STATES,
    choices,
    get,
    pick,
    put,
    walk,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.tasks.answers import same_answer, same_phone
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

# As an instruction names them, in the order of `FEATURES`.
SPOKEN = (
    "the infrared blaster", "the FM radio", "the pop-up camera", "wireless charging", "the stylus", "satellite calls",
    "the laser pointer", "the edge lighting", "the heart rate sensor", "Dolby Atmos", "face unlock", "the second SIM",
    "the iris scanner", "desktop mode", "the flip cover", "water lock",
)  # fmt: skip
# detail: (page, the row's title)
DETAILS: dict[str, tuple[str, str]] = {
    "device name": ("about", "Device name"),
    "phone number": ("about", "Phone number"),
    "model": ("about", "Model"),
    "Android version": ("about", "Android version"),
    "security update": ("about", "Security update"),
    "serial number": ("about", "Serial number"),
    "IP address": ("about", "IP address"),
    "Wi-Fi MAC address": ("about", "Wi-Fi MAC address"),
    "Bluetooth address": ("about", "Bluetooth address"),
    "up time": ("about", "Up time"),
    "kernel version": ("about", "Kernel version"),
    "build number": ("about", "Build number"),
    "Wi-Fi network": ("network", "Internet"),
    "language": ("system", "Languages"),
    "screen timeout": ("display", "Screen timeout"),
    "ringtone": ("sound", "Phone ringtone"),
    "notification sound": ("sound", "Default notification sound"),
    "alarm sound": ("sound", "Default alarm sound"),
    "color mode": ("display", "Colors"),
    "private DNS mode": ("network", "Private DNS"),
}
_HARDWARE = {"device name": "name", "phone number": "number", "Android version": "android", "security update": "patch"}
_HARDWARE |= {"serial number": "serial", "IP address": "ip", "Wi-Fi MAC address": "wifi_mac", "model": "model"}
_HARDWARE |= {"Bluetooth address": "bluetooth_mac", "up time": "up_time", "kernel version": "kernel"}
_HARDWARE |= {"build number": "build"}


def _truth(state: PhoneState, detail: str) -> str:
    if detail in _HARDWARE:
        return getattr(app_of(state, SettingsState).hardware, _HARDWARE[detail])
    if detail in ("Wi-Fi network", "language"):
        return str(get(state, "wifi_network" if detail == "Wi-Fi network" else "language"))
    row = choices()[DETAILS[detail][1]][1]
    return next(label for value, label in row.options if value == get(state, row.setting))


class AskDetail(TaskTemplate):
    """Answer what a detail of this phone is."""

    id = "settings.ask_detail"
    apps = ("settings",)
    phrasings = (
        "What is the {detail} of this phone?",
        "Tell me this phone's {detail}",
        "Look up the {detail} in the settings",
    )
    goals = len(DETAILS)
    oracle_steps = 7
    judge_at = "finish"

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a detail."""
        return {"detail": pick(rng, tuple(DETAILS))}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Draw the hardware, the network, the language and every choice."""
        data = app_of(state, SettingsState)
        state = put_app(state, replace(data, hardware=draw_hardware(rng)))
        state = put(state, "wifi_network", pick(rng, data.networks).name)
        state = put(state, "language", pick(rng, LANGUAGES))
        for _, row in choices().values():
            if row.setting != "font_size":
                state = put(state, row.setting, pick(rng, row.options)[0])
        return state

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the answer is right."""
        truth = _truth(before, str(goal["detail"]))
        same = same_phone if goal["detail"] == "phone number" else same_answer
        return same(answer, truth)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read what stands under the detail's title."""
        yield from self._read(pilot, *DETAILS[str(goal["detail"])])

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read the detail beside it."""
        yield from self._read(pilot, *DETAILS["model" if goal["detail"] != "model" else "serial number"])

    def _read(self, pilot: Pilot, page: str, title: str) -> Iterator[Action]:
        yield from walk(pilot, page)
        yield from pilot.scroll_to(title)
        texts = [node.text for node in pilot.tree if node.text]
        yield Finish("complete", texts[texts.index(title) + 1])


class SwitchPhoneFeature(TaskTemplate):
    """Switch something that this phone has and others lack: the feasible twin of `MissingFeature`."""

    id = "settings.phone_feature"
    apps = ("settings",)
    phrasings = (
        "Turn {state} {feature}",
        "Switch {feature} {state}",
        "Go to the settings and turn {feature} {state}",
    )
    goals = 2 * len(SPOKEN)
    values = ("state",)
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a feature and a state."""
        return {"feature": pick(rng, SPOKEN), "state": pick(rng, STATES)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Have it, in the other state, among four to seven others."""
        title = _title(goal)
        others = {item.name: item for item in draw_features(rng, tuple(item for item in FEATURES if item != title))}
        found = others | {title: Feature(title, goal["state"] == "off")}
        return _with_features(state, tuple(found[name] for name in FEATURES if name in found))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether it is as asked for."""
        return Feature(_title(goal), goal["state"] == "on") in app_of(now, SettingsState).features

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of its switch."""
        return (f"apps.settings.features.{_title(goal)}.on",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for it, open its page and tap it."""
        yield from self._search(pilot, goal)
        yield pilot.tap_node(next(node for node in pilot.all(_title(goal)) if not node.editable))
        yield pilot.tap(_title(goal))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Switch another feature."""
        yield from walk(pilot, "features")
        yield pilot.tap(next(name for name in FEATURES if name != _title(goal) and pilot.sees(name)))

    def _search(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        yield from pilot.launch("Settings")
        yield pilot.tap("Search settings")
        yield from pilot.type_into("Search settings", _title(goal))


def _title(goal: Goal) -> str:
    return FEATURES[SPOKEN.index(str(goal["feature"]))]


def _with_features(state: PhoneState, features: tuple[Feature, ...]) -> PhoneState:
    return put_app(state, replace(app_of(state, SettingsState), features=features))


class MissingFeature(SwitchPhoneFeature):
    """Asks for something that other phones have and this one lacks."""

    id = "settings.missing_feature"
    oracle_steps = 4
    judge_at = "finish"
    infeasible = True
    twin = SwitchPhoneFeature.id

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Have four to seven others."""
        others = tuple(item for item in FEATURES if item != _title(goal))
        return _with_features(state, draw_features(rng, others))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Nothing that is done on this phone can succeed."""
        return False

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for it and say that it is not there."""
        yield from self._search(pilot, goal)
        yield Finish("infeasible")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Switch something else and call it done."""
        yield from super().near_miss(pilot, goal)
        yield Finish("complete")


QUESTION_TEMPLATES: tuple[TaskTemplate, ...] = (AskDetail(), SwitchPhoneFeature(), MissingFeature())
