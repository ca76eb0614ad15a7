"""The launcher: a home page with a clock, a grid of icons and a dock; the app drawer with its search.

The icons come with `Context.installed`, in the system's icon order.
"""

from __future__ import annotations

import numpy as np

from android_env_gym.phone.app import App, AppIcon, Context
from android_env_gym.phone.dates import full_date, time_of_day
from android_env_gym.phone.state import AppState, Launch, Open, Page, Pop
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Event, Node

COLUMNS = 4
DOCK = 4


class LauncherState(AppState, frozen=True, tag="launcher"):
    """The launcher keeps no data of its own."""


class Launcher(App[LauncherState]):
    """Home screen and app drawer."""

    id = "launcher"
    title = "Home"
    package = "com.google.android.apps.nexuslauncher"
    icon = "home"
    color = "#5f6368"
    state_type = LauncherState

    def initial(self, rng: np.random.Generator, now: int) -> LauncherState:
        """Return the launcher's (empty) data."""
        return LauncherState()

    def view(self, state: LauncherState, context: Context) -> Node:
        """Return the home page or the app drawer."""
        return _drawer(context) if context.page.name == "drawer" else _home(context)

    def update(self, state: LauncherState, event: Event, context: Context) -> tuple[LauncherState, tuple[Event, ...]]:
        """The launcher has no events of its own."""
        return state, ()

    def sheet(self, state: LauncherState) -> tuple[Page, ...]:
        """Return the home page and the drawer."""
        return (Page("launcher"), Page("launcher", "drawer"))


def _home(context: Context) -> Node:
    icons = context.installed
    low = context.landscape
    clock = Node(
        axis="row" if low else "column",
        padding=(28, 4, 28, 0) if low else (28, 36, 28, 0),
        gap=24 if low else 0,
        children=(
            Node(text=time_of_day(context.now, context.settings), style="display", color="#ffffff"),
            Node(text=full_date(context.now, context.settings), style="title", color="#ffffff"),
        ),
    )
    on_page, dock = icons[:-DOCK], icons[-DOCK:]
    return Node(
        children=(
            clock,
            Node(grow=1),
            _grid(on_page, "#ffffff"),
            Node(
                axis="row",
                padding=(12, 8, 12, 8) if low else (12, 20, 12, 18),
                children=tuple(_icon(item, "#ffffff") for item in dock),
            ),
        ),
        grow=1,
        on_swipe_up=Open(Page("launcher", "drawer")),
        id="workspace",
    )


def _drawer(context: Context) -> Node:
    query = context.page.field("query")
    found = [item for item in context.installed if query.casefold() in item.title.casefold()]
    shown = tuple(sorted(found, key=lambda item: item.title))
    body = _grid(shown, "on_surface") if shown else w.empty_state("magnify", f"No apps match \u201c{query}\u201d")
    return Node(
        children=(
            Node(padding=(16, 12, 16, 8), children=(w.search_bar("query", query, "Search apps"),)),
            w.scroll(body, id="drawer"),
        ),
        fill="surface",
        grow=1,
        on_swipe_down=Pop(),
    )


def _grid(items: tuple[AppIcon, ...], color: str) -> Node:
    rows = []
    for start in range(0, len(items), COLUMNS):
        cells = [_icon(item, color) for item in items[start : start + COLUMNS]]
        cells += [Node(grow=1)] * (COLUMNS - len(cells))
        rows.append(Node(axis="row", children=tuple(cells)))
    return Node(children=tuple(rows), gap=20, padding=(12, 8, 12, 0))


def _icon(app: AppIcon, color: str) -> Node:
    return Node(
        grow=1,
        gap=6,
        align="center",
        on_tap=Launch(app.id),
        label=app.title,
        class_name="android.widget.TextView",
        children=(
            Node(art=Art("app_icon", (app.icon, app.color)), width=56, height=56),
            Node(text=app.title, style="label", color=color, lines=1),
        ),
    )
