"""The search engine: whatever is asked, it finds this web's own pages first, then pages about the topic."""

from __future__ import annotations

import msgspec

from android_env_gym.phone.ui.node import Art, Node
from android_env_gym.phone.web import catalog, html, prose
from android_env_gym.phone.web.almanac import ALMANAC, TOWNS
from android_env_gym.phone.web.shop import SHOPLY
from android_env_gym.phone.web.site import Document, Go, Request, Site, drawn, link, parse
from android_env_gym.phone.web.small_sites import SMALL_SITES

RESULTS = 9
_NEWS = "Ledger"


class Result(msgspec.Struct, frozen=True):
    """One search result."""

    site: Site
    url: str
    title: str
    snippet: str


class Lookup(Site, frozen=True):
    """The search engine."""

    def document(self, request: Request) -> Document:
        """Return the home page with the search box, or the results of `q`."""
        steps, query = request.url.steps(), request.url.get("q").strip()
        if steps == ("search",) and query:
            return self._results(request, query)
        if steps in ((), ("search",)):
            return self._home(request)
        return html.missing(self)

    def _form(self, request: Request) -> Node:
        return html.search_form(request, search_url(), "Search the web", request.url.get("q"))

    def _home(self, request: Request) -> Document:
        body = Node(
            children=(
                wordmark(44),
                self._form(request),
                html.note("Trending searches"),
                *(_trend(topic) for topic in SMALL_SITES[request.seed % len(SMALL_SITES)].topics[:5]),
            ),
            gap=16,
            padding=(16, 64, 16, 32),
        )
        return Document(self.name, (body,))

    def _results(self, request: Request, query: str) -> Document:
        kind = request.url.get("tab")
        top = Node(children=(wordmark(24), self._form(request), _kinds(request, kind)), gap=10, padding=(16, 10, 16, 8))
        found = results(query, request.seed)
        if kind == "news":
            found = tuple(item for item in found if item.site.name in (_NEWS, "Forum", "Weather")) or found[-2:]
        elif kind == "shopping":
            found = _products(query, request.seed) or found[-1:]
        cards = tuple(_card(item) for item in found)
        related = html.block(
            html.heading("Related searches", "title"),
            *(_trend(text) for text in (f"{query} near me", f"{query} reviews", f"how to {query}")),
        )
        return Document(f"{query} - {self.name} Search", (top, html.rule(), *cards, related))


def search_url(query: str = "") -> str:
    """Return the address of the results for `query`, or that of the form's target."""
    return link("lookup.com", "search", {"q": query} if query else None)


def wordmark(size: float) -> Node:
    """Return the search engine's name in its colours; `size` is its height in dp."""
    style = "display" if size > 32 else "title_large"
    colors = ("brand_blue", "brand_teal", "brand_yellow", "brand_blue", "brand_purple", "brand_teal")
    letters = tuple(Node(text=a, style=style, color=c) for a, c in zip("Lookup", colors, strict=True))
    return Node(
        children=letters,
        axis="row",
        justify="center" if size > 32 else "start",
        label="Lookup",
        on_tap=Go(link("lookup.com")),
    )


def results(query: str, seed: int) -> tuple[Result, ...]:
    """Return what the search engine finds: never nothing."""
    words = query.casefold().split()
    found = [*_sites(words, seed), *_towns(words), *_products(query, seed)[:3]]
    order = drawn("results", query.casefold(), seed).permutation(len(SMALL_SITES))
    for index in order:
        if len(found) >= RESULTS:
            break
        site = SMALL_SITES[int(index)]
        title = prose.headline(query, site.host, seed)
        found.append(Result(site, site.article_url(query), f"{title} - {site.name}", prose.snippet(query, site.host)))
    known = any(item.site is ALMANAC for item in found)
    if not known:
        title = prose.capital(query)
        found.insert(
            min(2, len(found)), Result(ALMANAC, ALMANAC.article_url(title), title, prose.snippet(query, "almanac"))
        )
    return tuple(found[:RESULTS])


def _sites(words: list[str], seed: int) -> list[Result]:
    own: tuple[Site, ...] = (SHOPLY, ALMANAC, *SMALL_SITES)
    found = []
    for site in own:
        if site.name.casefold() in words or site.host in words:
            line = f"The official home of {site.name}. {prose.snippet(site.name, seed)}"
            found.append(Result(site, link(site.host), site.name, line))
    return found


def _towns(words: list[str]) -> list[Result]:
    names = [name for name in TOWNS if name.casefold() in words]
    line = "{} is a town on a river, known for its market square and its brick bridge."
    return [Result(ALMANAC, ALMANAC.article_url(name), f"{name} - Almanac", line.format(name)) for name in names]


def _products(query: str, seed: int) -> tuple[Result, ...]:
    return tuple(
        Result(SHOPLY, SHOPLY.product_url(item.id), f"{prose.capital(item.name)} - Shoply", _offer(item))
        for item in catalog.search(seed, query)[:6]
    )


def _offer(item: catalog.Product) -> str:
    stars = f"{item.rating / 10:.1f} stars, {item.reviews:,} reviews"
    return f"{catalog.dollars(item.cents)} · {stars}. {item.blurb}"


def _kinds(request: Request, chosen: str) -> Node:
    cells = []
    for name, kind in (("All", ""), ("News", "news"), ("Shopping", "shopping")):
        on = kind == chosen
        label = Node(text=name, style="label", color="primary" if on else "on_surface_variant", text_align="center")
        line = Node(height=3, fill="primary" if on else "")
        event = Go(request.url.but(tab=kind))
        cells.append(Node(children=(label, line), gap=4, on_tap=event, selected=on, width=88, padding=(0, 8, 0, 0)))
    return Node(children=tuple(cells), axis="row", gap=8)


def _card(item: Result) -> Node:
    crumbs = " > ".join((item.site.host, *parse(item.url).steps()[:1]))
    names = Node(children=(Node(text=item.site.name, style="body_small"), html.note(crumbs, 1)), grow=1)
    source = Node(
        children=(Node(art=Art("avatar_icon", (item.site.icon, item.site.color)), width=28, height=28), names),
        axis="row",
        gap=12,
        align="center",
    )
    title = Node(text=item.title, style="body_large", color="primary", lines=2)
    words = Node(
        children=(source, title, html.note(item.snippet, 3)), gap=6, padding=(16, 14, 16, 14), on_tap=Go(item.url)
    )
    return Node(children=(words, html.rule()))


def _trend(text: str) -> Node:
    return Node(
        children=(Node(icon="magnify", icon_size=20), Node(text=text, grow=1, lines=1)),
        axis="row",
        gap=16,
        align="center",
        min_height=40,
        on_tap=Go(search_url(text)),
    )


LOOKUP = Lookup("lookup.com", "Lookup", "magnify", "#1a73e8")
