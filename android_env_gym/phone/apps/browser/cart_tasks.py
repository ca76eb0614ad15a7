"""Task templates of the web shop: the cart, prices, placing an order, and a product that does not exist."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from android_env_gym.actions import Action, Finish, PressKey, TypeText
from android_env_gym.phone.apps.browser.shop_parts import (
    CART,
    PRODUCTS,
    another_product,
    at_shop,
    cart_with,
    draw_lines,
    launch_and_search,
    only_added,
    with_deals,
    with_shop,
)
from android_env_gym.phone.apps.browser.task_parts import (
    BrowserTask,
    at_url,
    browser,
    launch_and_open,
    other,
    pick,
    sample,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.web import catalog, shop, till
from android_env_gym.phone.web.session import Address
from android_env_gym.phone.world.people import FIRST_NAMES, LAST_NAMES
from android_env_gym.tasks.answers import same_amount
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

STREETS = ("Elm Street", "Mill Lane", "Park Road", "Oak Avenue", "Harbor Street", "Station Road")
AWAY = 3  # products that the shop lacks besides the one that a task is about
CITIES = ("Milford", "Oakdale", "Brighton", "Ashland", "Kingston", "Riverside")


class ShopRemoveFromCart(BrowserTask):
    """Remove a product from the cart."""

    id = "browser.shop_remove_from_cart"
    phrasings = (
        "Remove the {product} from the cart",
        "Take the {product} out of my Shoply cart",
        "Delete {product} from the cart on shoply.com",
    )
    goals = len(PRODUCTS)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product."""
        return {"product": pick(rng, PRODUCTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Fill the cart with it and four others."""
        return cart_with(at_shop(state, rng), str(goal["product"]), 4, rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The others are left."""
        target = catalog.named(browser(now).web_seed, str(goal["product"])).id
        return browser(now).shop.cart == tuple(i for i in browser(before).shop.cart if i.product != target)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The cart may change."""
        return (CART,)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap its bin in the cart."""
        yield from launch_and_open(pilot, "Cart")
        yield from pilot.scroll_and_tap(f"Remove {goal['product']}")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Remove another product."""
        yield from launch_and_open(pilot, "Cart")
        yield pilot.tap(f"Remove {another_product(pilot, str(goal['product']))}")


class ShopSetQuantity(ShopRemoveFromCart):
    """Change how many pieces of a product are in the cart."""

    id = "browser.shop_set_quantity"
    phrasings = (
        "Change the quantity of the {product} in my cart to {count}",
        "Order {count} pieces of the {product} in the Shoply cart",
        "Set the number of {product} in the cart on shoply.com to {count}",
    )
    goals = 3 * len(PRODUCTS)
    values = ("count",)
    oracle_steps = 6

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product and a number."""
        return {"product": pick(rng, PRODUCTS), "count": int(rng.integers(2, 5))}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Only its quantity is another."""
        target = catalog.named(browser(now).web_seed, str(goal["product"])).id
        now_lines, old_lines = browser(now).shop.cart, browser(before).shop.cart
        return len(now_lines) == len(old_lines) and all(
            (new.product, new.option) == (old.product, old.option)
            and new.quantity == (goal["count"] if new.product == target else old.quantity)
            for new, old in zip(now_lines, old_lines, strict=True)
        )

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap plus as often as needed."""
        yield from self._more(pilot, str(goal["product"]), int(goal["count"]) - 1)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap once too often."""
        yield from self._more(pilot, str(goal["product"]), int(goal["count"]))

    def _more(self, pilot: Pilot, product: str, times: int) -> Iterator[Action]:
        yield from launch_and_open(pilot, "Cart")
        yield from pilot.scroll_to(f"More {product}")
        for _ in range(times):
            yield pilot.tap(f"More {product}")


class ShopPrice(BrowserTask):
    """Answer what a product costs."""

    id = "browser.shop_price"
    phrasings = (
        "How much is the {product} on shoply.com?",
        "What is the price of the {product} on Shoply?",
        "Find out what the {product} costs in the Shoply shop",
    )
    goals = len(PRODUCTS)
    oracle_steps = 5
    judge_at = "finish"

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product."""
        return {"product": pick(rng, PRODUCTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Keep the product off the home page."""
        return with_deals(at_shop(state, rng), "", rng, without=str(goal["product"]))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer is its price, with or without the dollar sign."""
        return same_amount(answer, catalog.dollars(catalog.named(browser(now).web_seed, str(goal["product"])).cents))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for it and read the price."""
        yield from self._read(pilot, str(goal["product"]), str(goal["product"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read the price of another product."""
        yield from self._read(pilot, str(goal["product"]), "")

    def _read(self, pilot: Pilot, query: str, product: str) -> Iterator[Action]:
        yield from launch_and_search(pilot, query)
        nodes = pilot.tree
        name = product or another_product(pilot, query)
        at = max(index for index, node in enumerate(nodes) if node.text == name and not node.editable)
        price = next(node.text for node in nodes[at:] if node.text.startswith("$"))
        yield Finish(answer=price)


class ShopCheckout(BrowserTask):
    """Order what is in the cart."""

    id = "browser.shop_checkout"
    phrasings = (
        "Order what is in my Shoply cart with {delivery} delivery to {name}, {street}, {postcode} {city}",
        "Check out on shoply.com: deliver to {name}, {street}, {city}, postcode {postcode}, {delivery} delivery",
        "Place the order in my Shoply cart. Name: {name}. Street: {street}. City: {city}. Postcode: {postcode}. "
        "Delivery: {delivery}",
    )
    goals = 10_000
    oracle_steps = 15

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw an address and a way of delivery."""
        return {
            "name": f"{pick(rng, FIRST_NAMES)} {pick(rng, LAST_NAMES)}",
            "street": f"{int(rng.integers(1, 99))} {pick(rng, STREETS)}",
            "city": pick(rng, CITIES),
            "postcode": str(rng.integers(10_000, 99_999)),
            "delivery": pick(rng, tuple(till.FEES)).casefold(),
        }

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put two things into the cart."""
        state = at_shop(state, rng)
        return with_shop(state, cart=draw_lines(state, rng, 2), address=Address(), orders=())

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """There is one order: the whole cart, to this address, in this way."""
        orders = browser(now).shop.orders
        if len(orders) != 1 or browser(now).shop.cart:
            return False
        order, to = orders[0], orders[0].address
        return (
            order.lines == browser(before).shop.cart
            and order.delivery.casefold() == goal["delivery"]
            and all(getattr(to, name) == goal[name] for name in till.ADDRESS_FIELDS)
        )

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Cart, address and orders may change."""
        return (CART, "apps.browser.shop.address", "apps.browser.shop.orders")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Fill in the form; enter leads to the next field and closes the keyboard after the last."""
        yield from launch_and_open(pilot, "Cart", "Checkout", "Full name")
        for name in till.ADDRESS_FIELDS:
            yield TypeText(str(goal[name]))
            yield PressKey("enter")
        if goal["delivery"] != till.STANDARD.casefold():
            yield from pilot.scroll_and_tap(f"{till.EXPRESS} delivery")
        yield pilot.tap("Place order")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Choose the other delivery."""
        ways = tuple(item.casefold() for item in till.FEES)
        yield from self.oracle(pilot, {**goal, "delivery": other(ways, str(goal["delivery"]))})


class ShopAddFound(BrowserTask):
    """Add a product that is among the results shown: the feasible twin of `ShopNoSuchProduct`."""

    id = "browser.shop_add_found"
    phrasings = (
        "Add the {product} to my Shoply cart",
        "Put {product} into the cart on shoply.com",
        "Find the {product} on Shoply and add it to the cart",
    )
    goals = len(PRODUCTS)
    oracle_steps = 3

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a product."""
        return {"product": pick(rng, PRODUCTS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Show the results for it, the brand's other goods and other brands' of the kind; some products are away."""
        return self._with_delisted(state, goal, rng, [])

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One piece of it is in the cart."""
        return only_added(before, now, self._id(now, str(goal["product"])))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The cart may change."""
        return (CART,)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the result, which the search field names too, and tap the button."""
        yield from pilot.launch("Browser")
        yield pilot.tap_node(next(node for node in pilot.all(str(goal["product"])) if not node.editable))
        yield pilot.tap("Add to cart")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add another product."""
        yield from pilot.launch("Browser")
        yield pilot.tap(another_product(pilot, str(goal["product"])))
        yield pilot.tap("Add to cart")

    def _with_delisted(self, state: PhoneState, goal: Goal, rng: np.random.Generator, names: list[str]) -> PhoneState:
        """Return `state` at the results for the goal's product; the shop lacks `names` and three others."""
        others = sample(rng, [name for name in PRODUCTS if name != goal["product"]], AWAY)
        ids = sorted(self._id(state, name) for name in (*names, *others))
        page = at_url(state, shop.search_url(str(goal["product"])))
        return with_shop(page, cart=(), orders=(), delisted=tuple(ids))

    def _id(self, state: PhoneState, product: str) -> str:
        return catalog.named(browser(state).web_seed, product).id


class ShopNoSuchProduct(ShopAddFound):
    """Asked for a product that the shop does not offer at present."""

    id = "browser.shop_no_such_product"
    oracle_steps = 2
    judge_at = "finish"
    infeasible = True
    twin = ShopAddFound.id

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Show the same, without the product."""
        return self._with_delisted(state, goal, rng, [str(goal["product"])])

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Never: the judge asks for `Finish("infeasible")` with nothing changed."""
        return False

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Look at the results and give up."""
        yield from pilot.launch("Browser")
        yield Finish(status="infeasible")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add what comes nearest, and only then give up."""
        yield from super().near_miss(pilot, goal)
        yield Finish(status="infeasible")


CART_TEMPLATES: tuple[TaskTemplate, ...] = (
    ShopRemoveFromCart(),
    ShopSetQuantity(),
    ShopPrice(),
    ShopCheckout(),
    ShopAddFound(),
    ShopNoSuchProduct(),
)
