"""Keys that no action of an agent has: power, volume, brightness, editing and shortcut keys. `ServedPhone` calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from android_env_gym.phone.state import Back, EditMenu, Open, Page, PutSetting, ShowShade
from android_env_gym.phone.ui.node import Event

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

VOLUME_STEPS = 15
BRIGHTNESS_STEPS = 10
_CTRL = {"A": "select_all", "C": "copy", "X": "cut", "V": "paste"}


def press(served: ServedPhone, name: str) -> None:
    """Do what the key does; a key that means nothing to the phone does nothing."""
    effect = _EFFECTS.get(name)
    if effect is not None:
        effect(served)


def press_with_ctrl(served: ServedPhone, name: str) -> None:
    """Do what the key does while Ctrl is held."""
    if name in _CTRL:
        served.handle(EditMenu(_CTRL[name]))


def _toggle_screen(served: ServedPhone) -> None:
    served.sleep() if served.screen_on else served.wake()


def _nudge(setting: str, step: float) -> Callable[[ServedPhone], None]:
    """Return the effect of a key that moves a level in [0, 1] by `step`."""

    def move(served: ServedPhone) -> None:
        value: float = getattr(served.state.system.settings, setting)
        served.handle(PutSetting(setting, round(min(max(value + step, 0.0), 1.0), 4)))

    return move


def _show(event: Event) -> Callable[[ServedPhone], None]:
    """Return the effect of a key that works only while the screen is on."""

    def handle(served: ServedPhone) -> None:
        if served.screen_on:
            served.handle(event)

    return handle


_EFFECTS: dict[str, Callable[[ServedPhone], None]] = {
    "POWER": _toggle_screen,
    "WAKEUP": lambda served: served.wake(),
    "SLEEP": lambda served: served.sleep(),
    "VOLUME_UP": _nudge("media_volume", 1 / VOLUME_STEPS),
    "VOLUME_DOWN": _nudge("media_volume", -1 / VOLUME_STEPS),
    "VOLUME_MUTE": _nudge("media_volume", -1.0),
    "BRIGHTNESS_UP": _nudge("brightness", 1 / BRIGHTNESS_STEPS),
    "BRIGHTNESS_DOWN": _nudge("brightness", -1 / BRIGHTNESS_STEPS),
    "ESCAPE": _show(Back()),
    "NOTIFICATION": _show(ShowShade("notifications")),
    "SETTINGS": _show(Open(Page("settings"))),
    "ALL_APPS": _show(Open(Page("launcher", "drawer"))),
    "CUT": _show(EditMenu("cut")),
    "COPY": _show(EditMenu("copy")),
    "PASTE": _show(EditMenu("paste")),
}
