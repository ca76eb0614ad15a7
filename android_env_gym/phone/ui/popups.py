"""Material 3 pop-ups: dialog, menu, bottom sheet, snackbar, toast. Import them from `widgets`.

A pop-up is one `modal` node that fills the page; tapping it beside its panel sends `dismiss`. `modal` dims
what is below, unless its fill is "none" (menus).
"""

from __future__ import annotations

import msgspec

from android_env_gym.phone.ui.node import Event, Node

_PANEL = "surface_container_high"
POP_UP = "pop_up"  # the scroll container that a panel is; one that does not fit the page scrolls


def _on_panel(node: Node, panel: str) -> Node:
    """Return `node` with "background" (e.g. behind the label of a text field) replaced by the panel's colour."""
    children = tuple(_on_panel(child, panel) for child in node.children)
    if node.fill != "background" and all(a is b for a, b in zip(children, node.children, strict=True)):
        return node
    fill = panel if node.fill == "background" else node.fill
    return msgspec.structs.replace(node, children=children, fill=fill)


def dialog(
    title: str,
    body: Node | str,
    actions: tuple[Node, ...],
    *,
    dismiss: Event | None,
    icon: str = "",
    width: float = 312,
) -> Node:
    """Return a dialog in the middle of the page; `actions` are usually `button(..., kind="text")`.

    A `body` that is a node gets the full width: list items bring their own padding, others add (24, 0, 24, 0).
    """
    middle = (
        Node(text=body, style="body", color="on_surface_variant") if isinstance(body, str) else _on_panel(body, _PANEL)
    )
    parts: list[Node] = []
    if icon:
        parts.append(Node(icon=icon, color="secondary"))
    if title:
        parts.append(
            Node(text=title, style="headline_small", text_align="center" if icon else "start", padding=(24, 0, 24, 0))
        )
    side = 24.0 if isinstance(body, str) else 0.0
    parts.append(Node(children=(middle,), padding=(side, 0, side, 0)) if side else middle)
    if actions:
        parts.append(Node(children=actions, axis="row", align="center", justify="end", gap=8, padding=(24, 4, 24, 0)))
    panel = Node(
        children=tuple(parts),
        gap=16,
        padding=(0, 24, 0, 20),
        width=width,
        radius=28,
        fill=_PANEL,
        place="center",
        scroll=POP_UP,
        class_name="FrameLayout",
    )
    return Node(children=(panel,), axis="stack", modal=True, on_tap=dismiss, padding=(16, 24, 16, 24))


def menu(items: tuple[tuple[str, Event], ...], *, dismiss: Event, width: float = 200, place: str = "top-right") -> Node:
    """Return an overflow menu of (label, event) at a corner of the page."""
    rows = tuple(
        Node(
            children=(Node(text=label, style="body", lines=1),),
            justify="center",
            height=48,
            padding=(16, 0, 16, 0),
            on_tap=event,
        )
        for label, event in items
    )
    panel = Node(
        children=rows,
        width=width,
        padding=(0, 8, 0, 8),
        radius=8,
        fill=_PANEL,
        shadow=2,
        place=place,
        scroll=POP_UP,
        class_name="FrameLayout",
    )
    return Node(children=(panel,), axis="stack", modal=True, fill="none", on_tap=dismiss, padding=(8, 8, 8, 8))


def bottom_sheet(*children: Node, dismiss: Event, title: str = "") -> Node:
    """Return a sheet at the bottom of the page with a grip, an optional title and `children`."""
    grip = Node(children=(Node(width=32, height=4, radius=2, fill="outline"),), padding=(0, 16, 0, 12), align="center")
    heading = (Node(text=title, style="title_large", padding=(24, 0, 24, 12), lines=1),) if title else ()
    content = (_on_panel(child, "surface_container_low") for child in children)
    panel = Node(
        children=(grip, *heading, *content, Node(height=16)),
        radius=28,
        fill="surface_container_low",
        shadow=1,
        scroll=POP_UP,
        class_name="FrameLayout",
    )
    return Node(children=(Node(grow=1), panel), modal=True, on_tap=dismiss)


def snackbar(string: str, action: Node | None = None) -> Node:
    """Return a dark message bar for the bottom of a page."""
    words = Node(text=string, style="body_small", color="inverse_on_surface", grow=1, lines=2)
    bar = Node(
        children=(words, *((action,) if action else ())),
        axis="row",
        align="center",
        min_height=48,
        padding=(16, 8, 16, 8),
        radius=6,
        fill="inverse_surface",
        shadow=2,
    )
    return Node(children=(bar,), padding=(12, 8, 12, 8), place="bottom")


def toast(string: str) -> Node:
    """Return a toast: a small pill with a message, to be stacked over the screen."""
    words = Node(text=string, style="body_small", lines=2, text_align="center")
    return Node(
        children=(words,),
        padding=(20, 12, 20, 12),
        radius=22,
        fill="surface_container_high",
        shadow=2,
        place="bottom",
        class_name="Toast",
    )
