"""All sites of the phone's web by address, and the two calls a browser makes: `load` and `post`."""

from __future__ import annotations

from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.web import html
from android_env_gym.phone.web.almanac import ALMANAC
from android_env_gym.phone.web.lookup import LOOKUP, search_url
from android_env_gym.phone.web.shop import SHOPLY
from android_env_gym.phone.web.site import Answer, Document, Post, Request, Site, link, parse
from android_env_gym.phone.web.small_sites import SMALL_SITES

SITES: tuple[Site, ...] = (LOOKUP, SHOPLY, ALMANAC, *SMALL_SITES)
SITE_BY_HOST: dict[str, Site] = {site.host: site for site in SITES}


def load(request: Request) -> Document:
    """Return the page at the request's address; the browser's error page if there is no such host."""
    site = SITE_BY_HOST.get(request.url.host)
    return _unreachable(request.url.host) if site is None else site.document(request)


def post(request: Request, message: Post) -> Answer:
    """Return what the site of the page in `request` does with `message`."""
    site = SITE_BY_HOST.get(request.url.host)
    return Answer(request.shop) if site is None else site.post(request, message)


def site_of(url: str) -> Site | None:
    """Return the site that `url` belongs to, None if its host does not exist."""
    return SITE_BY_HOST.get(parse(url).host)


def address(typed: str) -> str:
    """Return where text typed into the address bar leads: an address is one word with a dot, all else is searched."""
    text = typed.strip()
    bare = text.split("://", 1)[-1]
    host = bare.split("/", 1)[0].split("?", 1)[0]
    if " " in text or "." not in host.strip("."):
        return search_url(text)
    url = parse(bare)
    return link(url.host, url.path, dict(url.query))


def _unreachable(host: str) -> Document:
    body = Node(
        children=(
            Node(icon="emoticon_dead_outline", icon_size=72, color="on_surface_variant"),
            html.heading("This site can\u2019t be reached"),
            html.paragraph(f"Check if there is a typo in {host}."),
            html.note("DNS_PROBE_FINISHED_NXDOMAIN"),
        ),
        gap=16,
        align="start",
        padding=(24, 72, 24, 24),
    )
    return Document(host, (body,))
