"""From the catalogue's rows to view nodes; `screens` and `connections` build their pages of these.

Every function is pure. A setting's name says who keeps it: the system (`DeviceSettings`) or this app.
"""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.settings.catalog import rows_of
from android_env_gym.phone.apps.settings.row_types import Choice, Footer, Info, Level, Link, Row, Section, Switch
from android_env_gym.phone.apps.settings.state import Choose, PutPreference, SettingsState
from android_env_gym.phone.state import DeviceSettings, Open, Page, Pop, PutSetting, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Event, Node

APP = "settings"
SYSTEM_NAMES = frozenset(DeviceSettings.__struct_fields__)
INSET = (72.0, 8.0, 16.0, 16.0)


def value_of(name: str, state: SettingsState, settings: DeviceSettings) -> bool | int | float | str:
    """Return the value of a setting, whoever keeps it."""
    return getattr(settings if name in SYSTEM_NAMES else state.preferences, name)


def put_event(name: str, value: bool | int | str) -> Event:
    """Return the event that sets a setting, whoever keeps it."""
    if name in SYSTEM_NAMES:
        return PutSetting(name, value)
    return PutPreference(name, value if isinstance(value, bool) else str(value))


def open_page(name: str, arg: str = "") -> Event:
    """Return the event that opens a settings page."""
    return Open(Page(APP, name, arg))


def sub_page(title: str, *body: Node, dialog: Node | None = None, actions: tuple[Node, ...] = ()) -> Node:
    """Return a page under the main page: a large title with the back arrow over scrolling rows."""
    top = w.large_top_bar(title, back=Pop(), actions=actions)
    return w.screen(top, w.scroll(*body, padding=(0, 0, 0, 24)), dialog=dialog)


def catalog_page(page: str, title: str, state: SettingsState, context: Context) -> Node:
    """Return a page that consists of the catalogue's rows alone, with the dialog of a choice if it is open."""
    return sub_page(title, *row_nodes(page, state, context), dialog=choice_dialog(state, context))


def row_nodes(page: str, state: SettingsState, context: Context) -> tuple[Node, ...]:
    """Return the nodes of the catalogue's rows of `page`."""
    return tuple(row_node(item, state, context) for item in rows_of(page))


def row_node(item: Row, state: SettingsState, context: Context) -> Node:
    """Return the node of one row of the catalogue."""
    match item:
        case Section(title):
            return w.section(title)
        case Switch(setting, title, subtitle):
            on = bool(value_of(setting, state, context.settings))
            return w.switch_item(title, on, put_event(setting, not on), subtitle)
        case Link(page, title):
            leading = w.icon(item.icon, 24, "on_surface_variant") if item.icon else None
            return w.list_item(title, subtitle_of(item, state, context), leading=leading, on_tap=open_page(page))
        case Choice(setting, title, options):
            now = value_of(setting, state, context.settings)
            shown = next((label for value, label in options if value == now), str(now))
            return w.list_item(title, shown, on_tap=ShowDialog(f"choice:{setting}"))
        case Level(setting, title, icon):
            return level_node(setting, title, icon, context.settings)
        case Info(key, title):
            return w.list_item(title, str(getattr(state.hardware, key)))
        case Footer(text):
            return footer(text)


def level_node(setting: str, title: str, icon: str, settings: DeviceSettings) -> Node:
    """Return a title over an icon and a slider."""
    value = getattr(settings, setting)
    line = w.row(w.icon(icon, 24, "on_surface_variant"), w.column(w.slider(setting, value, title), grow=1), gap=12)
    return w.column(w.text(title, "body"), line, padding=(16, 8, 16, 4))


def footer(text: str) -> Node:
    """Return a paragraph of explanation under an information mark."""
    return w.column(
        w.icon("information-outline", 22, "on_surface_variant"),
        w.text(text, "caption"),
        gap=12,
        align="start",
        padding=(16, 20, 16, 16),
    )


def subtitle_of(link: Link, state: SettingsState, context: Context) -> str:
    """Return what stands under a link: the present value where there is one, else the catalogue's words."""
    settings = context.settings
    live = {
        "internet": _internet(settings),
        "hotspot": _on_off(settings.hotspot),
        "data_saver": _on_off(state.preferences.data_saver),
        "do_not_disturb": _on_off(settings.do_not_disturb),
        "battery_saver": _on_off(settings.battery_saver),
        "location": "On" if settings.location else "Off",
        "languages": settings.language,
        "storage": f"{state.hardware.storage_used * 100 // 128}% used - {128 - state.hardware.storage_used} GB free",
        "about": state.hardware.model,
    }
    return live.get(link.page, link.subtitle)


def choice_dialog(state: SettingsState, context: Context) -> Node | None:
    """Return the dialog of options that the page in front shows, None if it shows none."""
    kind, _, setting = context.page.dialog.partition(":")
    if kind != "choice":
        return None
    found = next(item for item in rows_of(context.page.name) if isinstance(item, Choice) and item.setting == setting)
    now = value_of(setting, state, context.settings)
    options = tuple(w.radio_item(label, value == now, Choose(setting, value)) for value, label in found.options)
    close = w.button("Cancel", ShowDialog(""), kind="text")
    return w.dialog(found.title, w.column(*options, padding=(8, 0, 8, 0)), (close,), dismiss=ShowDialog(""))


def _internet(settings: DeviceSettings) -> str:
    if settings.airplane_mode:
        return "Airplane mode is on"
    if settings.wifi:
        return settings.wifi_network or "Not connected"
    return "Mobile data" if settings.mobile_data else "Off"


def _on_off(on: bool) -> str:
    return "On" if on else "Off"
