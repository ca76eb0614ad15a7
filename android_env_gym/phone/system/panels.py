"""System panels drawn over the app: status bar, notification shade, quick settings, recents."""

from __future__ import annotations

from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.dates import time_of_day
from android_env_gym.phone.languages import LANGUAGES
from android_env_gym.phone.state import (
    DeviceSettings,
    Dismiss,
    Launch,
    Notification,
    Open,
    Page,
    PhoneState,
    PutSetting,
    ShowShade,
    SystemState,
    Toast,
    is_landscape,
)
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Event, Node

STATUS_HEIGHT = 28.0
GESTURE_HEIGHT = 20.0
TILES = (
    ("wifi", "wifi", "Internet"),
    ("bluetooth", "bluetooth", "Bluetooth"),
    ("do_not_disturb", "minus-circle-outline", "Do Not Disturb"),
    ("airplane_mode", "airplane", "Airplane mode"),
    ("auto_rotate", "screen-rotation", "Auto-rotate"),
    ("battery_saver", "battery-plus-variant", "Battery Saver"),
    ("dark_theme", "theme-light-dark", "Dark theme"),
    ("location", "map-marker-outline", "Location"),
)


def status_bar(settings: DeviceSettings, minute: int, color: str, unread: int) -> Node:
    """Return the status bar: clock, notification dot, connectivity, battery."""
    signs = [
        name
        for shown, name in (
            (settings.do_not_disturb, "minus-circle-outline"),
            (settings.radio("bluetooth"), "bluetooth"),
            (settings.airplane_mode, "airplane"),
            (settings.radio("wifi"), "wifi"),
            (settings.radio("mobile_data"), "signal-cellular-3"),
        )
        if shown
    ]
    battery = "battery-heart-variant" if settings.battery_saver else "battery-80"
    left = [Node(text=time_of_day(minute * 60_000, settings), style="label_fixed", color=color)]
    if unread:
        left.append(Node(icon="message-outline", icon_size=14, color=color, label=f"{unread} notifications"))
    right = [Node(icon=name, icon_size=15, color=color) for name in (*signs, battery)]
    if settings.battery_percentage:
        right.append(Node(text="80%", style="label_fixed", color=color))
    return Node(
        axis="row",
        height=STATUS_HEIGHT,
        padding=(20, 2, 16, 0),
        gap=4,
        align="center",
        children=(*left, Node(grow=1), *right),
        id="status_bar",
    )


def shade(state: PhoneState) -> Node:
    """Return the open panel: notifications, quick settings or recents."""
    system = state.system
    if system.shade == "recents":
        return _recents(system, state.now // 60_000)
    columns = 4 if is_landscape(state) else 2
    body = _quick_settings(system.settings, columns) if system.shade == "quick" else _notifications(system, columns)
    panel = Node(
        children=(
            status_bar(system.settings, state.now // 60_000, "on_surface", 0),
            w.scroll(*body, id="shade", gap=8, grow=0),
        ),
        fill="surface_container",
        padding=(0, 0, 0, 16),
        gap=8,
        id="notification_panel",
    )
    below = Node(grow=1, on_tap=ShowShade(""), fill="surface_container")
    return Node(children=(panel, below), place="fill", modal=True)


def _tile(setting: str, icon: str, label: str, settings: DeviceSettings) -> Node:
    grounded = setting in ("wifi", "bluetooth") and settings.airplane_mode
    on = getattr(settings, setting) and not grounded
    color = "on_primary" if on else "on_surface"
    return Node(
        axis="row",
        grow=1,
        height=64,
        radius=24,
        gap=10,
        padding=(16, 0, 8, 0),
        align="center",
        fill="primary" if on else "surface_container_highest",
        on_tap=Toast("Turn off Airplane mode first") if grounded else PutSetting(setting, not on),
        label=label,
        class_name="android.widget.Switch",
        checkable=True,
        checked=on,
        children=(
            Node(icon=icon, icon_size=22, color=color),
            Node(text=label, style="label", color=color, lines=1, grow=1),
        ),
    )


def _tile_rows(settings: DeviceSettings, count: int, columns: int) -> tuple[Node, ...]:
    tiles = [_tile(*tile, settings) for tile in TILES[:count]]
    return tuple(
        Node(axis="row", gap=8, padding=(12, 0, 12, 0), children=tuple(tiles[index : index + columns]))
        for index in range(0, count, columns)
    )


def _quick_settings(settings: DeviceSettings, columns: int) -> tuple[Node, ...]:
    brightness = Node(padding=(16, 4, 16, 4), children=(w.slider("brightness", settings.brightness, "Brightness"),))
    return (brightness, *_tile_rows(settings, len(TILES), columns))


def _notifications(system: SystemState, columns: int) -> tuple[Node, ...]:
    head = Node(children=_tile_rows(system.settings, 4, columns), gap=8)
    if not system.notifications:
        return (head, w.text("No notifications", "body", text_align="center", padding=(0, 24, 0, 24)))
    titles = LANGUAGES[system.settings.language].apps
    cards = tuple(_notification_card(item, index, titles) for index, item in enumerate(system.notifications))
    clear = w.row(w.spacer(), w.button("Clear all", Dismiss(), kind="text"), padding=(0, 0, 12, 0))
    return (head, *cards, clear)


def _notification_card(item: Notification, index: int, titles: dict[str, str]) -> Node:
    app, title = APP_BY_ID[item.app], titles[item.app]
    target: Event = Open(item.page) if item.page is not None else Launch(item.app)
    return Node(
        axis="row",
        padding=(28, 12, 20, 12),
        gap=14,
        align="center",
        on_tap=target,
        on_swipe_left=Dismiss(index),
        on_swipe_right=Dismiss(index),
        label=f"{title}: {item.title}",
        children=(
            Node(art=Art("app_icon", (app.icon, app.color)), width=36, height=36),
            Node(
                grow=1,
                children=(
                    Node(text=f"{title} \u2022 {item.title}", style="label", lines=1),
                    Node(text=item.text, style="body", color="on_surface_variant", lines=2),
                ),
            ),
        ),
    )


def _recents(system: SystemState, minute: int) -> Node:
    stacks = [stack for stack in reversed(system.stacks) if stack.app != "launcher"]
    titles = LANGUAGES[system.settings.language].apps
    cards = tuple(_recent_card(stack.app, stack.pages[-1], titles[stack.app]) for stack in stacks)
    body = w.scroll(*cards, id="recents", gap=10, padding=(20, 0, 20, 24))
    return Node(
        children=(
            status_bar(system.settings, minute, "on_surface", len(system.notifications)),
            w.section("Recent apps"),
            body if cards else w.empty_state("history", "No recent items"),
        ),
        fill="surface_dim",
        place="fill",
        modal=True,
        on_tap=ShowShade(""),
        id="recents",
    )


def _recent_card(app_id: str, page: Page, title: str) -> Node:
    app = APP_BY_ID[app_id]
    subtitle = "" if page.name == "main" else page.name.replace("_", " ").capitalize()
    leading = Node(art=Art("app_icon", (app.icon, app.color)), width=44, height=44)
    return w.card(w.list_item(title, subtitle, leading=leading, on_tap=Launch(app_id)))
