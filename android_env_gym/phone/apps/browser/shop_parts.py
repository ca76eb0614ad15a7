"""What the shop's task templates share: preparing the shop, reading its pages, searching it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps.browser.task_parts import (
    at_url,
    browser,
    enter,
    front_url,
    launch_and_open,
    launch_and_type,
    sample,
    with_browser,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web import catalog
from android_env_gym.phone.web.session import CartLine
from android_env_gym.phone.web.shop import DEALS
from android_env_gym.phone.web.shop import HOST as SHOP
from android_env_gym.phone.web.site import link
from android_env_gym.tasks.pilot import Pilot

CART = "apps.browser.shop.cart"
PRODUCTS = catalog.product_names()
NOUNS: tuple[str, ...] = tuple(noun for category in catalog.CATEGORIES for noun in category.goods)


def at_shop(state: PhoneState, rng: np.random.Generator) -> PhoneState:
    """Return `state` with the shop's home page in the only tab and a web drawn anew."""
    return with_browser(at_url(state, link(SHOP)), web_seed=int(rng.integers(1_000_000)))


def with_shop(state: PhoneState, **changes: Any) -> PhoneState:
    """Return `state` with fields of the shop session replaced."""
    return with_browser(state, shop=msgspec.structs.replace(browser(state).shop, **changes))


def with_deals(state: PhoneState, product: str, rng: np.random.Generator, *, without: str = "") -> PhoneState:
    """Return `state` with `DEALS` products on the shop's home page, in random order.

    `product` ("" for none) is among them, and so are those that share its brand or its kind; `without` is not.
    """
    brand, _, noun = product.partition(" ")
    near = [name for name in PRODUCTS if name != product and product and set(name.split()) & {brand, noun}]
    rest = [name for name in sample(rng, PRODUCTS, len(PRODUCTS)) if name not in (*near, product, without)]
    names = [*([product] if product else []), *near, *rest][:DEALS]
    ids = [catalog.named(browser(state).web_seed, name).id for name in sample(rng, names, DEALS)]
    return with_shop(state, deals=tuple(ids))


def draw_lines(state: PhoneState, rng: np.random.Generator, count: int, *, without: str = "") -> tuple[CartLine, ...]:
    """Return `count` cart lines of different products in their first colour, none of them of `without`."""
    names = [name for name in PRODUCTS if name != without]
    items = [catalog.named(browser(state).web_seed, name) for name in sample(rng, names, count)]
    return tuple(CartLine(item.id, item.options[0], 1) for item in items)


def cart_with(state: PhoneState, product: str, others: int, rng: np.random.Generator) -> PhoneState:
    """Return `state` with `product` and `others` other products in the cart, in random order."""
    item = catalog.named(browser(state).web_seed, product)
    lines = list(draw_lines(state, rng, others, without=product))
    lines.insert(int(rng.integers(others + 1)), CartLine(item.id, item.options[0], 1))
    return with_shop(state, cart=tuple(lines))


def is_search(state: PhoneState, query: str) -> bool:
    """Return whether the shop's results for `query` are in front."""
    url = front_url(state)
    if url is None or (url.host, url.path) != (SHOP, "search"):
        return False
    return url.get("q").casefold().split() == query.casefold().split()


def is_product(state: PhoneState, product: str) -> bool:
    """Return whether the page of the product with this id is in front."""
    url = front_url(state)
    return url is not None and (url.host, url.path) == (SHOP, f"product/{product}")


def only_added(before: PhoneState, now: PhoneState, product: str, option: str = "") -> bool:
    """Return whether one piece of `product` (in `option`, if given) is what is new in the cart."""
    old, new = browser(before).shop.cart, browser(now).shop.cart
    if len(new) != len(old) + 1 or new[:-1] != old:
        return False
    line = new[-1]
    return line.product == product and line.quantity == 1 and option in ("", line.option)


def another_product(pilot: Pilot, name: str) -> str:
    """Return the name of the first product on the screen that is not `name`."""
    return next(node.text for node in pilot.tree if node.text in PRODUCTS and node.text != name and not node.editable)


def launch_and_search(pilot: Pilot, query: str) -> Iterator[Action]:
    """Open the browser, which shows the shop, and search it."""
    yield from launch_and_open(pilot, "Search Shoply")
    yield from enter(query)


def visit_and_search(pilot: Pilot, query: str) -> Iterator[Action]:
    """Go to the shop from a new tab and search it."""
    yield from launch_and_type(pilot, SHOP)
    yield pilot.tap("Search Shoply")
    yield from enter(query)
