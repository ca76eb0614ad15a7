"""An encyclopedia of towns with facts to look up; the facts differ from phone to phone."""

from __future__ import annotations

import msgspec

from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.web import html, prose
from android_env_gym.phone.web.site import Document, Request, Site, drawn, link, slug

_FRONT = ("Alder", "Brim", "Clay", "Dun", "Elm", "Fern", "Glen", "Hazel", "Iron", "Juniper")
_BACK = ("ford", "haven", "mere", "wick")
TOWNS: tuple[str, ...] = tuple(front + back for front in _FRONT for back in _BACK)
_RIVERS = ("Aune", "Bell", "Corra", "Dove", "Esk", "Flint", "Garn", "Hale")
FACTS: dict[str, str] = {"founding year": "founded", "population": "population", "mayor": "mayor", "river": "river"}


class Town(msgspec.Struct, frozen=True):
    """What the encyclopedia says of a town; the fields are the values of `FACTS`."""

    name: str
    founded: str
    population: str
    mayor: str
    river: str


def town(seed: int, name: str) -> Town:
    """Return the town as this phone's encyclopedia describes it."""
    rng = drawn("town", seed, name)
    return Town(
        name=name,
        founded=str(rng.integers(1105, 1890)),
        population=f"{rng.integers(12, 890) * 100 + rng.integers(100):,}",
        mayor=prose.author("mayor", seed, name),
        river=_RIVERS[int(rng.integers(len(_RIVERS)))],
    )


class Almanac(Site, frozen=True):
    """The encyclopedia."""

    def document(self, request: Request) -> Document:
        """Return the home page, a search, an article, or "not found"."""
        steps = request.url.steps()
        if not steps:
            return self._home(request)
        if steps[0] == "search":
            return self._search(request)
        if len(steps) == 2 and steps[0] == "wiki":
            found = next((name for name in TOWNS if name.casefold() == steps[1].casefold()), None)
            return self._town(town(request.seed, found), request) if found else self._topic(steps[1], request)
        return html.missing(self)

    def article_url(self, title: str) -> str:
        """Return the address of the article with this title."""
        return link(self.host, f"wiki/{slug(title)}")

    def _form(self, request: Request) -> Node:
        form = html.search_form(request, link(self.host, "search"), "Search Almanac", request.url.get("q"))
        return html.block(form)

    def _home(self, request: Request) -> Document:
        order = drawn(self.host, request.seed).permutation(len(TOWNS))
        shown = [TOWNS[int(index)] for index in order[:6]]
        links = tuple(html.anchor(name, self.article_url(name), "title") for name in shown)
        body = html.block(
            html.heading("The free book of everything"),
            html.photo(request.seed % 101),
            html.heading("Towns in the news", "title"),
            *links,
            gap=10,
        )
        return Document(self.name, (html.header(self), self._form(request), body, html.footer(self)))

    def _search(self, request: Request) -> Document:
        query = request.url.get("q").strip()
        words = query.casefold().split()
        found = [name for name in TOWNS if any(word[:3] == name[: len(word[:3])].casefold() for word in words)]
        exact = [name for name in found if name.casefold() in words]
        titles = [*exact, *(name for name in found if name not in exact)][:8] or [prose.capital(query)]
        items = []
        for title in titles:
            about = f"{title} is a town on a river." if title in TOWNS else prose.snippet(query)
            items += [html.anchor(title, self.article_url(title), "title"), html.note(about, 2), html.rule()]
        body = html.block(html.note(f"Results for \u201c{query}\u201d"), *items)
        return Document(f"{query} - Search - {self.name}", (html.header(self), self._form(request), body))

    def _town(self, facts: Town, request: Request) -> Document:
        lead = (
            f"{facts.name} is a town on the {facts.river}. It is known for its market square, its brick bridge "
            "and a long tradition of boat building."
        )
        rows = tuple(_fact(name.capitalize(), getattr(facts, name)) for name in FACTS.values())
        box = Node(children=rows, fill="surface_container", radius=12, padding=(12, 8, 12, 8), gap=4)
        texts = tuple(html.paragraph(text) for text in prose.paragraphs(f"life in {facts.name}", 2))
        body = html.block(
            html.heading(facts.name, "headline"),
            html.paragraph(lead),
            box,
            html.photo(sum(facts.name.encode())),
            html.heading("History", "title_large"),
            *texts,
            gap=12,
        )
        return Document(
            f"{facts.name} - {self.name}", (html.header(self), self._form(request), body, html.footer(self))
        )

    def _topic(self, topic: str, request: Request) -> Document:
        texts = tuple(html.paragraph(text) for text in prose.paragraphs(topic, 3, self.host))
        body = html.block(html.heading(prose.capital(topic), "headline"), *texts, gap=12)
        page = (html.header(self), self._form(request), body, html.footer(self))
        return Document(f"{prose.capital(topic)} - {self.name}", page)


def _fact(name: str, value: str) -> Node:
    return Node(
        children=(Node(text=name, style="body_strong", width=112), Node(text=value, grow=1)),
        axis="row",
        gap=8,
        min_height=32,
        align="center",
    )


ALMANAC = Almanac("almanac.org", "Almanac", "book_open_variant", "#263238")
