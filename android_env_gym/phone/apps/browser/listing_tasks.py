"""Task templates of the web shop: sorting, filtering and comparing what a search finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps.browser.shop_parts import (
    NOUNS,
    SHOP,
    another_product,
    at_shop,
    is_product,
    is_search,
    launch_and_search,
)
from android_env_gym.phone.apps.browser.task_parts import (
    BrowserTask,
    at_url,
    browser,
    front_url,
    launch_and_open,
    other,
    pick,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web import catalog, shop
from android_env_gym.phone.web.site import link
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

ORDERINGS = {
    "from the lowest to the highest price": "low",
    "from the highest to the lowest price": "high",
    "by customer rating": "rating",
    "by number of reviews": "reviews",
}
FILTERS = {**{f"below ${key}": ("max", key) for key in shop.PRICE_FILTERS}, "with at least 4 stars": ("stars", "4")}


class ShopSort(BrowserTask):
    """Sort the results of a search."""

    id = "browser.shop_sort"
    phrasings = (
        "Sort the results for {query} on Shoply {ordering}",
        "The browser shows products for {query} on shoply.com. Sort them {ordering}",
        "Order the search results for {query} {ordering}",
    )
    goals = len(NOUNS) * len(ORDERINGS)
    values = ("ordering",)
    oracle_steps = 3

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a search and an ordering."""
        return {"query": pick(rng, NOUNS), "ordering": pick(rng, tuple(ORDERINGS))}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Show the results, sorted in another way half of the time."""
        sort = other(tuple(ORDERINGS.values()), ORDERINGS[str(goal["ordering"])]) if rng.random() < 0.5 else ""
        query = {"q": str(goal["query"]), **({"sort": sort} if sort else {})}
        return at_url(state, link(SHOP, "search", query))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The search is in front in this order."""
        url = front_url(now)
        sort = ORDERINGS[str(goal["ordering"])]
        return url is not None and is_search(now, str(goal["query"])) and url.get("sort") == sort

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the sheet."""
        yield from launch_and_open(pilot, "Sort", shop.SORTS[ORDERINGS[str(goal["ordering"])]])

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Choose another ordering."""
        wrong = other(tuple(ORDERINGS.values()), ORDERINGS[str(goal["ordering"])])
        yield from launch_and_open(pilot, "Sort", shop.SORTS[wrong])


class ShopFilter(BrowserTask):
    """Filter a category."""

    id = "browser.shop_filter"
    phrasings = (
        "Show only products {limit} in the {category} category of Shoply",
        "Filter {category} on shoply.com to products {limit}",
        "In the Shoply shop, keep only the products {limit} in {category}",
    )
    goals = len(catalog.CATEGORIES) * len(FILTERS)
    values = ("limit",)
    oracle_steps = 3

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a category and a limit."""
        return {"category": pick(rng, catalog.category_names()), "limit": pick(rng, tuple(FILTERS))}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Show the category."""
        return at_url(state, link(SHOP, f"category/{goal['category']}"))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The category is in front with this filter alone."""
        url = front_url(now)
        return (
            url is not None
            and url.path == f"category/{goal['category']}"
            and url.query == (FILTERS[str(goal["limit"])],)
        )

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Use the sheet."""
        yield from launch_and_open(pilot, "Filter", self._label(str(goal["limit"])))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Choose another filter."""
        yield from launch_and_open(pilot, "Filter", self._label(other(tuple(FILTERS), str(goal["limit"]))))

    def _label(self, limit: str) -> str:
        _, key = FILTERS[limit]
        return {**shop.PRICE_FILTERS, **shop.STAR_FILTERS}[key]


class ShopCheapest(BrowserTask):
    """Open the cheapest product of a search."""

    id = "browser.shop_cheapest"
    phrasings = (
        "Search Shoply for {query} and open the cheapest product found",
        "Which product is the cheapest when you search for {query} on shoply.com? Open its page",
        "Find the product with the lowest price in the Shoply results for {query} and select it",
    )
    goals = len(NOUNS)
    oracle_steps = 7

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a search."""
        return {"query": pick(rng, NOUNS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Take a web where one product is cheaper than all others and not the first found."""
        while True:
            state = at_shop(state, rng)
            found = catalog.search(browser(state).web_seed, str(goal["query"]))
            prices = sorted(item.cents for item in found)
            if prices[0] < prices[1] and found[0].cents > prices[0]:
                return state

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Its page is in front."""
        found = catalog.search(browser(now).web_seed, str(goal["query"]))
        return is_product(now, min(found, key=lambda item: item.cents).id)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Sort by price and open the first."""
        yield from launch_and_search(pilot, str(goal["query"]))
        yield pilot.tap("Sort")
        yield pilot.tap(shop.SORTS["low"])
        yield pilot.tap(another_product(pilot, ""))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the first without sorting."""
        yield from launch_and_search(pilot, str(goal["query"]))
        yield pilot.tap(another_product(pilot, ""))


LISTING_TEMPLATES: tuple[TaskTemplate, ...] = (
    ShopSort(),
    ShopFilter(),
    ShopCheapest(),
)
