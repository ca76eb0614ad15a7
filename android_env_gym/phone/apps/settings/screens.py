"""Views of the Settings app's pages that show data; all other pages are rows of the catalogue.

Called by `Settings.view`; every function is pure and returns a view tree.
"""

from __future__ import annotations

from collections.abc import Callable

from android_env_gym.phone.app import AppIcon, Context
from android_env_gym.phone.apps.settings import connections
from android_env_gym.phone.apps.settings.catalog import LANGUAGES, MAIN, PAGES, searchable
from android_env_gym.phone.apps.settings.row_types import Link, Switch
from android_env_gym.phone.apps.settings.rows import (
    catalog_page,
    footer,
    open_page,
    row_node,
    row_nodes,
    sub_page,
    subtitle_of,
)
from android_env_gym.phone.apps.settings.state import MuteApp, OpenSearch, SettingsState, SwitchFeature
from android_env_gym.phone.state import Launch, Pop, PutSetting
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Node

STORAGE_GB = 128
MAX_RESULTS = 20
FEATURES_WAY = "System > Phone features"
SHARES = (("Apps", "apps", 0.3), ("Images", "image-outline", 0.25), ("System", "android", 0.2))
SHARES += (("Videos", "movie-outline", 0.15), ("Audio", "music-note", 0.05), ("Documents", "file-outline", 0.05))


def view(state: SettingsState, context: Context) -> Node:
    """Return the page in front with its dialog, if it shows one."""
    name = context.page.name
    special = _SPECIAL.get(name)
    if special is not None:
        return special(state, context)
    return catalog_page(name, PAGES[name].title, state, context)


def app_storage(app: AppIcon) -> str:
    """Return how much storage an app uses, as its info page says."""
    return f"{20 + sum(app.id.encode()) % 400} MB"


def _main(state: SettingsState, context: Context) -> Node:
    search = w.row(
        w.icon("magnify", 24, "on_surface_variant"),
        w.text("Search settings", "body", color="on_surface_variant", grow=1),
        fill="surface_container_high",
        radius=28,
        height=52,
        gap=16,
        padding=(16, 0, 16, 0),
        on_tap=OpenSearch(),
        label="Search settings",
    )
    rows = (_main_row(link, state, context) for link in MAIN)
    top = w.column(search, padding=(16, 4, 16, 4))
    heading = w.text("Settings", "headline", padding=(16, 20, 16, 8))
    return w.screen(heading, w.scroll(top, *rows, padding=(0, 0, 0, 16)))


def _main_row(link: Link, state: SettingsState, context: Context) -> Node:
    mark = Node(art=Art("avatar_icon", (link.icon, link.color)), width=36, height=36)
    subtitle = subtitle_of(link, state, context)
    return w.list_item(link.title, subtitle, leading=mark, on_tap=open_page(link.page), subtitle_lines=1)


def _search(state: SettingsState, context: Context) -> Node:
    query = context.page.field("query").strip().casefold()
    features = ((item.name, FEATURES_WAY, "features") for item in state.features)
    found = [item for item in (*searchable(), *features) if query in item[0].casefold()][:MAX_RESULTS] if query else []
    rows = tuple(w.list_item(title, where, on_tap=open_page(page)) for title, where, page in found)
    nothing = w.empty_state("magnify", "No results" if query else "Search for a setting")
    back = w.icon_button("arrow-left", Pop(), "Navigate up")
    bar = w.search_bar("query", context.page.field("query"), "Search settings", leading=back)
    return w.screen(w.column(bar, padding=(12, 8, 12, 8)), w.scroll(*(rows or (nothing,)), id="results"))


def _apps(state: SettingsState, context: Context) -> Node:
    links = row_nodes("apps", state, context)
    return sub_page("Apps", *links, w.section("All apps"), *(_app_row(app, open_info=True) for app in _sorted(context)))


def _sorted(context: Context) -> list[AppIcon]:
    return sorted(context.installed, key=lambda item: item.title)


def _app_row(app: AppIcon, *, open_info: bool) -> Node:
    return w.list_item(
        app.title,
        app_storage(app),
        leading=w.app_icon(app.icon, app.color, 36),
        on_tap=open_page("app", app.id) if open_info else None,
    )


def _app(state: SettingsState, context: Context) -> Node:
    app = next(item for item in context.installed if item.id == context.page.arg)
    muted = app.id in state.muted
    head = w.column(
        w.app_icon(app.icon, app.color, 56),
        w.text(app.title, "title_large"),
        align="center",
        gap=8,
        padding=(16, 0, 16, 16),
    )
    launch = w.button("Open", Launch(app.id), kind="tonal", icon="open-in-new")
    return sub_page(
        "App info",
        head,
        *((w.row(launch, justify="center"),) if app.id != context.page.app else ()),
        w.switch_item("Notifications", not muted, MuteApp(app.id, not muted), "All notifications of this app"),
        w.list_item("Permissions", "No permissions requested"),
        w.list_item("Storage & cache", f"{app_storage(app)} used in internal storage"),
        w.list_item("Mobile data & Wi-Fi", "No data used"),
        w.list_item("App battery usage", "Optimized"),
        footer("version 14.0"),
    )


def _app_notifications(state: SettingsState, context: Context) -> Node:
    rows = (
        w.switch_item(
            app.title,
            app.id not in state.muted,
            MuteApp(app.id, app.id not in state.muted),
            leading=w.app_icon(app.icon, app.color, 36),
        )
        for app in _sorted(context)
    )
    return sub_page("App notifications", *rows)


def _battery(state: SettingsState, context: Context) -> Node:
    level = w.column(
        w.text(f"{state.hardware.battery}%", "display"),
        w.text("About 1 day, 6 hr left", "caption"),
        w.progress(state.hardware.battery / 100),
        gap=8,
        padding=(16, 0, 16, 16),
    )
    return sub_page("Battery", level, *row_nodes("battery", state, context))


def _battery_usage(state: SettingsState, context: Context) -> Node:
    rows = []
    for app in _sorted(context):
        share = 1 + sum(app.title.encode()) % 17
        rows.append(w.list_item(app.title, f"{share}%", leading=w.app_icon(app.icon, app.color, 36)))
    return sub_page("Battery usage", w.section("Since last full charge"), *rows)


def _conversations(state: SettingsState, context: Context) -> Node:
    return sub_page("Conversations", w.empty_state("forum-outline", "No recent conversations"))


def _storage(state: SettingsState, context: Context) -> Node:
    used = state.hardware.storage_used
    head = w.column(
        w.text(f"{used} GB", "display"),
        w.text(f"used of {STORAGE_GB} GB", "caption"),
        w.progress(used / STORAGE_GB),
        gap=8,
        padding=(16, 0, 16, 16),
    )
    rows = (
        w.list_item(name, f"{used * share:.1f} GB", leading=w.icon(icon, 24, "on_surface_variant"))
        for name, icon, share in SHARES
    )
    return sub_page("Storage", head, *row_nodes("storage", state, context), *rows)


def _wallpaper(state: SettingsState, context: Context) -> Node:
    picture = Node(art=Art("wallpaper", (context.config.wallpaper,)), width=150, height=320, radius=20)
    switch = row_node(Switch("themed_icons", "Themed icons"), state, context)
    return sub_page("Wallpaper & style", w.row(picture, justify="center", padding=(0, 8, 0, 16)), switch)


def _features(state: SettingsState, context: Context) -> Node:
    rows = (w.switch_item(item.name, item.on, SwitchFeature(item.name, not item.on)) for item in state.features)
    return sub_page("Phone features", *rows)


def _languages(state: SettingsState, context: Context) -> Node:
    now = context.settings.language
    rows = (w.radio_item(name, name == now, PutSetting("language", name)) for name in LANGUAGES)
    return sub_page("Languages", *rows)


def _vpn(state: SettingsState, context: Context) -> Node:
    return sub_page("VPN", w.empty_state("key-chain", "No VPNs added"))


_SPECIAL: dict[str, Callable[[SettingsState, Context], Node]] = {
    "main": _main,
    "search": _search,
    "internet": connections.internet,
    "wifi_network": connections.wifi_network,
    "connected": connections.connected,
    "pair": connections.pair,
    "apps": _apps,
    "app": _app,
    "app_notifications": _app_notifications,
    "battery": _battery,
    "battery_usage": _battery_usage,
    "conversations": _conversations,
    "storage": _storage,
    "wallpaper": _wallpaper,
    "features": _features,
    "languages": _languages,
    "vpn": _vpn,
}
