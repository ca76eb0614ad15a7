"""The phone's whole state as one immutable, typed, plain-data value.

`update(state, event) -> state` makes new values and shares what did not change, so `snapshot` and
`fork` cost a reference and `diff` walks only what differs. Nothing here holds code.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from android_env_gym.phone.ui.node import Event


class AppState(msgspec.Struct, frozen=True):
    """Base of every app's data. Subclasses set `tag` to the app's id and use tuples, never lists or dicts."""


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the phone is built: pixels, density (pixels per dp), font scale, wallpaper, icon layout, latency.

    `shuffle_icons` orders the home screen by the episode's seed; `latency_ms` is virtual time added per action.
    """

    width: int = 540
    height: int = 1200
    density: float = 1.5
    font_scale: float = 1.0
    wallpaper: int = 0
    shuffle_icons: bool = False
    latency_ms: int = 0


class DeviceSettings(msgspec.Struct, frozen=True):
    """System settings that the Settings app, quick settings, the status bar and other apps share.

    Airplane mode leaves the switches of Wi-Fi, Bluetooth and mobile data as they are; `radio` says what works.
    """

    wifi: bool = True
    wifi_network: str = "Home"
    bluetooth: bool = False
    airplane_mode: bool = False
    mobile_data: bool = True
    hotspot: bool = False
    nfc: bool = True
    location: bool = True
    dark_theme: bool = False
    night_light: bool = False
    adaptive_brightness: bool = True
    auto_rotate: bool = False
    do_not_disturb: bool = False
    battery_saver: bool = False
    battery_percentage: bool = False
    screen_lock: bool = True
    vibrate: bool = True
    brightness: float = 0.6
    media_volume: float = 0.5
    call_volume: float = 0.5
    ring_volume: float = 0.5
    alarm_volume: float = 0.5
    screen_timeout: int = 30
    font_size: int = 1
    language: str = "English (United States)"
    use_24_hour: bool = False

    def radio(self, name: Literal["wifi", "bluetooth", "mobile_data"]) -> bool:
        """Return whether a radio works: it is switched on and airplane mode is not."""
        return getattr(self, name) and not self.airplane_mode

    @property
    def online(self) -> bool:
        """Return whether the phone reaches the internet, over Wi-Fi or mobile data."""
        return (self.radio("wifi") and bool(self.wifi_network)) or self.radio("mobile_data")


class Page(msgspec.Struct, frozen=True):
    """One entry of a back stack: a screen of an app with its argument and its own UI state.

    `fields` holds texts being edited and other page-local choices, `scroll` the offset in dp of each
    scroll container, `dialog` the name of the dialog the page's view should show ("" for none).
    """

    app: str
    name: str = "main"
    arg: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    scroll: tuple[tuple[str, float], ...] = ()
    dialog: str = ""

    def field(self, name: str, default: str = "") -> str:
        """Return the page-local value of `name`."""
        for key, value in self.fields:
            if key == name:
                return value
        return default

    def with_field(self, name: str, value: str) -> Page:
        """Return this page with the page-local `name` set to `value`."""
        rest = tuple(item for item in self.fields if item[0] != name)
        return msgspec.structs.replace(self, fields=(*rest, (name, value)))


class Stack(msgspec.Struct, frozen=True):
    """The back stack of one app; the last page is shown."""

    app: str
    pages: tuple[Page, ...]


class Notification(msgspec.Struct, frozen=True):
    """An entry of the notification shade; tapping it opens `page`."""

    app: str
    title: str
    text: str
    page: Page | None = None


class Keyboard(msgspec.Struct, frozen=True):
    """The soft keyboard's mode; it is shown while a field has the focus and `hidden` is False."""

    shift: bool = False
    symbols: bool = False
    hidden: bool = False


class SystemState(msgspec.Struct, frozen=True):
    """What belongs to the system: back stacks (the last is in front), focus, keyboard, clipboard, overlays.

    `shade` is "" | "notifications" | "quick" | "recents"; `toast` is shown until `toast_until` (virtual ms).
    `selected` means the focused field's text is selected as a whole (typing replaces it); else what is typed goes
    in front of character `caret` of it, -1: behind the last. `paste_offered` shows the edit menu over an empty field.
    While `screen_on` is False the screen is black and touches do nothing; `rotation` counts quarter turns (0-3).
    """

    stacks: tuple[Stack, ...] = ()
    focus: str = ""
    selected: bool = False
    caret: int = -1
    paste_offered: bool = False
    keyboard: Keyboard = Keyboard()
    clipboard: str = ""
    shade: str = ""
    toast: str = ""
    toast_until: int = 0
    notifications: tuple[Notification, ...] = ()
    settings: DeviceSettings = DeviceSettings()
    home_order: tuple[str, ...] = ()
    screen_on: bool = True
    rotation: int = 0


class PhoneState(msgspec.Struct, frozen=True):
    """The phone. `now` is virtual time, milliseconds since the epoch, UTC."""

    now: int
    config: DeviceConfig
    system: SystemState
    apps: tuple[AppState, ...]


def is_landscape(state: PhoneState) -> bool:
    """Return whether the screen, as it is held now, is wider than high."""
    return (state.config.width > state.config.height) != bool(state.system.rotation % 2)


# --- events that the system handles; an app's view may carry them and an app's update may return them ---


class SystemEvent(Event, frozen=True):
    """Base of the events handled by the system rather than by the app in front."""


class Open(SystemEvent, frozen=True):
    """Push `page` on its app's back stack and bring that app to the front."""

    page: Page


class Replace(SystemEvent, frozen=True):
    """Show `page` in place of the top page."""

    page: Page


class Pop(SystemEvent, frozen=True):
    """Leave `count` pages of the app in front."""

    count: int = 1


class Launch(SystemEvent, frozen=True):
    """Bring the app with id `app` to the front where it was left, starting it if needed."""

    app: str


class Back(SystemEvent, frozen=True):
    """Android's back: close shade, keyboard, dialog, page, app: the first of these that is there."""


class Home(SystemEvent, frozen=True):
    """Show the home screen."""


class ShowShade(SystemEvent, frozen=True):
    """Open ("notifications", "quick", "recents") or close ("") a system panel."""

    panel: str


class Focus(SystemEvent, frozen=True):
    """Give the text field `field` of the page in front the focus ("" takes it away) and show the keyboard.

    The caret goes in front of character `caret` of its text, -1: behind the last.
    """

    field: str
    caret: int = -1


class SetField(SystemEvent, frozen=True):
    """Set a page-local value of the page in front."""

    field: str
    value: str


class Unscroll(SystemEvent, frozen=True):
    """Show the scroll container `name` of the page in front where it begins."""

    name: str


class ShowDialog(SystemEvent, frozen=True):
    """Show the dialog `dialog` of the page in front ("" closes it); remember `arg` in the field "dialog_arg"."""

    dialog: str
    arg: str = ""


class Toast(SystemEvent, frozen=True):
    """Show a short message at the bottom."""

    text: str


class PutSetting(SystemEvent, frozen=True):
    """Set the field `name` of `DeviceSettings`."""

    name: str
    value: bool | int | float | str


class Notify(SystemEvent, frozen=True):
    """Post a notification."""

    notification: Notification


class Dismiss(SystemEvent, frozen=True):
    """Remove the notification at `index` ( -1: all)."""

    index: int = -1


class Copy(SystemEvent, frozen=True):
    """Put `text` on the clipboard."""

    text: str


class KeyTap(SystemEvent, frozen=True):
    """A key of the soft keyboard: a character, or "shift" | "symbols" | "delete" | "enter" | "space" | "hide"."""

    key: str


class EditMenu(SystemEvent, frozen=True):
    """Act on the focused field: "select_all" | "copy" | "cut" | "paste"."""

    command: str
