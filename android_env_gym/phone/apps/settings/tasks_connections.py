"""Task templates of Settings about Wi-Fi networks, Bluetooth devices and the notifications of apps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.apps.settings.state import (
    DEVICE_NAMES,
    NETWORK_NAMES,
    OWNERS,
    PASSWORD_WORDS,
    Network,
    PairedDevice,
    SettingsState,
)
from android_env_gym.phone.apps.settings.tasks_common import STATES, path_of, pick, put, walk
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

GUEST = "Guest"
APP_IDS = {app.title: app.id for app in APPS if app.id != "launcher"}


class JoinWifi(TaskTemplate):
    """Connect to an open Wi-Fi network among others."""

    id = "settings.join_wifi"
    apps = ("settings",)
    phrasings = (
        "Connect to the {network} Wi-Fi",
        "Connect to the Wi-Fi network {network}",
        "Join the {network} network",
        "Switch the Wi-Fi to {network}",
    )
    goals = len(NETWORK_NAMES)
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a network."""
        return {"network": pick(rng, NETWORK_NAMES)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the network somewhere among eight or nine others; be connected to another one."""
        return _with_networks(state, Network(str(goal["network"])), rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether the phone is connected to the network."""
        return now.system.settings.wifi and now.system.settings.wifi_network == goal["network"]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the connection and that the network is remembered."""
        return (path_of("wifi_network"), f"apps.settings.networks.{goal['network']}.saved")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the network in the list."""
        yield from walk(pilot, "internet")
        yield from pilot.scroll_and_tap(str(goal["network"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Join another open network."""
        yield from walk(pilot, "internet")
        yield from pilot.scroll_and_tap(GUEST)


class JoinProtectedWifi(JoinWifi):
    """Connect to a protected Wi-Fi network with the password given."""

    id = "settings.join_protected_wifi"
    phrasings = (
        "Connect to the {network} Wi-Fi, the password is {password}",
        "Join the network {network} with the password {password}",
        "Connect to the Wi-Fi {network} using {password} as the password",
    )
    goals = len(NETWORK_NAMES) * len(PASSWORD_WORDS)
    values = ("password",)
    oracle_steps = 8

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a network and its password."""
        return {"network": pick(rng, NETWORK_NAMES), "password": pick(rng, PASSWORD_WORDS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the network somewhere among eight or nine others; be connected to another one."""
        return _with_networks(state, Network(str(goal["network"]), str(goal["password"])), rng)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the network, type the password, connect."""
        yield from super().oracle(pilot, goal)
        yield from pilot.type_into("Password", str(goal["password"]))
        yield pilot.tap("Connect")


def _with_networks(state: PhoneState, target: Network, rng: np.random.Generator) -> PhoneState:
    names = [name for name in rng.permutation(NETWORK_NAMES).tolist() if name != target.name]
    others = [Network("Home", "butterfly", 4, saved=True), Network(GUEST, "", 3)]
    others += [
        Network(name, pick(rng, PASSWORD_WORDS), int(rng.integers(1, 5)), saved=bool(rng.random() < 0.4))
        for name in names[: rng.integers(6, 8)]
    ]
    networks = [replace(target, strength=int(rng.integers(2, 5))), *others]
    order = rng.permutation(len(networks))
    data = replace(app_of(state, SettingsState), networks=tuple(networks[int(index)] for index in order))
    state = put_app(state, data)
    return put(put(state, "wifi_network", pick(rng, ("Home", ""))), "wifi", True)


class PairWith(TaskTemplate):
    """Pair a new Bluetooth device."""

    id = "settings.pair_device"
    apps = ("settings",)
    phrasings = (
        "Pair the phone with {device}",
        "Connect to {device} over Bluetooth",
        "Pair a new device: {device}",
    )
    goals = len(OWNERS) * len(DEVICE_NAMES)
    oracle_steps = 5
    icons: ClassVar[dict[str, str]] = dict(DEVICE_NAMES)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw an owner and a kind of device."""
        return {"device": f"{pick(rng, OWNERS)}'s {pick(rng, DEVICE_NAMES)[0]}"}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put it among devices of the same owner and of the same kind."""
        target = str(goal["device"])
        owner, kind = target.split("'s ")
        twins = {f"{pick(rng, OWNERS)}'s {kind}", f"{owner}'s {pick(rng, DEVICE_NAMES)[0]}"}
        twins |= {f"{pick(rng, OWNERS)}'s {pick(rng, DEVICE_NAMES)[0]}" for _ in range(int(rng.integers(5, 7)))}
        names = sorted(twins | {target})
        devices = [PairedDevice(name, self.icons[name.split("'s ")[1]]) for name in names]
        order = rng.permutation(len(devices))
        data = replace(app_of(state, SettingsState), devices=tuple(devices[int(index)] for index in order))
        return put(put_app(state, data), "bluetooth", True)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether this device was paired and is connected."""
        devices = app_of(now, SettingsState).devices
        return any(item.name == goal["device"] and item.paired and item.connected for item in devices)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return what pairing sets."""
        path = f"apps.settings.devices.{goal['device']}"
        return (f"{path}.paired", f"{path}.connected")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap it among the available devices and confirm."""
        yield from walk(pilot, "pair")
        yield from pilot.scroll_and_tap(str(goal["device"]))
        yield pilot.tap("Pair")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Pair another device of the list."""
        yield from walk(pilot, "pair")
        names = [node.text for node in pilot.tree if "'s " in node.text]
        yield pilot.tap(next(name for name in reversed(names) if name != goal["device"]))
        yield pilot.tap("Pair")


class AppNotifications(TaskTemplate):
    """Turn the notifications of an app on or off."""

    id = "settings.app_notifications"
    apps = ("settings",)
    phrasings = (
        "Turn {state} notifications for the {app} app",
        "Switch {state} the notifications of {app}",
        "Turn notifications {state} for {app}",
    )
    goals = 2 * len(APP_IDS)
    values = ("state",)
    oracle_steps = 4
    unseen = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw an app and a state."""
        return {"app": pick(rng, tuple(APP_IDS)), "state": pick(rng, STATES)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Mute some apps, and this one if its notifications are to be turned on."""
        muted = {app_id for app_id in state.system.home_order if rng.random() < 0.4}
        target = APP_IDS[str(goal["app"])]
        muted = muted | {target} if goal["state"] == "on" else muted - {target}
        return put_app(state, replace(app_of(state, SettingsState), muted=tuple(sorted(muted))))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether this app is muted or not, as asked for."""
        muted = APP_IDS[str(goal["app"])] in app_of(now, SettingsState).muted
        return muted == (goal["state"] == "off")

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the path of the app among the muted ones."""
        return (f"apps.settings.muted.{APP_IDS[str(goal['app'])]}",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the app in the list of app notifications."""
        yield from walk(pilot, "app_notifications")
        yield from pilot.scroll_and_tap(str(goal["app"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Change another app."""
        yield from walk(pilot, "app_notifications")
        yield from pilot.scroll_and_tap("Settings" if goal["app"] != "Settings" else "Clock")


CONNECTION_TEMPLATES: tuple[TaskTemplate, ...] = (JoinWifi(), PairWith(), JoinProtectedWifi(), AppNotifications())
