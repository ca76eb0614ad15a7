"""The browser's update: navigation in tabs, bookmarks, history, and what web pages send.

`tick` keeps the tab and the back stack in step, whichever of them moved (Android's back, a switch of tabs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from android_env_gym.phone.app import App, Context
from android_env_gym.phone.apps.browser import pages, screens
from android_env_gym.phone.apps.browser.state import (
    MAX_TAB_HISTORY,
    NEW_TAB,
    TILES,
    Bookmark,
    BrowserState,
    ClearData,
    CloseTab,
    DeleteBookmark,
    DeleteVisit,
    EditAddress,
    EditBookmark,
    FindInPage,
    Forward,
    NewTab,
    Reload,
    SaveBookmark,
    SelectTab,
    ShowPage,
    Submit,
    Tab,
    ToggleBookmark,
    Visit,
    Visited,
)
from android_env_gym.phone.state import Focus, Open, Page, Pop, Replace, ShowDialog, Toast
from android_env_gym.phone.ui.node import Event, Node
from android_env_gym.phone.web import internet
from android_env_gym.phone.web.session import ShopSession
from android_env_gym.phone.web.site import Go, Post, Send, link, parse

replace = msgspec.structs.replace
Updated = tuple[BrowserState, tuple[Event, ...]]
MINUTE_MS = 60_000
_START = (Bookmark("Shoply", link("shoply.com")), Bookmark("Almanac", link("almanac.org")))


class Browser(App[BrowserState]):
    """A browser in the manner of Chrome for Android."""

    id = "browser"
    title = "Browser"
    package = "com.android.browser"
    icon = "earth"
    color = "#1a73e8"
    state_type = BrowserState

    def initial(self, rng: np.random.Generator, now: int) -> BrowserState:
        """Return a browser with one empty tab, some bookmarks, tiles and a history of the last two days."""
        sites = [Bookmark(site.name, link(site.host)) for site in internet.SITES if site.name != "Lookup"]
        order = [sites[int(index)] for index in rng.permutation(len(sites))]
        count = int(rng.integers(4, 9))
        ages = sorted(int(age) for age in rng.integers(5, 2 * 24 * 60, count))
        visited = [sites[int(index)] for index in rng.permutation(len(sites))[:count]]
        history = tuple(
            Visit(item.title, item.url, now - age * MINUTE_MS) for item, age in zip(visited, ages, strict=True)
        )
        tiles = [item for item in order if item not in _START][: TILES - len(_START)]
        marks = order[TILES : TILES + int(rng.integers(3, 8))]
        return BrowserState(
            bookmarks=tuple(marks),
            tiles=(*_START, *tiles),
            history=history,
            shop=ShopSession(),
            web_seed=int(rng.integers(1_000_000)),
        )

    def view(self, state: BrowserState, context: Context) -> Node:
        """Return the page in front."""
        view = _VIEWS.get(context.page.name)
        return screens.main(state, context) if view is None else view(state, context)

    def update(self, state: BrowserState, event: Event, context: Context) -> Updated:
        """Return the state after one of the browser's or the web's events."""
        handler = _HANDLERS.get(type(event))
        return (state, ()) if handler is None else handler(state, event, context)

    def tick(self, state: BrowserState, context: Context) -> Updated:
        """Keep the tab in use and the back stack in step."""
        page = context.page
        if page.app != self.id or page.name != "main":
            return state, ()
        tab = state.tab()
        if tab is None:
            state, _ = _new_tab(state, NewTab(), context)
            tab = state.tabs[-1]
        if not screens.belongs(page, tab):
            return _rebuilt(state, tab, int(page.field("at", "0")))
        at = int(page.field("at"))
        return (state if at == tab.index else _with_tab(state, replace(tab, index=at))), ()

    def sheet(self, state: BrowserState) -> tuple[Page, ...]:
        """Return the browser's own pages and a few of the web."""
        own = (Page("browser", name) for name in ("main", "tabs", "bookmarks", "history", "clear", "address"))
        urls = (
            internet.search_url("apple pie"),
            link("shoply.com"),
            link("shoply.com", "search", {"q": "headphones"}),
            link("shoply.com", "product/auvio-headphones"),
            link("shoply.com", "cart"),
            link("ledger.com"),
            link("almanac.org", "wiki/Alderford"),
        )
        menu = Page("browser", "main", dialog="menu")
        return (*own, menu, *(Page("browser", "page", arg=url) for url in urls))


def _with_tab(state: BrowserState, tab: Tab) -> BrowserState:
    return replace(state, tabs=tuple(tab if item.id == tab.id else item for item in state.tabs))


def _page(tab: Tab, index: int) -> Page:
    return Page("browser", "main", arg=tab.urls[index], fields=(("tab", str(tab.id)), ("at", str(index))))


def _rebuilt(state: BrowserState, tab: Tab, below: int) -> Updated:
    """Make the back stack, which has `below` pages under the one in front, mirror `tab`."""
    cut = max(0, tab.index + 1 - MAX_TAB_HISTORY)
    tab = replace(tab, urls=tab.urls[cut:], index=tab.index - cut)
    rest = tuple(Open(_page(tab, index)) for index in range(1, tab.index + 1))
    return _with_tab(state, tab), (*((Pop(below),) if below else ()), Replace(_page(tab, 0)), *rest)


def _navigate(state: BrowserState, url: str, context: Context) -> Updated:
    """Show `url` in the tab in use; the page in front must be the one that the tab shows."""
    tab = state.tab()
    if tab is None:
        state, _ = _new_tab(state, NewTab(), context)
        tab = state.tabs[-1]
    urls = (*tab.urls[: tab.index + 1], url)
    tab = replace(tab, urls=urls, index=len(urls) - 1)
    state = _with_tab(state, tab)
    if parse(url).host and url != NEW_TAB:
        visit = Visit(screens.title_of(state, url), url, context.now)
        state = replace(state, history=(visit, *(item for item in state.history if item.url != url)))
    return state, (Open(_page(tab, tab.index)),)


def _go(state: BrowserState, event: Go, context: Context) -> Updated:
    state, events = _navigate(state, event.url, context)
    return state, (*((ShowDialog(""),) if context.page.dialog else ()), *events)


def _send(state: BrowserState, event: Send, context: Context) -> Updated:
    shown = parse(context.page.arg).get("q")
    text = context.page.field(event.field, shown).strip()
    if not text:
        return state, ()
    target = parse(event.url)
    return _navigate(state, target.but(q=text), context)


def _post(state: BrowserState, event: Post, context: Context) -> Updated:
    answer = internet.post(screens.request(state, context), event)
    state = replace(state, shop=answer.shop)
    message = (Toast(answer.message),) if answer.message else ()
    if not answer.url:
        return state, message
    state, events = _navigate(state, answer.url, context)
    return state, (*events, *message)


def _visited(state: BrowserState, event: Visited, context: Context) -> Updated:
    """Leave the browser's own page and show the address in the tab below it."""
    if context.page.name == "main":
        return _navigate(state, event.url, context)
    state, events = _navigate(state, event.url, context)
    return state, (Pop(), *events)


def _edit_address(state: BrowserState, event: EditAddress, context: Context) -> Updated:
    return state, (Open(Page("browser", "address")), Focus("address"))


def _submit(state: BrowserState, event: Submit, context: Context) -> Updated:
    text = context.page.field("address").strip()
    return _visited(state, Visited(internet.address(text)), context) if text else (state, ())


def _forward(state: BrowserState, event: Forward, context: Context) -> Updated:
    tab = state.tab()
    if tab is None or tab.index + 1 >= len(tab.urls):
        return state, (ShowDialog(""),)
    tab = replace(tab, index=tab.index + 1)
    return _with_tab(state, tab), (ShowDialog(""), Open(_page(tab, tab.index)))


def _reload(state: BrowserState, event: Reload, context: Context) -> Updated:
    page = context.page
    return state, (Replace(replace(page, dialog="", scroll=())),)


def _find(state: BrowserState, event: FindInPage, context: Context) -> Updated:
    return state, (ShowDialog("find"), Focus("find"))


def _show(state: BrowserState, event: ShowPage, context: Context) -> Updated:
    return state, (*((ShowDialog(""),) if context.page.dialog else ()), Open(Page("browser", event.name)))


def _new_tab(state: BrowserState, event: NewTab, context: Context) -> Updated:
    tab = Tab(1 + max((item.id for item in state.tabs), default=0))
    state = replace(state, tabs=(*state.tabs, tab), current=tab.id)
    return state, _leave(context)


def _leave(context: Context) -> tuple[Event, ...]:
    """Leave the tab switcher or the menu; `tick` then shows the tab in use."""
    if context.page.name != "main":
        return (Pop(),)
    return (ShowDialog(""),) if context.page.dialog else ()


def _select_tab(state: BrowserState, event: SelectTab, context: Context) -> Updated:
    return replace(state, current=event.id), _leave(context)


def _close_tab(state: BrowserState, event: CloseTab, context: Context) -> Updated:
    if event.id == -1:
        return replace(state, tabs=(), current=0), (ShowDialog(""), Toast("All tabs closed"))
    index = next((i for i, tab in enumerate(state.tabs) if tab.id == event.id), None)
    if index is None:
        return state, ()
    tabs = (*state.tabs[:index], *state.tabs[index + 1 :])
    current = state.current
    if current == event.id:
        current = tabs[min(index, len(tabs) - 1)].id if tabs else 0
    title = screens.title_of(state, state.tabs[index].url)
    return replace(state, tabs=tabs, current=current), (Toast(f"Closed {title}"),)


def _toggle_bookmark(state: BrowserState, event: ToggleBookmark, context: Context) -> Updated:
    tab = state.tab()
    if tab is None or tab.url == NEW_TAB:
        return state, (ShowDialog(""),)
    kept = tuple(item for item in state.bookmarks if item.url != tab.url)
    if len(kept) < len(state.bookmarks):
        return replace(state, bookmarks=kept), (ShowDialog(""), Toast("Bookmark removed"))
    mark = Bookmark(screens.title_of(state, tab.url), tab.url)
    return replace(state, bookmarks=(mark, *kept)), (ShowDialog(""), Toast("Bookmarked"))


def _edit_bookmark(state: BrowserState, event: EditBookmark, context: Context) -> Updated:
    return state, (ShowDialog(""), Open(Page("browser", "edit_bookmark", arg=event.url)))


def _save_bookmark(state: BrowserState, event: SaveBookmark, context: Context) -> Updated:
    page = context.page
    old = next((item for item in state.bookmarks if item.url == page.arg), None)
    if old is None:
        return state, (Pop(),)
    title, url = page.field("title", old.title).strip(), page.field("url", old.url).strip()
    if not title or not url:
        return state, (Toast("Enter a name and an address"),)
    new = Bookmark(title, url if url == old.url else internet.address(url))
    marks = tuple(new if item.url == old.url else item for item in state.bookmarks)
    return replace(state, bookmarks=marks), (Pop(),)


def _delete_bookmark(state: BrowserState, event: DeleteBookmark, context: Context) -> Updated:
    kept = tuple(item for item in state.bookmarks if item.url != event.url)
    leave = Pop() if context.page.name == "edit_bookmark" else ShowDialog("")
    return replace(state, bookmarks=kept), (leave, Toast("Bookmark deleted"))


def _delete_visit(state: BrowserState, event: DeleteVisit, context: Context) -> Updated:
    return replace(state, history=tuple(item for item in state.history if item.url != event.url)), ()


def _clear(state: BrowserState, event: ClearData, context: Context) -> Updated:
    ticked = pages.ticked(context.page)
    if "history" in ticked:
        state = replace(state, history=())
    if "cookies" in ticked:
        kept = ShopSession(deals=state.shop.deals, delisted=state.shop.delisted)
        state = replace(state, shop=kept)
    if "tabs" in ticked:
        state = replace(state, tabs=(), current=0)
    return state, (Pop(), Toast("Browsing data deleted"))


_VIEWS: dict[str, Callable[[BrowserState, Context], Node]] = {
    "address": screens.address,
    "tabs": screens.tabs,
    "bookmarks": pages.bookmarks,
    "edit_bookmark": pages.edit_bookmark,
    "history": pages.history,
    "clear": pages.clear,
}
_HANDLERS: dict[type[Event], Callable[[BrowserState, Any, Context], Updated]] = {
    Go: _go,
    Send: _send,
    Post: _post,
    Visited: _visited,
    EditAddress: _edit_address,
    Submit: _submit,
    Forward: _forward,
    Reload: _reload,
    ShowPage: _show,
    FindInPage: _find,
    NewTab: _new_tab,
    SelectTab: _select_tab,
    CloseTab: _close_tab,
    ToggleBookmark: _toggle_bookmark,
    EditBookmark: _edit_bookmark,
    SaveBookmark: _save_bookmark,
    DeleteBookmark: _delete_bookmark,
    DeleteVisit: _delete_visit,
    ClearData: _clear,
}
