"""The browser's list pages: bookmarks with their form, history, and deleting browsing data. Pure views."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.browser.screens import favicon
from android_env_gym.phone.apps.browser.state import (
    BrowserState,
    ClearData,
    DeleteBookmark,
    DeleteVisit,
    EditBookmark,
    SaveBookmark,
    ShowPage,
    Visit,
    Visited,
)
from android_env_gym.phone.dates import long_date
from android_env_gym.phone.state import Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.web.site import parse

DAY_MS = 24 * 60 * 60 * 1000
KINDS: dict[str, tuple[str, str, bool]] = {
    "history": ("Browsing history", "The pages you have visited", True),
    "cookies": ("Cookies and site data", "Signs you out of sites and empties carts", False),
    "tabs": ("Tabs", "Closes all open tabs", False),
}


def bookmarks(state: BrowserState, context: Context) -> Node:
    """Return the list of bookmarks."""
    query = context.page.field("query")
    wanted = query.casefold()
    found = [item for item in state.bookmarks if wanted in item.title.casefold() or wanted in item.url]
    rows = tuple(
        w.list_item(
            item.title,
            parse(item.url).host,
            leading=favicon(item.url, 36),
            trailing=w.icon_button("dots_vertical", ShowDialog("bookmark", item.url), f"Options for {item.title}"),
            on_tap=Visited(item.url),
            on_long_press=ShowDialog("bookmark", item.url),
        )
        for item in found
    )
    empty = w.empty_state("star_outline", "No bookmarks match" if query else "No bookmarks yet")
    search = Node(children=(w.search_bar("query", query, "Search your bookmarks"),), padding=(12, 0, 12, 8))
    top = Node(children=(w.top_bar("Bookmarks", back=Pop()), search))
    dialog = None
    if context.page.dialog == "bookmark":
        url = context.page.field("dialog_arg")
        items = (("Open", Visited(url)), ("Edit", EditBookmark(url)), ("Delete", DeleteBookmark(url)))
        dialog = w.menu(items, dismiss=ShowDialog(""), place="center")
    return w.screen(top, w.scroll(*rows, id="bookmarks") if rows else empty, dialog=dialog)


def edit_bookmark(state: BrowserState, context: Context) -> Node:
    """Return the form of one bookmark."""
    page = context.page
    mark = next((item for item in state.bookmarks if item.url == page.arg), None)
    if mark is None:
        return w.screen(w.top_bar("Edit bookmark", back=Pop()), w.empty_state("star_off", "This bookmark is gone"))
    delete = w.icon_button("delete_outline", DeleteBookmark(mark.url), "Delete bookmark")
    top = w.top_bar("Edit bookmark", back=Pop(), actions=(delete,))
    body = w.scroll(
        w.text_field("title", page.field("title", mark.title), label="Name"),
        w.text_field("url", page.field("url", mark.url), label="Web address"),
        w.button("Save", SaveBookmark()),
        gap=20,
        padding=(16, 12, 16, 24),
    )
    return w.screen(top, body)


def history(state: BrowserState, context: Context) -> Node:
    """Return the history by day."""
    query = context.page.field("query")
    wanted = query.casefold()
    rows: list[Node] = []
    day = ""
    for visit in state.history:
        if wanted not in visit.title.casefold() and wanted not in visit.url:
            continue
        if (title := _day(visit.at, context)) != day:
            rows.append(w.section(title))
            day = title
        rows.append(_visit(visit))
    top = w.top_bar("History", back=Pop())
    search = Node(children=(w.search_bar("query", query, "Search your history"),), padding=(12, 0, 12, 8))
    clear = w.list_item("Delete browsing data\u2026", leading=w.icon("delete_outline"), on_tap=ShowPage("clear"))
    head = Node(children=(top, search, clear, w.divider()))
    return w.screen(head, w.scroll(*rows, id="history") if rows else w.empty_state("history", "No history"))


def _visit(visit: Visit) -> Node:
    remove = w.icon_button("close", DeleteVisit(visit.url), f"Remove {visit.title}")
    return w.list_item(
        visit.title,
        parse(visit.url).host,
        leading=favicon(visit.url, 36),
        trailing=remove,
        on_tap=Visited(visit.url),
        subtitle_lines=1,
    )


def _day(at: int, context: Context) -> str:
    date = long_date(at, context.settings)
    age = context.now // DAY_MS - at // DAY_MS
    return f"Today - {date}" if age == 0 else f"Yesterday - {date}" if age == 1 else date


def ticked(page: Page) -> tuple[str, ...]:
    """Return the kinds of data that are ticked on the page "clear"."""
    return tuple(kind for kind, (_, _, first) in KINDS.items() if page.field(kind, str(first)) == "True")


def clear(state: BrowserState, context: Context) -> Node:
    """Return the page that deletes browsing data."""
    chosen = ticked(context.page)
    rows = tuple(
        w.checkbox_item(title, kind in chosen, SetField(kind, str(kind not in chosen)), subtitle)
        for kind, (title, subtitle, _) in KINDS.items()
    )
    body = w.scroll(w.list_item("Time range", "All time"), w.divider(), *rows, id="clear")
    delete = w.button("Delete data", ClearData())
    bottom = Node(children=(Node(grow=1), delete), axis="row", padding=(16, 8, 16, 12))
    return w.screen(w.top_bar("Delete browsing data", back=Pop()), body, bottom=bottom)
