"""Shoply, the shop: home page, search with sorting and filters, categories and product pages.

Cart, checkout and orders are in `checkout.py`; what the buttons do to the visitor's session is in `till.py`.
"""

from __future__ import annotations

import msgspec

from android_env_gym.phone.state import SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Node
from android_env_gym.phone.web import catalog, checkout, html, till
from android_env_gym.phone.web.catalog import COLORS, Product, dollars
from android_env_gym.phone.web.site import Answer, Document, Go, Post, Request, Site, Url, drawn, link, slug

HOST = "shoply.com"
SORTS: dict[str, str] = {
    "": "Relevance",
    "low": "Price: low to high",
    "high": "Price: high to low",
    "rating": "Customer rating",
    "reviews": "Most reviewed",
}
STAR_FILTERS: dict[str, str] = {"4": "4 stars & up", "3": "3 stars & up"}
PRICE_FILTERS: dict[str, str] = {"25": "Under $25", "50": "Under $50", "100": "Under $100", "200": "Under $200"}
MAX_SHOWN = 16
DEALS = 12


class Shoply(Site, frozen=True):
    """The shop."""

    def document(self, request: Request) -> Document:
        """Return the page of the shop at this address, or "not found"."""
        match request.url.steps():
            case ():
                return self._home(request)
            case ("search",):
                return self._listing(request, request.url.get("q").strip())
            case ("category", name):
                return self._listing(request, name)
            case ("product", product):
                found = None if product in request.shop.delisted else catalog.by_id(request.seed).get(product)
                return html.missing(self) if found is None else self._product(request, found)
            case steps:
                header = self.header(request, search=steps != ("checkout",))
                found = checkout.document(request, header, steps)
                return html.missing(self) if found is None else found

    def post(self, request: Request, post: Post) -> Answer:
        """Return what a button of the shop does."""
        return till.post(request, post)

    def product_url(self, product: str) -> str:
        """Return the address of a product's page."""
        return link(HOST, f"product/{slug(product)}")

    def header(self, request: Request, *, search: bool = True) -> Node:
        """Return the bar at the top of every page: name, orders, cart, and the search form if wanted."""
        cart = Node(icon="cart_outline", color="#ffffff", place="center")
        parts: tuple[Node, ...] = (cart,)
        if count := request.shop.count():
            number = Node(text=str(count), style="label_small", color="#ffffff", text_align="center", lines=1)
            parts = (cart, Node(children=(number,), place="top-right", width=20, height=18, radius=9, fill="#d43f11"))
        basket = Node(
            children=parts,
            axis="stack",
            width=48,
            height=48,
            on_tap=Go(link(HOST, "cart")),
            label="Cart",
            class_name="ImageButton",
        )
        orders = Node(
            icon="package_variant_closed",
            color="#ffffff",
            width=48,
            height=48,
            on_tap=Go(link(HOST, "orders")),
            label="Orders",
            class_name="ImageButton",
        )
        bar = html.header(self, orders, basket)
        if not search:
            return bar
        form = html.search_form(request, search_url(), "Search Shoply", request.url.get("q"))
        box = Node(children=(msgspec.structs.replace(form, fill="surface"),), padding=(12, 0, 12, 10), fill=self.color)
        return Node(children=(bar, box))

    def _home(self, request: Request) -> Document:
        shown = [item for item in request.shop.deals or deals(request.seed) if item not in request.shop.delisted]
        offered = [catalog.by_id(request.seed)[item] for item in shown]
        rows = tuple(
            Node(children=tuple(self._deal(item) for item in offered[start : start + 2]), axis="row", gap=8)
            for start in range(0, len(offered), 2)
        )
        order = [catalog.CATEGORIES[int(i)] for i in drawn("strip", request.seed).permutation(len(catalog.CATEGORIES))]
        body = (
            self.header(request),
            Node(children=tuple(_category(item) for item in order[:5]), axis="row", padding=(8, 10, 8, 2)),
            html.block(html.heading("Deals of the day", "title"), *rows, gap=6, top=6),
            html.block(html.heading("All categories", "title"), *_category_grid(), gap=12, top=20),
            html.footer(self),
        )
        return Document("Shoply", body)

    def _deal(self, product: Product) -> Node:
        words = Node(
            children=(
                Node(text=product.name, style="body_strong", lines=2),
                Node(text=dollars(product.cents), style="body_small", color="error", lines=1),
            ),
            grow=1,
            justify="center",
        )
        picture = Node(art=_art(product), width=56, height=56, radius=8)
        return Node(
            children=(picture, words),
            axis="row",
            gap=8,
            align="center",
            min_height=70,
            grow=1,
            padding=(6, 2, 4, 2),
            radius=10,
            border="outline_variant",
            on_tap=Go(self.product_url(product.id)),
        )

    def _listing(self, request: Request, query: str) -> Document:
        found = [item for item in listed(request.url, request.seed) if item.id not in request.shop.delisted]
        chips = Node(children=_chips(request.url), axis="row", gap=8, padding=(12, 10, 12, 4))
        title = f"\u201c{query}\u201d" if request.url.path == "search" else query
        count = html.block(html.note(f"{len(found)} results for {title}"), top=4)
        if found:
            cards = tuple(self._card(item) for item in found[:MAX_SHOWN])
        else:
            cards = (
                w.empty_state("magnify_close", f"No products match {title}. Check the spelling or remove filters."),
            )
        dialog = _listing_dialog(request)
        body = (self.header(request), chips, count, *cards, html.footer(self))
        return Document(f"{query or 'All products'} - Shoply", body, dialog=dialog)

    def _card(self, product: Product) -> Node:
        words = Node(
            children=(
                Node(text=product.name, style="title", lines=1),
                stars(product),
                price(product, "title_large"),
                html.note("Free delivery" if product.cents >= till.FREE_FROM else "Delivery in 2-3 days", 1),
            ),
            grow=1,
            gap=2,
        )
        picture = Node(art=_art(product), width=104, height=104, radius=8)
        inner = Node(children=(picture, words), axis="row", gap=14, align="center", padding=(12, 8, 12, 8))
        return Node(children=(inner, html.rule()), on_tap=Go(self.product_url(product.id)))

    def _product(self, request: Request, product: Product) -> Document:
        option = request.page.field("option", product.options[0])
        saved = product.id in request.shop.saved
        heart = w.icon_button(
            "heart" if saved else "heart_outline",
            Post("save", (product.id,)),
            "Remove from saved" if saved else "Save",
            color="error" if saved else "",
        )
        title = Node(
            children=(Node(text=product.name, style="headline_small", grow=1), heart), axis="row", align="center"
        )
        colors = Node(children=tuple(_color(name, name == option) for name in product.options), axis="row", gap=8)
        hidden = (product.id, *request.shop.delisted)
        similar = [item for item in catalog.search(request.seed, product.noun) if item.id not in hidden][:3]
        body = (
            self.header(request),
            Node(art=_art(product, option), height=220),
            html.block(
                title,
                stars(product),
                price(product, "headline"),
                html.note(f"Color: {option}"),
                colors,
                html.paragraph(product.blurb),
                html.note("30 days to return. 2 years of warranty."),
            ),
            html.block(html.heading("Similar products", "title")),
            *(self._card(item) for item in similar),
            html.footer(self),
        )
        add = html.button(
            "Add to cart", Post("add", (product.id, option)), icon="cart_plus", fill=self.color, ink="#ffffff"
        )
        bottom = Node(children=(html.rule(), Node(children=(add,), padding=(16, 8, 16, 8))), fill="surface")
        return Document(f"{product.name} - Shoply", body, bottom=bottom)


def search_url(query: str = "") -> str:
    """Return the address of a search in the shop, or that of its form's target."""
    return link(HOST, "search", {"q": query} if query else None)


def deals(seed: int) -> tuple[str, ...]:
    """Return the ids of the products on the home page when the session names none."""
    items = catalog.products(seed)
    return tuple(items[int(index)].id for index in drawn("deals", seed).permutation(len(items))[:DEALS])


def listed(url: Url, seed: int) -> tuple[Product, ...]:
    """Return the products of a search or category page in the order shown."""
    steps = url.steps()
    if steps[:1] == ("category",):
        found = [item for item in catalog.products(seed) if item.category.casefold() == steps[1].casefold()]
        found.sort(key=lambda item: item.rank)
    else:
        found = list(catalog.search(seed, url.get("q")))
    if least := url.get("stars"):
        found = [item for item in found if item.rating >= 10 * int(least)]
    if most := url.get("max"):
        found = [item for item in found if item.cents < 100 * int(most)]
    keys = {
        "low": lambda item: item.cents,
        "high": lambda item: -item.cents,
        "rating": lambda item: -item.rating,
        "reviews": lambda item: -item.reviews,
    }
    key = keys.get(url.get("sort"))
    return tuple(sorted(found, key=key) if key else found)


def stars(product: Product) -> Node:
    """Return a product's rating as stars and numbers."""
    halves = round(product.rating / 5)
    names = ("star", "star_half_full", "star_outline")
    icons = tuple(
        Node(icon=names[0 if halves >= 2 * n else 1 if halves == 2 * n - 1 else 2], icon_size=16, color="star")
        for n in range(1, 6)
    )
    number = Node(
        text=f"{product.rating / 10:.1f} ({product.reviews:,})", style="caption", padding=(24, 0, 0, 0), lines=1
    )
    return Node(children=(*icons, number), axis="row", align="center")


def price(product: Product, style: str) -> Node:
    """Return a product's price, with the former one beside it if it is reduced."""
    parts = [Node(text=dollars(product.cents), style=style, lines=1)]
    if product.was_cents:
        parts.append(Node(text=f"was {dollars(product.was_cents)}", style="caption", lines=1))
    return Node(children=tuple(parts), axis="row", gap=24, align="center")


def _art(product: Product, option: str = "") -> Art:
    return Art("product", (product.icon, COLORS[option if option in COLORS else product.options[0]]))


def _color(name: str, chosen: bool) -> Node:
    dot = Node(width=20, height=20, radius=10, fill=COLORS[name])
    return Node(
        children=(dot, Node(text=name, style="label", lines=1)),
        axis="row",
        gap=6,
        align="center",
        height=40,
        padding=(8, 0, 10, 0),
        radius=20,
        border="primary" if chosen else "outline_variant",
        fill="primary_container" if chosen else "",
        on_tap=SetField("option", name),
        selected=chosen,
        class_name="Button",
    )


def _category(category: catalog.Category) -> Node:
    mark = Node(icon=category.icon, color="#00695c", width=40, height=40, radius=20, fill="#dff1ec")
    name = Node(text=category.name, style="label_small", lines=1, text_align="center")
    event = Go(link(HOST, f"category/{slug(category.name)}"))
    return Node(children=(mark, name), align="center", gap=4, grow=1, on_tap=event, class_name="Button")


def _category_grid() -> tuple[Node, ...]:
    items = [_category(item) for item in catalog.CATEGORIES]
    return tuple(Node(children=tuple(items[start : start + 4]), axis="row") for start in range(0, len(items), 4))


def _chips(url: Url) -> tuple[Node, ...]:
    active = [STAR_FILTERS.get(url.get("stars"), ""), PRICE_FILTERS.get(url.get("max"), "")]
    chosen = [name for name in active if name]
    sort = url.get("sort")
    return (
        _chip("Sort", "sort", bool(sort), ShowDialog("sort")),
        _chip("Filter", "filter_variant", bool(chosen), ShowDialog("filter")),
        *(
            Node(text=name, style="caption", lines=1, padding=(4, 8, 0, 0))
            for name in ([SORTS.get(sort, "")] if sort else chosen)
        ),
    )


def _chip(label: str, icon: str, on: bool, event: ShowDialog) -> Node:
    return Node(
        children=(Node(icon=icon, icon_size=18), Node(text=label, style="label", lines=1)),
        axis="row",
        gap=8,
        align="center",
        height=40,
        padding=(12, 0, 16, 0),
        radius=8,
        border="outline_variant",
        fill="secondary_container" if on else "",
        on_tap=event,
        class_name="Button",
    )


def _listing_dialog(request: Request) -> Node | None:
    url, kind = request.url, request.page.dialog
    if kind == "sort":
        chosen = url.get("sort")
        rows = tuple(w.radio_item(name, key == chosen, Go(url.but(sort=key))) for key, name in SORTS.items())
        return _sheet("Sort by", rows)
    if kind == "filter":
        rating, most = url.get("stars"), url.get("max")
        rows = (
            *(w.radio_item(name, key == rating, Go(url.but(stars=key))) for key, name in STAR_FILTERS.items()),
            *(w.radio_item(name, key == most, Go(url.but(max=key))) for key, name in PRICE_FILTERS.items()),
            w.list_item("Clear filters", on_tap=Go(url.but(stars="", max=""))),
        )
        return _sheet("Filter", rows)
    return None


def _sheet(title: str, rows: tuple[Node, ...]) -> Node:
    head = Node(text=title, style="title_large", padding=(16, 8, 16, 8))
    return w.bottom_sheet(head, *rows, dismiss=ShowDialog(""))


SHOPLY = Shoply(HOST, "Shoply", "shopping", "#00695c")
