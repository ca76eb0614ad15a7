"""Task templates of the web shop: searching, looking at products and adding them to the cart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps.browser.shop_parts import (
    CART,
    NOUNS,
    PRODUCTS,
    another_product,
    at_shop,
    draw_lines,
    is_product,
    is_search,
    launch_and_search,
    only_added,
    visit_and_search,
    with_deals,
    with_shop,
)
from android_env_gym.phone.apps.browser.task_parts import (
    START_HINT,
    BrowserTask,
    browser,
    enter,
    launch_and_open,
    other,
    pick,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web import catalog
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot


class ShopSearch(BrowserTask):
    """Search the shop, which is open."""

    id = "browser.shop_search"
    phrasings = (
        "Search Shoply for {query}",
        'Search for "{query}" on Shoply',
        "Look for {query} in the Shoply shop",
        "Find {query} on shoply.com",
    )
    goals = len(PRODUCTS) + len(NOUNS)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product or a kind of product."""
        return {"query": pick(rng, (*PRODUCTS, *NOUNS))}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Open the shop's home page."""
        return at_shop(state, rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The results of exactly this search are in front."""
        return is_search(now, str(goal["query"]))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type into the shop's own field."""
        yield from launch_and_search(pilot, str(goal["query"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for something else."""
        yield from launch_and_search(pilot, other((*PRODUCTS, *NOUNS), str(goal["query"])))


class ShopGotoSearch(ShopSearch):
    """Go to the shop and search it."""

    id = "browser.shop_goto_search"
    phrasings = (
        'Go to shoply.com, search for "{query}"',
        "Go to shoply.com and search for {query}",
        "Open shoply.com in the browser and look for {query}",
    )
    oracle_steps = 7

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Start from an empty tab."""
        return state

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Type the address, then the search."""
        yield from visit_and_search(pilot, str(goal["query"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search the web instead of the shop."""
        yield from launch_and_open(pilot, START_HINT)
        yield from enter(str(goal["query"]))


class ShopFirstEntry(ShopGotoSearch):
    """Open the first result of a search."""

    id = "browser.shop_first_entry"
    phrasings = (
        'Go to shoply.com, search for "{query}", and select the first entry',
        "Search for {query} on shoply.com and open the first result",
    )
    goals = len(NOUNS)
    oracle_steps = 8

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a kind of product."""
        return {"query": pick(rng, NOUNS)}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The first product found is in front."""
        return is_product(now, catalog.search(browser(now).web_seed, str(goal["query"]))[0].id)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search, then tap the first card."""
        yield from visit_and_search(pilot, str(goal["query"]))
        yield pilot.tap(str(goal["query"]), contains=True, index=self._cards(pilot, goal)[0])

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the second one."""
        yield from visit_and_search(pilot, str(goal["query"]))
        yield pilot.tap(str(goal["query"]), contains=True, index=self._cards(pilot, goal)[1])

    def _cards(self, pilot: Pilot, goal: Goal) -> list[int]:
        nodes = pilot.all(str(goal["query"]), contains=True)
        return [index for index, node in enumerate(nodes) if node.text in PRODUCTS]


class ShopGotoAdd(ShopFirstEntry):
    """Add the first result of a search to the cart."""

    id = "browser.shop_goto_add"
    phrasings = (
        'Go to shoply.com, search for "{query}", select the first entry, and add it to the cart',
        "Search for {query} on shoply.com and add the first result to the cart",
    )
    oracle_steps = 9

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One piece of the first product found is new in the cart."""
        return only_added(before, now, catalog.search(browser(now).web_seed, str(goal["query"]))[0].id)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The cart may change."""
        return (CART,)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search, open, add."""
        yield from super().oracle(pilot, goal)
        yield pilot.tap("Add to cart")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add the second one."""
        yield from super().near_miss(pilot, goal)
        yield pilot.tap("Add to cart")


class _OneDeal(BrowserTask):
    """Shared by the templates about one of the products on the shop's home page."""

    goals = len(PRODUCTS)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product."""
        return {"product": pick(rng, PRODUCTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put it among eleven others on the home page, among them the other brand's; something is in the cart."""
        state = with_deals(at_shop(state, rng), str(goal["product"]), rng)
        return with_shop(state, cart=draw_lines(state, rng, int(rng.integers(3)), without=str(goal["product"])))

    def target(self, now: PhoneState, goal: Goal) -> str:
        """Return the product's id."""
        return catalog.named(browser(now).web_seed, str(goal["product"])).id


class ShopOpenProduct(_OneDeal):
    """Open a product."""

    id = "browser.shop_open_product"
    phrasings = (
        "Open the page of the {product} on Shoply",
        "Show me the {product} on shoply.com",
        "In the browser, open the deal for the {product}",
        "Select the {product} in the Shoply shop",
    )
    oracle_steps = 2

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Its page is in front."""
        return is_product(now, self.target(now, goal))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap it on the home page."""
        yield from launch_and_open(pilot, str(goal["product"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open another product."""
        yield from pilot.launch("Browser")
        yield pilot.tap(another_product(pilot, str(goal["product"])))


class ShopAddToCart(_OneDeal):
    """Add a product to the cart."""

    id = "browser.shop_add_to_cart"
    phrasings = (
        "Add the {product} to the cart",
        "Put the {product} into my Shoply cart",
        "On shoply.com, add {product} to the cart",
    )
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One piece of it is new in the cart."""
        return only_added(before, now, self.target(now, goal))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The cart may change."""
        return (CART,)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it and tap the button."""
        yield from launch_and_open(pilot, str(goal["product"]), "Add to cart")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add another product."""
        yield from pilot.launch("Browser")
        yield pilot.tap(another_product(pilot, str(goal["product"])))
        yield pilot.tap("Add to cart")


class ShopSave(_OneDeal):
    """Put a product on the list of saved ones."""

    id = "browser.shop_save"
    phrasings = (
        "Save the {product} for later on Shoply",
        "Add the {product} to my saved products on shoply.com",
        "Mark the {product} with the heart in the Shoply shop",
    )
    oracle_steps = 3
    unseen = True

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is the only saved product."""
        return browser(now).shop.saved == (self.target(now, goal),)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The list may change."""
        return ("apps.browser.shop.saved",)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it and tap the heart."""
        yield from launch_and_open(pilot, str(goal["product"]), "Save")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Save another product."""
        yield from pilot.launch("Browser")
        yield pilot.tap(another_product(pilot, str(goal["product"])))
        yield pilot.tap("Save")


class ShopChooseColor(_OneDeal):
    """Add a product in a given colour."""

    id = "browser.shop_choose_color"
    phrasings = (
        "Add the {product} in {color} to the cart",
        "Choose the color {color} for the {product} and add it to the cart",
        "Put a {color} version of the {product} into my Shoply cart",
    )
    goals = len(PRODUCTS) * 4
    values = ("color",)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product and a colour."""
        return {"product": pick(rng, PRODUCTS), "color": pick(rng, tuple(catalog.COLORS)).casefold()}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Take a web whose shop has the product in this colour, but not as the first choice."""
        while True:
            drawn = super().setup(state, goal, rng)
            options = catalog.named(browser(drawn).web_seed, str(goal["product"])).options
            if str(goal["color"]).capitalize() in options[1:]:
                return drawn

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One piece of it in that colour is new in the cart."""
        return only_added(before, now, self.target(now, goal), str(goal["color"]).capitalize())

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The cart may change."""
        return (CART,)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it, tap the colour, add it."""
        yield from launch_and_open(pilot, str(goal["product"]), str(goal["color"]).capitalize(), "Add to cart")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Keep the first colour."""
        yield from launch_and_open(pilot, str(goal["product"]), "Add to cart")


SHOP_TEMPLATES: tuple[TaskTemplate, ...] = (
    ShopSearch(),
    ShopOpenProduct(),
    ShopAddToCart(),
    ShopChooseColor(),
    ShopSave(),
    ShopGotoSearch(),
    ShopFirstEntry(),
    ShopGotoAdd(),
)
