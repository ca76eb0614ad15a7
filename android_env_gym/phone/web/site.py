"""What a web site of the phone is: addresses in, documents out, and pure answers to what a page sends back.

The browser calls `Site.document` for every page it shows and `Site.post` when a page sends something.
Documents carry event values (`Go`, `Send`, `Post`) that the browser's update understands.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec
import numpy as np

from android_env_gym.phone.state import Page
from android_env_gym.phone.ui.node import Event, Node
from android_env_gym.phone.web.session import ShopSession

SCHEME = "https://"


class Go(Event, frozen=True):
    """A link was followed."""

    url: str


class Send(Event, frozen=True):
    """A form's text `field` was sent: go to `url` with it as the query parameter `q`."""

    url: str
    field: str


class Post(Event, frozen=True):
    """A page asks its site to do `action` ("add_to_cart") with `args`."""

    action: str
    args: tuple[str, ...] = ()


class Url(msgspec.Struct, frozen=True):
    """An address in parts; `path` has no slash at its ends, `query` is decoded."""

    host: str
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """Return the query parameter `name`."""
        return dict(self.query).get(name, default)

    def steps(self) -> tuple[str, ...]:
        """Return the decoded parts of the path, e.g. ("wiki", "Blue Harbor")."""
        return tuple(unquote(part) for part in self.path.split("/") if part)

    def but(self, **query: str) -> str:
        """Return this address as text with query parameters set ("" removes one)."""
        merged = {**dict(self.query), **query}
        return link(self.host, self.path, {key: value for key, value in merged.items() if value})


class Request(msgspec.Struct, frozen=True):
    """Everything a document may depend on.

    `seed` decides prices, facts and orderings of this phone's web; `fields` and `dialog` are local to the page shown.
    """

    url: Url
    seed: int
    page: Page
    shop: ShopSession


class Document(msgspec.Struct, frozen=True):
    """A web page: its title, its content from top to bottom, an optional bar below and an optional dialog."""

    title: str
    body: tuple[Node, ...]
    bottom: Node | None = None
    dialog: Node | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a post leads to: the session afterwards, and a message or an address to go to."""

    shop: ShopSession
    url: str = ""
    message: str = ""
    dialog: str | None = None


class Site(msgspec.Struct, frozen=True):
    """Base of the web sites; stateless. `color` is that of its bar, `icon` its mark."""

    host: str
    name: str
    icon: str
    color: str

    def document(self, request: Request) -> Document:
        """Return the page at `request.url` (a "not found" page for addresses it does not have)."""
        raise NotImplementedError

    def post(self, request: Request, post: Post) -> Answer:
        """Return what happens when a page of this site sends `post`; most sites remember nothing."""
        return Answer(request.shop)


def link(host: str, path: str = "", query: Mapping[str, str] | None = None) -> str:
    """Return an address as text."""
    end = "?" + urlencode(query) if query else ""
    return f"{SCHEME}{host}/{path}{end}"


def slug(text: str) -> str:
    """Return `text` as one part of a path."""
    return quote(text, safe="")


@lru_cache(maxsize=1024)
def parse(url: str) -> Url:
    """Return the parts of an address written with or without its scheme."""
    rest = url.split("://", 1)[-1]
    rest, _, query = rest.partition("?")
    host, _, path = rest.partition("/")
    host = host.casefold()
    return Url(host.removeprefix("www."), path.strip("/"), tuple(parse_qsl(query)))


def drawn(*key: object) -> np.random.Generator:
    """Return the generator that belongs to `key`: the same key always draws the same."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, key)).encode()))
