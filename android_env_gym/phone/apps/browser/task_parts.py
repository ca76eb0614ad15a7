"""What the browser's task templates share: reading the page shown, preparing tabs, typing an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from android_env_gym.actions import Action, PressKey, TypeText
from android_env_gym.phone.apps.browser.screens import shown_url
from android_env_gym.phone.apps.browser.state import Bookmark, BrowserState, Tab
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.web import internet
from android_env_gym.phone.web.site import Url, link, parse
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

T = TypeVar("T")
replace = msgspec.structs.replace

START_HINT = "Search or type web address"
PLACES: tuple[Bookmark, ...] = tuple(
    Bookmark(site.name, link(site.host)) for site in internet.SITES if site.name != "Lookup"
)
HOSTS: tuple[str, ...] = tuple(parse(place.url).host for place in PLACES)

ADJECTIVES = ("best", "cheap", "new", "local", "famous", "modern")
SUBJECTS = (
    "pizza", "hotels", "museums", "parks", "books", "films", "songs", "recipes", "beaches", "bikes", "cameras",
    "trains", "gardens", "schools", "cafes", "markets", "theaters", "bakeries", "hikes", "lakes", "phones", "shoes",
    "jackets", "restaurants",
)  # fmt: skip


class BrowserTask(TaskTemplate):
    """A template over the browser. Going places does no harm; as a rule nothing else may change."""

    apps = ("browser",)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()


def browser(state: PhoneState) -> BrowserState:
    """Return the browser's data."""
    for item in state.apps:
        if isinstance(item, BrowserState):
            return item
    raise KeyError("the browser is not installed")


def with_browser(state: PhoneState, **changes: Any) -> PhoneState:
    """Return `state` with fields of the browser's data replaced."""
    new = replace(browser(state), **changes)
    return replace(state, apps=tuple(new if isinstance(item, BrowserState) else item for item in state.apps))


def at_url(state: PhoneState, url: str) -> PhoneState:
    """Return `state` with one tab, which shows `url` when the browser is opened."""
    return with_browser(state, tabs=(Tab(1, (url,)),), current=1)


def front_url(state: PhoneState) -> Url | None:
    """Return the address of the web page in front with nothing over it; None if no web page is in front."""
    page = front(state)
    if page.app != "browser" or page.name != "main" or page.dialog or state.system.shade:
        return None
    return parse(shown_url(browser(state), page))


def is_home_of(state: PhoneState, host: str) -> bool:
    """Return whether the home page of `host` is in front."""
    url = front_url(state)
    return url is not None and (url.host, url.path) == (host, "")


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of `items`."""
    return items[int(rng.integers(len(items)))]


def sample(rng: np.random.Generator, items: Sequence[T], count: int) -> list[T]:
    """Return `count` different ones of `items` in random order."""
    return [items[int(index)] for index in rng.permutation(len(items))[:count]]


def place(title: str) -> Bookmark:
    """Return the site called `title` as a bookmark of its home page."""
    return next(item for item in PLACES if item.title == title)


def places(rng: np.random.Generator, count: int, *, with_title: str = "", without: str = "") -> tuple[Bookmark, ...]:
    """Return `count` sites in random order, with the one called `with_title` and without the one called `without`."""
    others = [item for item in PLACES if item.title not in (with_title, without)]
    chosen = sample(rng, others, count - bool(with_title))
    if with_title:
        chosen.insert(int(rng.integers(count)), place(with_title))
    return tuple(chosen)


def other(items: Sequence[T], wanted: T) -> T:
    """Return the item after `wanted`: what a near miss takes."""
    return items[(items.index(wanted) + 1) % len(items)]


def enter(text: str) -> Iterator[Action]:
    """Type `text` and press enter."""
    yield TypeText(text)
    yield PressKey("enter")


def launch_and_type(pilot: Pilot, text: str) -> Iterator[Action]:
    """Open the browser, which shows a new tab, and enter `text` into the address bar."""
    yield from pilot.launch("Browser")
    yield pilot.tap(START_HINT)
    yield from enter(text)


def launch_and_open(pilot: Pilot, *labels: str) -> Iterator[Action]:
    """Open the browser and tap `labels` one after the other, scrolling down where a small screen needs it."""
    yield from pilot.launch("Browser")
    for label in labels:
        yield from pilot.scroll_and_tap(label)
