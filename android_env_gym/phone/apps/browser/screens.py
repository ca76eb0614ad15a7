"""The browser around the page: toolbar, menu, new-tab page, address page, tab switcher. Pure views."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.browser.state import (
    NEW_TAB,
    BrowserState,
    CloseTab,
    EditAddress,
    FindInPage,
    Forward,
    NewTab,
    Reload,
    SelectTab,
    ShowPage,
    Submit,
    Tab,
    ToggleBookmark,
    Visited,
)
from android_env_gym.phone.state import DeviceSettings, Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Node
from android_env_gym.phone.ui.popups import POP_UP
from android_env_gym.phone.web import internet, prose
from android_env_gym.phone.web.lookup import wordmark
from android_env_gym.phone.web.site import Document, Go, Request, parse
from android_env_gym.phone.web.small_sites import SMALL_SITES

MAX_SUGGESTIONS = 6
GLOBE = ("web", "#5f6368")
load = lru_cache(maxsize=64)(internet.load)


def belongs(page: Page, tab: Tab) -> bool:
    """Return whether `page` is one of the pages that mirror `tab`."""
    at = page.field("at")
    if page.field("tab") != str(tab.id) or not at or int(at) >= len(tab.urls):
        return False
    return tab.urls[int(at)] == page.arg


def shown_url(state: BrowserState, page: Page) -> str:
    """Return the address that the browser shows on `page`."""
    tab = state.tab()
    if page.name == "page" or (tab is not None and belongs(page, tab)):
        return page.arg
    return NEW_TAB if tab is None else tab.url


def request(state: BrowserState, context: Context) -> Request:
    """Return the request for the page in front."""
    page = context.page
    # Scrolling does not change a document, so it must not miss the cache of `load`.
    unscrolled = msgspec.structs.replace(page, scroll=()) if page.scroll else page
    return Request(parse(shown_url(state, page)), state.web_seed, unscrolled, state.shop)


def title_of(state: BrowserState, url: str) -> str:
    """Return the title of the page at `url`."""
    if url == NEW_TAB:
        return "New tab"
    return load(Request(parse(url), state.web_seed, Page("browser"), state.shop)).title


def favicon(url: str, size: float = 24) -> Node:
    """Return the mark of the site that `url` belongs to."""
    site = internet.site_of(url)
    args = GLOBE if site is None else (site.icon, site.color)
    return Node(art=Art("avatar_icon", args), width=size, height=size)


def main(state: BrowserState, context: Context) -> Node:
    """Return the tab in use: toolbar and page, or the new-tab page."""
    url = shown_url(state, context.page)
    menu = _menu(state, url) if context.page.dialog == "menu" else None
    if url == NEW_TAB:
        return w.screen(_bar(state, _home_mark()), _new_tab_page(state), dialog=menu)
    if not context.settings.online:
        return w.screen(_bar(state, _address_pill(url)), _offline(context.settings), dialog=menu)
    document = load(request(state, context))
    if context.page.dialog == "find":
        bar, document = _find_bar(context.page, document)
    else:
        bar = _bar(state, _address_pill(url))
    content, bottom = document.body, document.bottom
    if context.landscape and bottom is not None:  # a bar that stays would leave no room above the keyboard
        content, bottom = (*content, bottom), None
    return w.screen(bar, w.scroll(*content, id="page"), bottom=bottom, dialog=menu or document.dialog)


def _offline(settings: DeviceSettings) -> Node:
    """Return what stands in place of a page while the phone does not reach the internet."""
    why = "Turn off Airplane mode" if settings.airplane_mode else "Turn on mobile data or Wi-Fi"
    return w.column(
        w.empty_state("wifi-off", f"You are offline. {why} and reload."),
        w.row(w.button("Reload", Reload()), justify="center", padding=(0, 0, 0, 48)),
        grow=1,
    )


def _bar(state: BrowserState, middle: Node) -> Node:
    count = Node(
        children=(Node(text=str(len(state.tabs)), style="label_fixed", lines=1, text_align="center"),),
        justify="center",
        width=24,
        height=24,
        radius=6,
        border="on_surface",
        fill="surface",
    )
    switcher = Node(
        children=(count,),
        width=48,
        height=48,
        align="center",
        justify="center",
        on_tap=ShowPage("tabs"),
        label="Switch tabs",
        class_name="ImageButton",
    )
    more = w.icon_button("dots_vertical", ShowDialog("menu"), "More options")
    return Node(children=(middle, switcher, more), axis="row", align="center", height=60, padding=(12, 0, 0, 0))


def _home_mark() -> Node:
    return Node(grow=1)


def _address_pill(url: str) -> Node:
    known = internet.site_of(url) is not None
    lock = Node(icon="lock_outline" if known else "information_outline", icon_size=18)
    words = Node(text=parse(url).host, style="body", lines=1, grow=1)
    return Node(
        children=(lock, words),
        axis="row",
        align="center",
        gap=10,
        grow=1,
        height=44,
        padding=(14, 0, 14, 0),
        radius=22,
        fill="surface_container_high",
        on_tap=EditAddress(),
        label="Address bar",
        id="url_bar",
    )


def _new_tab_page(state: BrowserState) -> Node:
    search = Node(
        children=(
            Node(icon="magnify"),
            Node(text="Search or type web address", style="body", color="on_surface_variant", grow=1, lines=1),
            Node(icon="microphone"),
        ),
        axis="row",
        align="center",
        gap=12,
        height=56,
        padding=(16, 0, 16, 0),
        radius=28,
        fill="surface_container_high",
        on_tap=EditAddress(),
        label="Search or type web address",
        id="search_box",
    )
    tiles = [_tile(item.title, item.url) for item in state.tiles]
    rows = tuple(Node(children=tuple(tiles[i : i + 4]), axis="row") for i in range(0, len(tiles), 4))
    top = Node(children=(wordmark(44), search, *rows), gap=20, padding=(12, 28, 12, 8))
    return w.scroll(top, *_discover(state.web_seed), id="newtab")


def _tile(title: str, url: str) -> Node:
    disc = Node(
        children=(favicon(url, 36),),
        width=56,
        height=56,
        radius=28,
        fill="surface_container_high",
        align="center",
        justify="center",
    )
    name = Node(text=title, style="body", lines=1, text_align="center")
    return Node(children=(disc, name), align="center", gap=6, grow=1, on_tap=Go(url), class_name="Button")


@lru_cache(maxsize=64)
def _discover(seed: int) -> tuple[Node, ...]:
    """Return the article cards below the tiles."""
    cards = []
    for index in range(4):
        site = SMALL_SITES[(seed + 5 * index) % len(SMALL_SITES)]
        topic = site.topics[(seed + index) % len(site.topics)]
        title = Node(text=prose.headline(topic, site.host, seed), style="title", lines=2)
        source = Node(
            children=(favicon(site.article_url(topic), 20), Node(text=site.name, style="caption")),
            axis="row",
            gap=8,
            align="center",
        )
        picture = Node(art=Art("photo", (seed % 31 + index,)), height=140, radius=16)
        words = Node(children=(title, source), gap=8, padding=(4, 8, 4, 12))
        cards.append(Node(children=(picture, words), padding=(16, 8, 16, 8), on_tap=Go(site.article_url(topic))))
    return (Node(text="Discover", style="title", padding=(16, 12, 16, 4)), *cards)


def _menu(state: BrowserState, url: str) -> Node:
    tab = state.tab()
    can_forward = tab is not None and tab.index + 1 < len(tab.urls)
    marked = state.is_bookmarked(url)
    icons = Node(
        children=(
            w.icon_button("arrow_right", Forward(), "Forward", enabled=can_forward),
            w.icon_button(
                "star" if marked else "star_outline",
                ToggleBookmark(),
                "Edit bookmark" if marked else "Bookmark",
                enabled=url != NEW_TAB,
                color="primary" if marked else "",
            ),
            w.icon_button("reload", Reload(), "Reload"),
        ),
        axis="row",
        justify="between",
        padding=(12, 4, 12, 4),
    )
    items = (
        ("plus", "New tab", NewTab()),
        ("history", "History", ShowPage("history")),
        ("star_outline", "Bookmarks", ShowPage("bookmarks")),
        ("magnify", "Find in page", FindInPage()),
        ("delete_outline", "Delete browsing data", ShowPage("clear")),
    )
    rows = tuple(
        Node(
            children=(Node(icon=icon), Node(text=label, style="body", lines=1, grow=1)),
            axis="row",
            align="center",
            gap=16,
            height=52,
            padding=(16, 0, 16, 0),
            on_tap=event,
        )
        for icon, label, event in items
        if label != "Find in page" or url != NEW_TAB
    )
    panel = Node(
        children=(icons, w.divider(), *rows),
        width=248,
        padding=(0, 4, 0, 8),
        radius=12,
        fill="surface_container",
        shadow=2,
        place="top-right",
        scroll=POP_UP,
        class_name="FrameLayout",
    )
    return Node(children=(panel,), axis="stack", modal=True, fill="none", on_tap=ShowDialog(""), padding=(8, 4, 8, 8))


def _find_bar(page: Page, document: Document) -> tuple[Node, Document]:
    wanted = page.field("find")
    count = [0]
    if wanted:
        body = tuple(_marked(node, wanted.casefold(), count) for node in document.body)
        document = msgspec.structs.replace(document, body=body)
    number = Node(text=f"{min(1, count[0])}/{count[0]}", style="caption", lines=1)
    close = w.icon_button("close", ShowDialog(""), "Close find bar")
    field = Node(children=(w.search_bar("find", wanted, "Find in page"),), grow=1)
    parts = (field, number, close)
    return Node(children=parts, axis="row", align="center", gap=6, height=60, padding=(12, 0, 0, 0)), document


def _marked(node: Node, wanted: str, count: list[int]) -> Node:
    """Return `node` with every text that contains `wanted` on a coloured ground; add the hits to `count`."""
    if node.text and not node.field:
        hits = node.text.casefold().count(wanted)
        count[0] += hits
        return msgspec.structs.replace(node, fill="#ffd54f", color="#1f1f1f") if hits else node
    if not node.children or node.field:
        return node
    return msgspec.structs.replace(node, children=tuple(_marked(child, wanted, count) for child in node.children))


def address(state: BrowserState, context: Context) -> Node:
    """Return the address page: the field on top, what one may mean below."""
    typed = context.page.field("address")
    clear = (w.icon_button("close", SetField("address", ""), "Clear"),) if typed else ()
    back = w.icon_button("arrow_left", Pop(), "Back")
    field = w.search_bar(
        "address",
        typed,
        "Search or type web address",
        on_submit=Submit(),
        leading=back,
        trailing=clear[0] if clear else None,
    )
    rows = [_suggestion(icon, title, url) for icon, title, url in _suggestions(state, typed.strip())]
    top = Node(children=(field,), padding=(8, 2, 8, 6))
    return w.screen(top, w.scroll(*rows, id="suggestions"))


def _suggestions(state: BrowserState, typed: str) -> list[tuple[str, str, str]]:
    """Return (icon, title, url) of what `typed` may mean: the search first, then pages known to the browser."""
    known = {item.url: item.title for item in (*state.bookmarks, *state.history)}
    word = typed.casefold()
    pages = [
        ("history", title, url) for url, title in known.items() if word in title.casefold() or word in parse(url).host
    ]
    first = [("magnify", typed, internet.address(typed))] if typed else []
    return [*first, *pages][:MAX_SUGGESTIONS]


def _suggestion(icon: str, title: str, url: str) -> Node:
    leading = Node(icon=icon) if icon == "magnify" else favicon(url)
    subtitle = "Lookup search" if parse(url).path == "search" else parse(url).host
    return w.list_item(title, subtitle, leading=leading, on_tap=Visited(url))


def tabs(state: BrowserState, context: Context) -> Node:
    """Return the tab switcher."""
    add = w.button("New tab", NewTab(), kind="text", icon="plus")
    more = w.icon_button("dots_vertical", ShowDialog("menu"), "More options")
    count = Node(text=f"{len(state.tabs)} tabs" if len(state.tabs) != 1 else "1 tab", style="title", grow=1)
    top = Node(children=(add, Node(width=4), count, more), axis="row", align="center", height=60, padding=(4, 0, 0, 0))
    cards = [_tab_card(state, tab) for tab in state.tabs]
    rows = []
    for start in range(0, len(cards), 2):
        pair = cards[start : start + 2]
        rows.append(Node(children=(*pair, *([Node(grow=1)] * (2 - len(pair)))), axis="row", gap=12))
    body = (
        w.scroll(*rows, id="tabs", gap=12, padding=(12, 8, 12, 24))
        if cards
        else w.empty_state("tab", "You\u2019ll find your tabs here")
    )
    items = (("New tab", NewTab()), ("Close all tabs", CloseTab(-1)))
    menu = w.menu(items, dismiss=ShowDialog("")) if context.page.dialog == "menu" else None
    return w.screen(top, body, dialog=menu, fill="surface_container_low")


def _tab_card(state: BrowserState, tab: Tab) -> Node:
    title = title_of(state, tab.url)
    close = Node(
        icon="close",
        icon_size=20,
        width=40,
        height=40,
        on_tap=CloseTab(tab.id),
        label=f"Close {title} tab",
        class_name="ImageButton",
    )
    head = Node(
        children=(favicon(tab.url, 22), Node(text=title, style="body_strong", lines=1, grow=1), close),
        axis="row",
        align="center",
        gap=8,
        padding=(10, 0, 0, 0),
        height=42,
    )
    return Node(
        children=(head, Node(children=(_thumbnail(tab.url),), padding=(6, 0, 6, 6))),
        grow=1,
        radius=14,
        fill="primary_container" if tab.id == state.current else "surface_container_highest",
        on_tap=SelectTab(tab.id),
        selected=tab.id == state.current,
        label=title,
    )


def _thumbnail(url: str) -> Node:
    """Return a small likeness of a page: its site's bar, mark and lines of text."""
    site = internet.site_of(url)
    bar = Node(height=18, fill="surface_container_high" if site is None else site.color)
    lines = tuple(
        Node(children=(Node(height=5, width=width, radius=2, fill="outline_variant"),)) for width in (110, 96)
    )
    words = Node(children=(favicon(url, 36), *lines), gap=8, padding=(12, 10, 12, 0), align="start")
    return Node(children=(bar, words), height=112, fill="surface")
