"""What the browser remembers (tabs, bookmarks, history, a shop session) and the events of its own screens.

Invariant: a tab's `urls[index]` is the page it shows. While the browser is in front, the back stack mirrors
the tab in use: one page per entry of `urls` up to `index`, so that Android's back walks the tab's history.
"""

from __future__ import annotations

import msgspec

from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event
from android_env_gym.phone.web.session import ShopSession

NEW_TAB = "browser://newtab"
MAX_TAB_HISTORY = 20
TILES = 12


class Tab(msgspec.Struct, frozen=True):
    """An open tab: the addresses it has shown and which of them it shows now."""

    id: int
    urls: tuple[str, ...] = (NEW_TAB,)
    index: int = 0

    @property
    def url(self) -> str:
        """Return the address shown."""
        return self.urls[self.index]


class Bookmark(msgspec.Struct, frozen=True):
    """A named address: a bookmark, or a tile of the new-tab page."""

    title: str
    url: str


class Visit(msgspec.Struct, frozen=True):
    """An entry of the history; `at` is virtual milliseconds since the epoch."""

    title: str
    url: str
    at: int


class BrowserState(AppState, frozen=True, tag="browser"):
    """The browser's data. `current` is the id of the tab in use (none has it when no tab is open).

    `web_seed` decides what this phone's web says: prices, ratings, facts. Bookmarks and visits are newest first.
    """

    tabs: tuple[Tab, ...] = (Tab(1),)
    current: int = 1
    bookmarks: tuple[Bookmark, ...] = ()
    tiles: tuple[Bookmark, ...] = ()
    history: tuple[Visit, ...] = ()
    shop: ShopSession = ShopSession()
    web_seed: int = 0

    def tab(self) -> Tab | None:
        """Return the tab in use, None if no tab is open."""
        return next((tab for tab in self.tabs if tab.id == self.current), None)

    def is_bookmarked(self, url: str) -> bool:
        """Return whether `url` is among the bookmarks."""
        return any(item.url == url for item in self.bookmarks)


class EditAddress(Event, frozen=True):
    """The address bar was tapped."""


class Submit(Event, frozen=True):
    """What stands in the address bar was entered."""


class Visited(Event, frozen=True):
    """An address was picked on one of the browser's own pages (bookmarks, history, suggestions)."""

    url: str


class Forward(Event, frozen=True):
    """Go to the page that back came from."""


class Reload(Event, frozen=True):
    """Load the page again."""


class FindInPage(Event, frozen=True):
    """Show the bar that searches the page."""


class ShowPage(Event, frozen=True):
    """Open one of the browser's own pages: "tabs" | "bookmarks" | "history" | "clear"."""

    name: str


class NewTab(Event, frozen=True):
    """Open an empty tab."""


class SelectTab(Event, frozen=True):
    """Use the tab with this id."""

    id: int


class CloseTab(Event, frozen=True):
    """Close the tab with this id ( -1: all)."""

    id: int


class ToggleBookmark(Event, frozen=True):
    """Bookmark the page shown, or remove its bookmark."""


class EditBookmark(Event, frozen=True):
    """Open the form for a bookmark."""

    url: str


class SaveBookmark(Event, frozen=True):
    """Save the bookmark form."""


class DeleteBookmark(Event, frozen=True):
    """Remove a bookmark."""

    url: str


class DeleteVisit(Event, frozen=True):
    """Remove an address from the history."""

    url: str


class ClearData(Event, frozen=True):
    """Delete the browsing data that is ticked on the page in front."""
