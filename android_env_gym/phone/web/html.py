"""The elements web pages are made of: headers, headings, paragraphs, links, forms; every site uses them."""

from __future__ import annotations

from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Art, Event, Node
from android_env_gym.phone.web.site import Document, Go, Request, Send, Site, link

INK = "on_surface"
_GAP = Node(width=12, height=1)


def block(*children: Node, gap: float = 8, top: float = 12, bottom: float = 4) -> Node:
    """Return content with a page's side margins."""
    return Node(children=children, gap=gap, padding=(16, top, 16, bottom))


def heading(text: str, style: str = "headline_small") -> Node:
    """Return a heading."""
    return Node(text=text, style=style, color=INK)


def paragraph(text: str, style: str = "body") -> Node:
    """Return running text."""
    return Node(text=text, style=style, color=INK)


def note(text: str, lines: int = 0) -> Node:
    """Return small grey text."""
    return Node(text=text, style="caption", lines=lines)


def anchor(text: str, url: str, style: str = "body", lines: int = 0) -> Node:
    """Return a text link."""
    return Node(text=text, style=style, color="primary", on_tap=Go(url), lines=lines, min_height=32)


def rule() -> Node:
    """Return a thin line."""
    return Node(height=1, fill="outline_variant")


def header(site: Site, *actions: Node) -> Node:
    """Return a site's coloured bar: its mark and name, a link to its home page, and `actions`."""
    mark = Node(icon=site.icon, color="#ffffff", icon_size=26)
    name = Node(text=site.name, style="title_large", color="#ffffff", lines=1)
    home = Node(
        children=(mark, name), axis="row", align="center", gap=10, grow=1, height=48, on_tap=Go(link(site.host))
    )
    return Node(children=(home, *actions), axis="row", align="center", padding=(16, 4, 8, 4), fill=site.color)


def footer(site: Site) -> Node:
    """Return what stands at the end of every page of a site."""
    words = Node(text=f"© 2026 {site.name} · About · Privacy · Terms", style="caption_small", text_align="center")
    return Node(children=(rule(), words), gap=16, padding=(16, 24, 16, 28))


def button(label: str, event: Event, *, icon: str = "", fill: str = "primary", ink: str = "on_primary") -> Node:
    """Return a wide button."""
    parts = ((Node(icon=icon, color=ink, icon_size=20),) if icon else ()) + (
        Node(text=label, style="body_strong", color=ink, lines=1),
    )
    return Node(
        children=parts,
        axis="row",
        align="center",
        justify="center",
        gap=8,
        height=48,
        radius=24,
        fill=fill,
        on_tap=event,
        class_name="Button",
    )


def search_form(request: Request, url: str, hint: str, initial: str = "") -> Node:
    """Return a rounded box to type a search in and the button that sends it to `url`."""
    send = Send(url, "q")
    go = w.icon_button("magnify", send, "Search", color="primary")
    return w.search_bar("q", request.page.field("q", initial), hint, on_submit=send, leading=_GAP, trailing=go)


def site_mark(site: Site, size: float = 28) -> Node:
    """Return a site's round mark."""
    return Node(art=Art("avatar_icon", (site.icon, site.color)), width=size, height=size)


def photo(seed: int, height: float = 150, radius: float = 12) -> Node:
    """Return a picture."""
    return Node(art=Art("photo", (seed,)), height=height, radius=radius)


def missing(site: Site) -> Document:
    """Return a site's own "page not found"."""
    body = block(
        heading("Page not found"),
        paragraph("The page you are looking for has moved or never existed."),
        anchor(f"Go to the {site.name} home page", link(site.host)),
        top=32,
    )
    return Document(f"Page not found - {site.name}", (header(site), body, footer(site)))
