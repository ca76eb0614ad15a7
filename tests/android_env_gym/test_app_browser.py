from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from android_env_gym.actions import Action, PressKey, TypeText
from android_env_gym.phone.apps.browser.screens import shown_url
from android_env_gym.phone.apps.browser.state import NEW_TAB, BrowserState, Tab
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.web import internet
from android_env_gym.phone.web.session import CartLine, ShopSession
from android_env_gym.phone.world.edit import app_of, put_app, replace
from android_env_gym.phone.world.json import from_json, to_json
from android_env_gym.tasks.pilot import Pilot

START = "Search or type web address"


class User:
    """Drives the browser through what is on the screen."""

    def __init__(self, **changes: object) -> None:
        self.phone = SimPhone(seed=11)
        state = self.phone.snapshot()
        self.phone.apply_setup(put_app(state, replace(app_of(state, BrowserState), **changes)))
        self.pilot = Pilot(self.phone)
        self.do(self.pilot.launch("Browser"))

    def do(self, actions: Iterator[Action]) -> None:
        for action in actions:
            self.phone.perform(action)

    def tap(self, *labels: str) -> User:
        for label in labels:
            self.phone.perform(self.pilot.tap(label))
        return self

    def enter(self, text: str) -> User:
        self.phone.perform(TypeText(text))
        self.phone.perform(PressKey("enter"))
        return self

    def visit(self, text: str) -> User:
        return self.tap(START if self.pilot.sees(START) else "Address bar").enter(text)

    def back(self) -> User:
        self.phone.perform(PressKey("back"))
        return self

    @property
    def data(self) -> BrowserState:
        return app_of(self.phone.state, BrowserState)

    @property
    def url(self) -> str:
        return shown_url(self.data, front(self.phone.state))

    @property
    def tab_url(self) -> str:
        tab = self.data.tab()
        return "" if tab is None else tab.url


def test_an_address_opens_a_site_and_anything_else_is_searched() -> None:
    user = User().visit("weather.com")
    assert user.url == user.tab_url == "https://weather.com/"
    user.visit("best pizza")
    assert user.url == internet.search_url("best pizza")
    assert user.pilot.sees("best pizza")
    user.visit("nowhere.example")
    assert user.pilot.sees("This site can\u2019t be reached")
    assert [visit.url for visit in user.data.history[:2]] == [
        "https://nowhere.example/",
        internet.search_url("best pizza"),
    ]


def test_back_and_forward_walk_the_history_of_the_tab() -> None:
    user = User().visit("ledger.com").visit("music.com")
    user.back()
    assert user.url == user.tab_url == "https://ledger.com/"
    user.tap("More options", "Forward")
    assert user.url == user.tab_url == "https://music.com/"
    user.back().back()
    assert user.url == NEW_TAB
    user.back()
    assert front(user.phone.state).app == "launcher"
    user.do(user.pilot.launch("Browser"))
    assert user.url == NEW_TAB and user.data.tabs[0].urls[-1] == "https://music.com/"


def test_going_elsewhere_after_back_forgets_what_was_ahead() -> None:
    user = User().visit("ledger.com").visit("music.com").back().visit("pets.org")
    assert user.data.tabs[0].urls == (NEW_TAB, "https://ledger.com/", "https://pets.org/")


def test_the_page_is_still_there_after_home_and_relaunch() -> None:
    user = User().visit("ledger.com")
    user.phone.perform(PressKey("home"))
    user.do(user.pilot.launch("Browser"))
    assert user.url == "https://ledger.com/"
    assert user.back().url == NEW_TAB


def test_each_tab_keeps_its_own_way_back() -> None:
    user = User().visit("ledger.com").tap("More options", "New tab").visit("music.com").visit("pets.org")
    assert [tab.url for tab in user.data.tabs] == ["https://ledger.com/", "https://pets.org/"]
    user.tap("Switch tabs", "Ledger")
    assert user.url == "https://ledger.com/" and user.data.current == 1
    assert user.back().url == NEW_TAB
    user.tap("Switch tabs", "Pets")
    assert user.url == "https://pets.org/"
    assert user.back().url == "https://music.com/"


def test_closing_the_tab_in_use_shows_its_neighbour_and_closing_all_leaves_a_new_one() -> None:
    tabs = tuple(Tab(number, (f"https://{name}.com/",)) for number, name in enumerate(("music", "cars", "yoga"), 1))
    user = User(tabs=tabs, current=2)
    user.tap("Switch tabs", "Close Cars tab").back()
    assert user.url == "https://yoga.com/" and user.data.current == 3
    user.tap("Switch tabs", "More options", "Close all tabs")
    assert user.data.tabs == () and user.pilot.sees("You\u2019ll find your tabs here")
    user.back()
    assert user.url == NEW_TAB and len(user.data.tabs) == 1


def test_the_star_adds_and_removes_a_bookmark() -> None:
    user = User(bookmarks=()).visit("ledger.com").tap("More options", "Bookmark")
    assert [(item.title, item.url) for item in user.data.bookmarks] == [("Ledger", "https://ledger.com/")]
    user.tap("More options", "Edit bookmark")
    assert user.data.bookmarks == ()


def test_a_bookmark_is_renamed_only_when_saved() -> None:
    user = User(bookmarks=()).visit("ledger.com").tap("More options", "Bookmark")
    user.tap("More options", "Bookmarks", "Options for Ledger", "Edit")
    user.phone.perform(user.pilot.long_press("Name"))
    user.phone.perform(TypeText("Morning paper"))
    user.back().back()
    assert user.data.bookmarks[0].title == "Ledger" and user.pilot.sees("Bookmarks")
    user.tap("Options for Ledger", "Edit")
    user.phone.perform(user.pilot.long_press("Name"))
    user.phone.perform(TypeText("Morning paper"))
    user.tap("Save")
    assert user.data.bookmarks[0].title == "Morning paper"
    user.tap("Morning paper")
    assert user.url == "https://ledger.com/"


def test_one_visit_is_removed_and_clearing_cookies_empties_the_cart() -> None:
    cart = ShopSession(cart=(CartLine("auvio-speaker", "Red", 1),))
    user = User(history=(), shop=cart).visit("ledger.com").visit("music.com")
    user.tap("More options", "History", "Remove Ledger")
    assert [visit.title for visit in user.data.history] == ["Music"]
    user.tap("Delete browsing data\u2026", "Cookies and site data", "Delete data")
    assert user.data.history == () and user.data.shop.cart == ()
    assert user.pilot.sees("No history")


def test_suggestions_offer_known_pages_and_open_them() -> None:
    user = User(history=()).visit("ledger.com").tap("Address bar")
    user.phone.perform(TypeText("led"))
    user.tap("Ledger")
    assert user.url == "https://ledger.com/" and len(user.data.history) == 1


def test_find_in_page_counts_and_marks_what_it_finds() -> None:
    user = User(web_seed=1).visit("almanac.org/wiki/Alderford").tap("More options", "Find in page")
    user.phone.perform(TypeText("alderford"))
    counts = [node.text for node in user.pilot.tree if "/" in node.text]
    assert counts and int(counts[0].split("/")[1]) >= 2
    before = user.phone.screenshot()
    user.tap("Close find bar")
    assert not np.array_equal(before, user.phone.screenshot())


def test_shopping_from_the_search_to_the_order() -> None:
    user = User(web_seed=5, shop=ShopSession()).visit("shoply.com").tap("Search Shoply").enter("Sonelo headphones")
    cards = [node for node in user.pilot.all("Sonelo headphones") if not node.editable]
    user.phone.perform(user.pilot.tap_node(cards[0]))
    user.tap("Add to cart", "Cart", "More Sonelo headphones", "Checkout", "Place order")
    assert user.pilot.sees("Full name is required") and user.data.shop.orders == ()
    user.tap("Full name").enter("Ann Holt").enter("4 Elm Street").enter("Milford").enter("12345")
    user.tap("Place order")
    order = user.data.shop.orders[0]
    assert (order.lines[0].quantity, order.address.city) == (2, "Milford")
    assert user.pilot.sees("Thank you for your order") and user.data.shop.cart == ()


def test_a_sheet_is_gone_when_one_comes_back_to_the_page() -> None:
    user = User(tabs=(Tab(1, ("https://shoply.com/category/Kitchen",)),))
    user.tap("Sort", "Price: low to high")
    assert user.url.endswith("?sort=low")
    user.back()
    assert user.url.endswith("Kitchen") and not user.pilot.sees("Sort by")
    user.tap("Filter")
    assert user.pilot.sees("Clear filters")
    user.back()
    assert user.url.endswith("Kitchen") and not user.pilot.sees("Clear filters")


@pytest.mark.parametrize("seed", [0, 1])
def test_initial_data_is_seeded_and_survives_json(seed: int) -> None:
    one, two = SimPhone(seed=seed).snapshot(), SimPhone(seed=seed).snapshot()
    assert one == two == from_json(to_json(one))
    assert len({app_of(SimPhone(seed=item).snapshot(), BrowserState).bookmarks for item in range(6)}) == 6
