"""Task templates of the browser: searching, going to sites, a question; and all its other templates by file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.phone.apps.browser.cart_tasks import CART_TEMPLATES
from android_env_gym.phone.apps.browser.list_tasks import LIST_TEMPLATES
from android_env_gym.phone.apps.browser.listing_tasks import LISTING_TEMPLATES
from android_env_gym.phone.apps.browser.shop_tasks import SHOP_TEMPLATES
from android_env_gym.phone.apps.browser.state import TILES
from android_env_gym.phone.apps.browser.task_parts import (
    ADJECTIVES,
    HOSTS,
    PLACES,
    START_HINT,
    SUBJECTS,
    BrowserTask,
    at_url,
    browser,
    enter,
    front_url,
    is_home_of,
    launch_and_open,
    launch_and_type,
    other,
    pick,
    places,
    with_browser,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web.almanac import FACTS, TOWNS, town
from android_env_gym.phone.web.site import link
from android_env_gym.tasks.answers import same_answer
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot


class Search(BrowserTask):
    """Search the web."""

    id = "browser.search"
    phrasings = (
        "Search for {query}",
        'Search the web for "{query}"',
        "Look up {query} in the browser",
        "Find {query} online",
    )
    goals = len(ADJECTIVES) * len(SUBJECTS)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw two words."""
        return {"query": f"{pick(rng, ADJECTIVES)} {pick(rng, SUBJECTS)}"}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The results of exactly this search are in front."""
        url = front_url(now)
        if url is None or (url.host, url.path) != ("lookup.com", "search"):
            return False
        return url.get("q").casefold().split() == str(goal["query"]).split()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type it into the address bar."""
        yield from launch_and_type(pilot, str(goal["query"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for half of it."""
        yield from launch_and_type(pilot, str(goal["query"]).split()[1])


class _OneHost(BrowserTask):
    """Shared by the templates whose goal is the address of a site."""

    goals = len(HOSTS)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a host."""
        return {"site": pick(rng, HOSTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Keep the site out of tiles and bookmarks, and of the tab in use."""
        title = PLACES[HOSTS.index(str(goal["site"]))].title
        history = tuple(item for item in browser(state).history if item.title != title)
        tiles, marks = places(rng, TILES, without=title), places(rng, 5, without=title)
        return with_browser(state, tiles=tiles, bookmarks=marks, history=history)


class OpenSite(_OneHost):
    """Go to a site by its address."""

    id = "browser.open_site"
    phrasings = ("Go to {site}", "Open {site}", "Visit {site}", "Open the website {site} in the browser")
    oracle_steps = 4

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Its home page is in front."""
        return is_home_of(now, str(goal["site"]))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type the address."""
        yield from launch_and_type(pilot, str(goal["site"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go to another site."""
        yield from launch_and_type(pilot, other(HOSTS, str(goal["site"])))


class AddBookmark(_OneHost):
    """Bookmark the home page of a site."""

    id = "browser.add_bookmark"
    phrasings = ("Go to {site} and bookmark it", "Add {site} to the bookmarks", "Bookmark the page {site}")
    oracle_steps = 6

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Keep the near miss's site out of the bookmarks too: its star would remove it."""
        state = super().setup(state, goal, rng)
        wrong = link(other(HOSTS, str(goal["site"])))
        return with_browser(state, bookmarks=tuple(i for i in browser(state).bookmarks if i.url != wrong))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Exactly this bookmark is new."""
        old, new = browser(before).bookmarks, browser(now).bookmarks
        return len(new) == len(old) + 1 and new[1:] == old and new[0].url == link(str(goal["site"]))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Bookmarks may change."""
        return ("apps.browser.bookmarks",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go there and tap the star in the menu."""
        yield from launch_and_type(pilot, str(goal["site"]))
        yield pilot.tap("More options")
        yield pilot.tap("Bookmark")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Bookmark another site."""
        yield from self.oracle(pilot, {"site": other(HOSTS, str(goal["site"]))})


class OpenInNewTab(_OneHost):
    """Open a site in a new tab."""

    id = "browser.open_in_new_tab"
    phrasings = ("Open {site} in a new tab", "Open a new tab and go to {site}", "In a new browser tab, open {site}")
    oracle_steps = 6

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Let the only tab show another site."""
        state = super().setup(state, goal, rng)
        return at_url(state, browser(state).tiles[0].url)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """There is one more tab, it shows the site, and the others are as they were."""
        old, new = browser(before).tabs, browser(now).tabs
        return len(new) == len(old) + 1 and new[:-1] == old and is_home_of(now, str(goal["site"]))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the menu, then type the address."""
        yield from launch_and_open(pilot, "More options", "New tab", START_HINT)
        yield from enter(str(goal["site"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the site in the same tab."""
        yield from launch_and_open(pilot, "Address bar")
        yield from enter(str(goal["site"]))


class TownFact(BrowserTask):
    """Answer a question from the encyclopedia."""

    id = "browser.town_fact"
    phrasings = (
        "What is the {fact} of {town} according to almanac.org?",
        "Look up the {fact} of {town} on almanac.org",
        "Find out on almanac.org: what is the {fact} of {town}?",
    )
    goals = len(TOWNS) * len(FACTS)
    values = ("fact",)
    oracle_steps = 9
    judge_at = "finish"

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a town and a fact."""
        return {"town": pick(rng, TOWNS), "fact": pick(rng, tuple(FACTS))}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer is what the encyclopedia says."""
        facts = town(browser(now).web_seed, str(goal["town"]))
        return same_answer(answer, getattr(facts, FACTS[str(goal["fact"])]))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search the encyclopedia and read the box of facts."""
        yield from self._read(pilot, str(goal["town"]), str(goal["fact"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read another fact."""
        yield from self._read(pilot, str(goal["town"]), other(tuple(FACTS), str(goal["fact"])))

    def _read(self, pilot: Pilot, name: str, fact: str) -> Iterator[Action]:
        yield from launch_and_type(pilot, "almanac.org")
        yield pilot.tap("Search Almanac")
        yield from enter(name)
        yield pilot.tap_node(next(node for node in pilot.all(name) if not node.editable))
        label = FACTS[fact].capitalize()
        nodes = pilot.tree
        at = nodes.index(pilot.find(label))
        yield Finish(answer=nodes[at + 1].text)


TEMPLATES: tuple[TaskTemplate, ...] = (
    Search(),
    OpenSite(),
    AddBookmark(),
    OpenInNewTab(),
    TownFact(),
    *LIST_TEMPLATES,
    *SHOP_TEMPLATES,
    *LISTING_TEMPLATES,
    *CART_TEMPLATES,
)
