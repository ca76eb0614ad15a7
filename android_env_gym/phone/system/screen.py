"""The whole screen as one view tree: status bar, page, keyboard, gesture bar, panels, toast, edit menu."""

from __future__ import annotations

from functools import lru_cache

from android_env_gym.phone.state import EditMenu, PhoneState, is_landscape
from android_env_gym.phone.system import keyboard, panels
from android_env_gym.phone.system.reduce import front, page_view
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.inputs import with_focus
from android_env_gym.phone.ui.node import Art, Event, Node


def root(state: PhoneState) -> Node:
    """Return the view tree of the screen as it is drawn and as accessibility shows it."""
    system = state.system
    page_in_front = front(state)
    at_home = (page_in_front.app, page_in_front.name) == ("launcher", "main")
    bar = _status_bar(system.settings, state.now // 60_000, "#ffffff" if at_home else "on_surface", state)
    below = (keyboard.view(system.keyboard, is_landscape(state)),) if keyboard.is_shown(system) else ()
    view = page_view(state)
    if system.focus:
        view = with_focus(view, system.focus, system.selected, system.caret)
    page = Node(children=(view,), grow=1)
    column = Node(
        children=(bar, page, *below, _gesture_bar("#ffffff" if at_home else "on_surface")),
        place="fill",
        fill="" if at_home else "surface",
    )
    wallpaper = (Node(art=Art("wallpaper", (state.config.wallpaper,)), place="fill"),) if at_home else ()
    overlays = []
    if (system.selected or system.paste_offered) and keyboard.is_shown(system):
        overlays.append(_edit_menu(system.selected, bool(system.clipboard)))
    if system.shade:
        overlays.append(panels.shade(state))
    if system.toast:
        overlays.append(_toast(system.toast))
    return Node(axis="stack", children=(*wallpaper, column, *overlays))


def _status_bar(settings: panels.DeviceSettings, minute: int, color: str, state: PhoneState) -> Node:
    return _cached_status_bar(settings, minute, color, len(state.system.notifications))


_cached_status_bar = lru_cache(maxsize=64)(panels.status_bar)


@lru_cache(maxsize=4)
def _gesture_bar(color: str) -> Node:
    pill = Node(width=108, height=4, radius=2, fill=color)
    return Node(height=panels.GESTURE_HEIGHT, align="center", justify="center", children=(pill,), id="gesture_bar")


def _edit_menu(selected: bool, can_paste: bool) -> Node:
    commands: tuple[tuple[str, Event], ...] = (
        *((("Cut", EditMenu("cut")), ("Copy", EditMenu("copy"))) if selected else ()),
        *((("Paste", EditMenu("paste")),) if can_paste else ()),
    )
    buttons = tuple(w.button(label, event, kind="text") for label, event in commands)
    bar = Node(
        axis="row", fill="surface_container_highest", radius=24, shadow=2, padding=(8, 0, 8, 0), children=buttons
    )
    return Node(place="top", padding=(0, 84, 0, 0), children=(bar,))


def _toast(text: str) -> Node:
    return Node(place="bottom", padding=(24, 0, 24, 64), children=(w.toast(text),))
