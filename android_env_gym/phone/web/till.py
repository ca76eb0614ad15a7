"""What the shop's buttons do: pure functions from a visitor's session and a post to an `Answer`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from android_env_gym.phone.web import catalog
from android_env_gym.phone.web.session import Address, CartLine, Order, ShopSession
from android_env_gym.phone.web.site import Answer, Post, Request, drawn, link

replace = msgspec.structs.replace

FREE_FROM = 5000
STANDARD, EXPRESS = "Standard", "Express"
FEES = {STANDARD: 499, EXPRESS: 999}
MAX_QUANTITY = 9
ADDRESS_FIELDS: dict[str, str] = {"name": "Full name", "street": "Street", "city": "City", "postcode": "Postcode"}


def post(request: Request, post: Post) -> Answer:
    """Return what `post` leads to; an action the shop does not know changes nothing."""
    action = _ACTIONS.get(post.action)
    return Answer(request.shop) if action is None else action(request, post.args)


def subtotal(shop: ShopSession, seed: int) -> int:
    """Return the price of what is in the cart, in cents."""
    return sum(catalog.by_id(seed)[line.product].cents * line.quantity for line in shop.cart)


def fee(cents: int, delivery: str) -> int:
    """Return what delivery of goods worth `cents` costs; standard delivery is free from $50."""
    return 0 if delivery == STANDARD and cents >= FREE_FROM else FEES[delivery]


def typed_address(request: Request) -> Address:
    """Return the address as the checkout form shows it."""
    known = request.shop.address
    return Address(**{name: request.page.field(name, getattr(known, name)).strip() for name in ADDRESS_FIELDS})


def _add(request: Request, args: tuple[str, ...]) -> Answer:
    product, option = args
    cart = request.shop.cart
    same = [line for line in cart if (line.product, line.option) == (product, option)]
    quantity = min(MAX_QUANTITY, 1 + (same[0].quantity if same else 0))
    kept = tuple(line for line in cart if line not in same)
    shop = replace(request.shop, cart=(*kept, CartLine(product, option, quantity)))
    return Answer(shop, message="Added to cart")


def _quantity(request: Request, args: tuple[str, ...]) -> Answer:
    product, option, number = args
    quantity = min(MAX_QUANTITY, int(number))
    if quantity <= 0:
        return _remove(request, args[:2])
    cart = tuple(
        replace(line, quantity=quantity) if (line.product, line.option) == (product, option) else line
        for line in request.shop.cart
    )
    return Answer(replace(request.shop, cart=cart))


def _remove(request: Request, args: tuple[str, ...]) -> Answer:
    cart = tuple(line for line in request.shop.cart if (line.product, line.option) != args)
    return Answer(replace(request.shop, cart=cart), message="Removed from cart")


def _save(request: Request, args: tuple[str, ...]) -> Answer:
    (product,) = args
    saved = request.shop.saved
    kept = tuple(item for item in saved if item != product) if product in saved else (*saved, product)
    return Answer(replace(request.shop, saved=kept))


def _place_order(request: Request, args: tuple[str, ...]) -> Answer:
    shop, address = request.shop, typed_address(request)
    for name, label in ADDRESS_FIELDS.items():
        if not getattr(address, name):
            return Answer(shop, message=f"{label} is required")
    if not shop.cart:
        return Answer(shop, url=link("shoply.com", "cart"))
    delivery = request.page.field("delivery", STANDARD)
    goods = subtotal(shop, request.seed)
    digits = drawn("order", request.seed, len(shop.orders), goods).integers(100_000, 1_000_000)
    order = Order(f"S{digits}", shop.cart, address, delivery, goods + fee(goods, delivery))
    shop = replace(shop, cart=(), address=address, orders=(order, *shop.orders))
    return Answer(shop, url=link("shoply.com", f"orders/{order.number}"), message="Order placed")


_ACTIONS: dict[str, Callable[[Request, tuple[str, ...]], Answer]] = {
    "add": _add,
    "quantity": _quantity,
    "remove": _remove,
    "save": _save,
    "place_order": _place_order,
}
