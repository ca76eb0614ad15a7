"""What a shop remembers of its visitor: cart, address and orders. Part of the browser's state."""

from __future__ import annotations

import msgspec


class CartLine(msgspec.Struct, frozen=True):
    """`quantity` pieces of one product in one option ("Blue")."""

    product: str
    option: str
    quantity: int


class Address(msgspec.Struct, frozen=True):
    """Where an order goes."""

    name: str = ""
    street: str = ""
    city: str = ""
    postcode: str = ""


class Order(msgspec.Struct, frozen=True):
    """A placed order; `cents` is its total."""

    number: str
    lines: tuple[CartLine, ...]
    address: Address
    delivery: str
    cents: int


class ShopSession(msgspec.Struct, frozen=True):
    """Cart (newest line last), saved products, address used last, orders (newest first).

    What the shop shows: ids of the deals on its home page, and of the products that it does not offer at present.
    """

    cart: tuple[CartLine, ...] = ()
    saved: tuple[str, ...] = ()
    address: Address = Address()
    orders: tuple[Order, ...] = ()
    deals: tuple[str, ...] = ()
    delisted: tuple[str, ...] = ()

    def count(self) -> int:
        """Return how many pieces are in the cart."""
        return sum(line.quantity for line in self.cart)
