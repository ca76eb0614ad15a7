"""Task templates over the browser's lists: tiles, bookmarks, tabs, history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from android_env_gym.actions import Action, TypeText
from android_env_gym.phone.apps.browser.state import TILES, Bookmark, Tab, Visit
from android_env_gym.phone.apps.browser.task_parts import (
    ADJECTIVES,
    PLACES,
    SUBJECTS,
    BrowserTask,
    browser,
    is_home_of,
    launch_and_open,
    pick,
    place,
    places,
    sample,
    with_browser,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web.session import CartLine, ShopSession
from android_env_gym.phone.web.site import parse
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

TITLES = tuple(item.title for item in PLACES)
MINUTE_MS = 60_000


class _OneTitle(BrowserTask):
    """Shared by the templates whose goal is a site's name among `SHOWN` others."""

    goals = len(TITLES)
    SHOWN: ClassVar[int] = 8

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name."""
        return {"title": pick(rng, TITLES)}

    def arranged(self, goal: Goal, rng: np.random.Generator) -> tuple[Bookmark, ...]:
        """Return the sites to show, the goal's among them."""
        return places(rng, self.SHOWN, with_title=str(goal["title"]))


class OpenShortcut(_OneTitle):
    """Open a tile of the new-tab page."""

    id = "browser.open_shortcut"
    phrasings = (
        "Open the {title} shortcut in the browser",
        "Open {title} from the browser's start page",
        "In the browser, tap the {title} shortcut",
    )
    oracle_steps = 2
    SHOWN = TILES

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Shuffle the tiles."""
        return with_browser(state, tiles=self.arranged(goal, rng))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Its home page is in front."""
        return is_home_of(now, parse(place(str(goal["title"])).url).host)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap it."""
        yield from launch_and_open(pilot, str(goal["title"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap another tile."""
        yield from pilot.launch("Browser")
        yield pilot.tap(_another(pilot, str(goal["title"])))


class OpenBookmark(OpenShortcut):
    """Open a bookmark."""

    id = "browser.open_bookmark"
    phrasings = ("Open the bookmark {title}", "Open {title} from the bookmarks", "Go to my bookmarks and open {title}")
    oracle_steps = 4
    SHOWN = 8

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Shuffle the bookmarks; keep the site out of the tiles."""
        tiles = places(rng, TILES, without=str(goal["title"]))
        return with_browser(state, bookmarks=self.arranged(goal, rng), tiles=tiles)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go through the menu."""
        yield from launch_and_open(pilot, "More options", "Bookmarks", str(goal["title"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open another bookmark."""
        yield from launch_and_open(pilot, "More options", "Bookmarks")
        yield pilot.tap(_another(pilot, str(goal["title"])))


class DeleteBookmark(_OneTitle):
    """Delete a bookmark."""

    id = "browser.delete_bookmark"
    phrasings = ("Delete the bookmark {title}", "Remove {title} from the bookmarks", "Delete my {title} bookmark")
    oracle_steps = 5

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Shuffle the bookmarks."""
        return with_browser(state, bookmarks=self.arranged(goal, rng))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The others are left."""
        kept = tuple(item for item in browser(before).bookmarks if item.title != goal["title"])
        return browser(now).bookmarks == kept

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only bookmarks may change."""
        return ("apps.browser.bookmarks",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the bookmark's own menu."""
        yield from launch_and_open(pilot, "More options", "Bookmarks", f"Options for {goal['title']}", "Delete")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete another one."""
        yield from launch_and_open(pilot, "More options", "Bookmarks")
        yield pilot.tap(f"Options for {_another(pilot, str(goal['title']))}")
        yield pilot.tap("Delete")


class RenameBookmark(_OneTitle):
    """Give a bookmark another name."""

    id = "browser.rename_bookmark"
    phrasings = ("Rename the bookmark {title} to {name}", "Change the name of my {title} bookmark to {name}",
                 'Edit the bookmark {title} so that it is called "{name}"')  # fmt: skip
    goals = 20 * len(TITLES)
    values = ("name",)
    oracle_steps = 8
    unseen = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a site and a new name."""
        return {"title": pick(rng, TITLES), "name": f"{pick(rng, ADJECTIVES)} {pick(rng, SUBJECTS)}"}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Shuffle the bookmarks."""
        return with_browser(state, bookmarks=self.arranged(goal, rng))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Only the name of that bookmark is another."""
        old = browser(before).bookmarks
        wanted = tuple(Bookmark(str(goal["name"]), i.url) if i.title == goal["title"] else i for i in old)
        return browser(now).bookmarks == wanted

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only bookmarks may change."""
        return ("apps.browser.bookmarks",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Select the old name by a long press and type over it."""
        yield from self._rename(pilot, str(goal["title"]), str(goal["name"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Leave out half of the name."""
        yield from self._rename(pilot, str(goal["title"]), str(goal["name"]).split()[0])

    def _rename(self, pilot: Pilot, title: str, name: str) -> Iterator[Action]:
        yield from launch_and_open(pilot, "More options", "Bookmarks", f"Options for {title}", "Edit")
        yield pilot.long_press("Name")
        yield TypeText(name)
        yield pilot.tap("Save")


class SwitchTab(_OneTitle):
    """Go to an open tab."""

    id = "browser.switch_tab"
    phrasings = ("Switch to the {title} tab", "Go to the tab with {title}", "Show the open {title} tab in the browser")
    oracle_steps = 3

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Open a tab of each site; another one than the goal's is in use."""
        shown = self.arranged(goal, rng)
        tabs = tuple(Tab(index + 1, (item.url,)) for index, item in enumerate(shown))
        current = pick(rng, [tab.id for tab, item in zip(tabs, shown, strict=True) if item.title != goal["title"]])
        return with_browser(state, tabs=tabs, current=current)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The tab is in front, and all tabs are as they were."""
        host = parse(place(str(goal["title"])).url).host
        return browser(now).tabs == browser(before).tabs and is_home_of(now, host)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the tab switcher."""
        yield from launch_and_open(pilot, "Switch tabs", str(goal["title"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Go to another tab."""
        yield from launch_and_open(pilot, "Switch tabs")
        yield pilot.tap(_another(pilot, str(goal["title"])))


class CloseTab(SwitchTab):
    """Close an open tab."""

    id = "browser.close_tab"
    phrasings = ("Close the {title} tab", "Close the tab with {title}", "In the browser, close the {title} tab")
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The other tabs are left."""
        url = place(str(goal["title"])).url
        return browser(now).tabs == tuple(tab for tab in browser(before).tabs if tab.url != url)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Tabs may change."""
        return ("apps.browser.tabs",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap its cross in the tab switcher."""
        yield from launch_and_open(pilot, "Switch tabs", f"Close {goal['title']} tab")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Close another one."""
        yield from launch_and_open(pilot, "Switch tabs")
        yield pilot.tap(f"Close {_another(pilot, str(goal['title']))} tab")


class _HistoryTask(_OneTitle):
    """Shared by the templates about the history: eight visits of today."""

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Visit the sites; leave something in the shop's cart."""
        shown = self.arranged(goal, rng) if goal else tuple(sample(rng, PLACES, self.SHOWN))
        visits = tuple(Visit(item.title, item.url, state.now - i * MINUTE_MS) for i, item in enumerate(shown))
        shop = ShopSession(cart=(CartLine("auvio-speaker", "Black", 1),))
        return with_browser(state, history=visits, shop=shop)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only the history may change."""
        return ("apps.browser.history",)


class DeleteVisit(_HistoryTask):
    """Remove one site from the history."""

    id = "browser.delete_visit"
    phrasings = (
        "Remove {title} from the browser history",
        "Delete {title} from my browsing history",
        "Delete only {title} in the history of the browser",
    )
    oracle_steps = 5

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The other visits are left."""
        kept = tuple(item for item in browser(before).history if item.title != goal["title"])
        return browser(now).history == kept

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap its cross in the history."""
        yield from launch_and_open(pilot, "More options", "History", f"Remove {goal['title']}")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Remove another one."""
        yield from launch_and_open(pilot, "More options", "History")
        yield pilot.tap(f"Remove {_another(pilot, str(goal['title']))}")


class ClearHistory(_HistoryTask):
    """Delete the history and nothing else."""

    id = "browser.clear_history"
    phrasings = (
        "Clear the browsing history",
        "Delete the browser history, but keep cookies and tabs",
        "Clear your history in the browser",
    )
    goals = 1
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """There is one goal only."""
        return {}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """No visit is left."""
        return browser(now).history == () and browser(now).shop == browser(before).shop

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the menu; the history is ticked from the start."""
        yield from launch_and_open(pilot, "More options", "Delete browsing data", "Delete data")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete cookies instead."""
        yield from launch_and_open(pilot, "More options", "Delete browsing data", "Browsing history")
        yield pilot.tap("Cookies and site data")
        yield pilot.tap("Delete data")


def _another(pilot: Pilot, title: str) -> str:
    """Return the name of another site on the screen."""
    return next(item for item in TITLES if item != title and pilot.sees(item))


LIST_TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenShortcut(),
    OpenBookmark(),
    DeleteBookmark(),
    RenameBookmark(),
    SwitchTab(),
    CloseTab(),
    DeleteVisit(),
    ClearHistory(),
)
