"""The shop's cart, checkout form, order list and order pages; `shop` calls `document` with its page header."""

from __future__ import annotations

from android_env_gym.phone.state import Focus, SetField
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Node
from android_env_gym.phone.web import catalog, html, till
from android_env_gym.phone.web.catalog import COLORS, dollars
from android_env_gym.phone.web.session import CartLine, Order
from android_env_gym.phone.web.site import Document, Go, Post, Request, link, slug

HOST = "shoply.com"
_GREEN = "#00695c"


def document(request: Request, header: Node, steps: tuple[str, ...]) -> Document | None:
    """Return the page with these path parts, None if there is none."""
    match steps:
        case ("cart",):
            return _cart(request, header)
        case ("checkout",):
            return _checkout(request, header) if request.shop.cart else _cart(request, header)
        case ("orders",):
            return _orders(request, header)
        case ("orders", number):
            order = next((item for item in request.shop.orders if item.number == number), None)
            return None if order is None else _order(request, header, order)
    return None


def _cart(request: Request, header: Node) -> Document:
    shop = request.shop
    title = "Cart - Shoply"
    if not shop.cart:
        empty = w.empty_state("cart_outline", "Your cart is empty")
        home = html.block(html.button("Continue shopping", Go(link(HOST)), fill=_GREEN, ink="#ffffff"))
        return Document(title, (header, empty, home))
    goods = till.subtotal(shop, request.seed)
    total = Node(
        children=(html.note(f"Subtotal ({shop.count()} items)"), Node(text=dollars(goods), style="title_large")),
        grow=1,
    )
    lines = tuple(_line(request, line) for line in shop.cart)
    proceed = w.column(html.button("Checkout", Go(link(HOST, "checkout")), fill=_GREEN, ink="#ffffff"), width=140)
    foot = Node(children=(total, proceed), axis="row", align="center", padding=(16, 8, 16, 8))
    bottom = Node(children=(html.rule(), foot), fill="surface")
    return Document(title, (header, html.block(html.heading("Cart", "title"), top=10), *lines), bottom=bottom)


def _line(request: Request, line: CartLine) -> Node:
    product = catalog.by_id(request.seed)[line.product]
    key = (line.product, line.option)
    page = Go(link(HOST, f"product/{slug(product.id)}"))
    picture = Node(art=Art("product", (product.icon, COLORS[line.option])), width=76, height=76, radius=8, on_tap=page)
    less = Post("quantity", (*key, str(line.quantity - 1)))
    more = Post("quantity", (*key, str(line.quantity + 1)))
    number = Node(text=str(line.quantity), style="body_strong", width=28, text_align="center")
    buttons = Node(
        children=(
            w.icon_button("minus_circle_outline", less, f"Fewer {product.name}"),
            number,
            w.icon_button("plus_circle_outline", more, f"More {product.name}"),
            Node(grow=1),
            w.icon_button("delete_outline", Post("remove", key), f"Remove {product.name}"),
        ),
        axis="row",
        align="center",
    )
    words = Node(
        children=(
            Node(text=product.name, style="title", lines=1, on_tap=page),
            html.note(f"{line.option} · {dollars(product.cents)}", 1),
            buttons,
        ),
        grow=1,
    )
    inner = Node(children=(picture, words), axis="row", gap=14, align="center", padding=(16, 8, 4, 4))
    return Node(children=(inner, html.rule()))


def _checkout(request: Request, header: Node) -> Document:
    known, page = request.shop.address, request.page
    goods = till.subtotal(request.shop, request.seed)
    chosen = page.field("delivery", till.STANDARD)
    names = tuple(till.ADDRESS_FIELDS)
    fields = tuple(
        w.text_field(
            name, page.field(name, getattr(known, name)), label=till.ADDRESS_FIELDS[name], on_submit=Focus(after)
        )
        for name, after in zip(names, (*names[1:], ""), strict=True)
    )
    ways = tuple(
        w.radio_item(f"{way} delivery", way == chosen, SetField("delivery", way), _delivery(way, goods))
        for way in till.FEES
    )
    total = goods + till.fee(goods, chosen)
    rows = (("Items", goods), ("Delivery", total - goods), ("Order total", total))
    body = (
        header,
        html.block(html.heading("Checkout"), html.heading("Delivery address", "title"), *fields, gap=12),
        html.block(html.heading("Delivery", "title")),
        *ways,
        html.block(html.heading("Order summary", "title"), *(_amount(*row) for row in rows)),
        html.block(html.note("Payment: invoice, 14 days after delivery"), bottom=24),
    )
    place = html.button("Place order", Post("place_order"), fill="#d43f11", ink="#ffffff")
    bottom = Node(children=(html.rule(), Node(children=(place,), padding=(16, 8, 16, 8))), fill="surface")
    return Document("Checkout - Shoply", body, bottom=bottom)


def _delivery(way: str, goods: int) -> str:
    cents = till.fee(goods, way)
    days = "2-3 days" if way == till.STANDARD else "tomorrow"
    return f"{'Free' if cents == 0 else dollars(cents)}, {days}"


def _amount(name: str, cents: int) -> Node:
    style = "body_strong" if name == "Order total" else "body"
    value = Node(text="Free" if name == "Delivery" and cents == 0 else dollars(cents), style=style)
    return Node(children=(Node(text=name, style=style, grow=1), value), axis="row")


def _orders(request: Request, header: Node) -> Document:
    rows = tuple(
        w.list_item(
            f"Order {order.number}",
            f"{_summary(request, order)} · {dollars(order.cents)}",
            leading=w.icon("package_variant_closed"),
            on_tap=Go(link(HOST, f"orders/{order.number}")),
        )
        for order in request.shop.orders
    )
    body = rows or (w.empty_state("package_variant", "You have no orders yet"),)
    return Document("Orders - Shoply", (header, html.block(html.heading("Your orders")), *body))


def _summary(request: Request, order: Order) -> str:
    items = catalog.by_id(request.seed)
    return ", ".join(f"{line.quantity} x {items[line.product].name}" for line in order.lines)


def _order(request: Request, header: Node, order: Order) -> Document:
    to = order.address
    body = html.block(
        Node(icon="check_circle", icon_size=56, color=_GREEN, padding=(0, 16, 0, 4)),
        Node(text="Thank you for your order", style="headline_small", text_align="center"),
        html.note(f"Order number {order.number}"),
        html.rule(),
        html.paragraph(_summary(request, order)),
        html.paragraph(f"{order.delivery} delivery to {to.name}, {to.street}, {to.postcode} {to.city}"),
        Node(text=f"Total {dollars(order.cents)}", style="title"),
        html.button("Continue shopping", Go(link(HOST)), fill=_GREEN, ink="#ffffff"),
        gap=12,
    )
    return Document(f"Order {order.number} - Shoply", (header, body))
