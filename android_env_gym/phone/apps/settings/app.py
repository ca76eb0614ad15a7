"""The Settings app: its update; pages are drawn by `screens`, their rows are listed in `catalog`."""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.phone.app import App, Context
from android_env_gym.phone.apps.settings import rows, screens
from android_env_gym.phone.apps.settings.catalog import PAGES
from android_env_gym.phone.apps.settings.state import (
    Choose,
    ConnectDevice,
    ForgetDevice,
    ForgetNetwork,
    MuteApp,
    Network,
    OpenSearch,
    PairDevice,
    PutPreference,
    SettingsState,
    SubmitPassword,
    SwitchFeature,
    TapNetwork,
    draw_state,
)
from android_env_gym.phone.state import Focus, Open, Page, Pop, PutSetting, SetField, ShowDialog, Toast
from android_env_gym.phone.ui.node import Event, Node, Slid

replace = msgspec.structs.replace
MIN_PASSWORD = 8
Updated = tuple[SettingsState, tuple[Event, ...]]


class Settings(App[SettingsState]):
    """System settings, as on a phone with Android 14."""

    id = "settings"
    title = "Settings"
    package = "com.android.settings"
    icon = "cog"
    color = "#5f6368"
    state_type = SettingsState

    def initial(self, rng: np.random.Generator, now: int) -> SettingsState:
        """Return default preferences, networks and devices in range, this phone's hardware."""
        return draw_state(rng)

    def view(self, state: SettingsState, context: Context) -> Node:
        """Return the page in front."""
        return screens.view(state, context)

    def update(self, state: SettingsState, event: Event, context: Context) -> Updated:
        """Keep preferences, networks and devices; hand the system's settings on to the system."""
        match event:
            case Slid(slider, value):
                return state, (PutSetting(slider, round(value, 2)),)
            case Choose(setting, value):
                return state, (rows.put_event(setting, value), ShowDialog(""))
            case OpenSearch():
                return state, (Open(Page(self.id, "search")), Focus("query"))
            case PutPreference(name, value):
                return replace(state, preferences=replace(state.preferences, **{name: value})), ()
            case MuteApp(app, muted):
                others = tuple(item for item in state.muted if item != app)
                return replace(state, muted=tuple(sorted((*others, app))) if muted else others), ()
            case SwitchFeature(name, on):
                features = tuple(replace(item, on=on) if item.name == name else item for item in state.features)
                return replace(state, features=features), ()
            case TapNetwork() | SubmitPassword() | ForgetNetwork():
                return _update_wifi(state, event, context)
            case PairDevice() | ConnectDevice() | ForgetDevice():
                return _update_devices(state, event)
        return state, ()

    def sheet(self, state: SettingsState) -> tuple[Page, ...]:
        """Return every page, the search and the dialogs."""
        pages = [Page(self.id, name) for name in PAGES if name != "app"]
        return (
            *pages,
            Page(self.id, "app", self.id),
            Page(self.id, "wifi_network", state.networks[0].name),
            Page(self.id, "search", fields=(("query", "dis"),)),
            Page(self.id, "display", dialog="choice:screen_timeout"),
            Page(self.id, "internet", dialog="password", fields=(("dialog_arg", state.networks[-1].name),)),
            Page(self.id, "pair", dialog="pair", fields=(("dialog_arg", state.devices[-1].name),)),
        )


def _update_wifi(state: SettingsState, event: Event, context: Context) -> Updated:
    match event:
        case TapNetwork(name):
            return _tap_network(state, name, context)
        case SubmitPassword():
            return _submit_password(state, context.page)
        case ForgetNetwork(name):
            leave: tuple[Event, ...] = (Pop(),)
            if context.settings.wifi_network == name:
                leave = (PutSetting("wifi_network", ""), Pop())
            return _with_network(state, name, saved=False), leave
    return state, ()


def _tap_network(state: SettingsState, name: str, context: Context) -> Updated:
    if context.settings.wifi_network == name:
        return state, (Open(Page("settings", "wifi_network", name)),)
    network = _network(state, name)
    if network.password and not network.saved:
        return state, (SetField("password", ""), ShowDialog("password", name))
    return _with_network(state, name, saved=True), (PutSetting("wifi_network", name), Toast(f"Connected to {name}"))


def _submit_password(state: SettingsState, page: Page) -> Updated:
    name = page.field("dialog_arg")
    typed = page.field("password")
    if len(typed) < MIN_PASSWORD:
        return state, (Toast(f"The password has at least {MIN_PASSWORD} characters"),)
    if typed != _network(state, name).password:
        return state, (Toast("Check password and try again"),)
    events = (ShowDialog(""), PutSetting("wifi_network", name), Toast(f"Connected to {name}"))
    return _with_network(state, name, saved=True), events


def _network(state: SettingsState, name: str) -> Network:
    return next(item for item in state.networks if item.name == name)


def _with_network(state: SettingsState, name: str, *, saved: bool) -> SettingsState:
    networks = tuple(replace(item, saved=saved) if item.name == name else item for item in state.networks)
    return replace(state, networks=networks)


def _update_devices(state: SettingsState, event: Event) -> Updated:
    match event:
        case PairDevice(name):
            changed = _with_device(state, name, paired=True, connected=True)
            return changed, (ShowDialog(""), Pop(), Toast(f"Connected to {name}"))
        case ConnectDevice(name):
            connected = any(item.connected for item in state.devices if item.name == name)
            return _with_device(state, name, connected=not connected), ()
        case ForgetDevice(name):
            return _with_device(state, name, paired=False, connected=False), (ShowDialog(""),)
    return state, ()


def _with_device(state: SettingsState, name: str, **changes: bool) -> SettingsState:
    devices = tuple(replace(item, **changes) if item.name == name else item for item in state.devices)
    return replace(state, devices=devices)
