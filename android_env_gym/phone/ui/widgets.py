"""Material 3 widgets: functions that return `Node`s; app authors build every screen from these.

Invariants: everything that can be tapped is at least 48 dp high; a control is one accessibility node
(see `tree`). Paddings are (left, top, right, bottom) in dp. `**box` passes further `Node` fields on.
Here are containers, leaves and bars; `controls`, `inputs` and `popups` hold the rest, importable from here too.
"""

from __future__ import annotations

from typing import Any

from android_env_gym.phone.ui.controls import (
    TOUCH,
    ButtonKind,
    button,
    card,
    checkbox,
    checkbox_item,
    chip,
    fab,
    list_item,
    radio,
    radio_item,
    slider,
    switch,
    switch_item,
)
from android_env_gym.phone.ui.inputs import search_bar, text_field
from android_env_gym.phone.ui.node import Art, Event, Node
from android_env_gym.phone.ui.popups import bottom_sheet, dialog, menu, snackbar, toast

Padding = tuple[float, float, float, float]
__all__ = [
    "ButtonKind",
    "Padding",
    "TOUCH",
    "app_icon",
    "avatar",
    "badge",
    "bottom_nav",
    "bottom_sheet",
    "button",
    "card",
    "checkbox",
    "checkbox_item",
    "chip",
    "column",
    "dialog",
    "divider",
    "empty_state",
    "fab",
    "icon",
    "icon_button",
    "large_top_bar",
    "list_item",
    "menu",
    "pad",
    "picture",
    "progress",
    "radio",
    "radio_item",
    "row",
    "screen",
    "scroll",
    "scroll_row",
    "search_bar",
    "section",
    "slider",
    "snackbar",
    "spacer",
    "stack",
    "switch",
    "switch_item",
    "tabs",
    "text",
    "text_field",
    "toast",
    "top_bar",
]

AVATAR_COLORS = ("#7b5ea7", "#0b57d0", "#146c2e", "#b3541e", "#a8325e", "#00696e", "#5f6368", "#8c6d00", "#3f51b5")


def pad(x: float = 0, y: float = 0) -> Padding:
    """Return a padding of `x` left and right and `y` above and below."""
    return (x, y, x, y)


# --- containers ---


def column(*children: Node, **box: Any) -> Node:
    """Lay `children` below each other."""
    return Node(children=children, axis="column", **box)


def row(*children: Node, **box: Any) -> Node:
    """Lay `children` side by side, centred vertically unless `align` says otherwise."""
    return Node(children=children, axis="row", **{"align": "center", **box})


def stack(*children: Node, **box: Any) -> Node:
    """Lay `children` over each other; each is placed by its `place`."""
    return Node(children=children, axis="stack", **box)


def spacer(size: float | None = None) -> Node:
    """Return an empty box of `size` dp, or one that takes what is left."""
    return Node(grow=1) if size is None else Node(width=size, height=size)


def scroll(*children: Node, id: str = "list", gap: float = 0, padding: Padding = (0, 0, 0, 0), **box: Any) -> Node:
    """Return a column that scrolls and fills its parent; `id` must be unique on the page."""
    return Node(children=children, scroll=id, gap=gap, padding=padding, **{"grow": 1.0, **box})


def scroll_row(*children: Node, id: str, gap: float = 8, padding: Padding = (16, 0, 16, 0), **box: Any) -> Node:
    """Return a row that scrolls sideways, e.g. of chips."""
    return Node(children=children, axis="row", scroll=id, gap=gap, padding=padding, **{"align": "center", **box})


def screen(
    top: Node,
    body: Node,
    *,
    bottom: Node | None = None,
    fab: Node | None = None,
    dialog: Node | None = None,
    fill: str = "background",
) -> Node:
    """Return a whole page: bar, body that takes the rest, bottom bar, floating button, and what pops up over it."""
    column_parts = [top, body if body.grow else Node(children=(body,), grow=1)]
    lift = 16.0
    if bottom is not None:
        column_parts.append(bottom)
        lift += bottom.height or 64.0
    layers = [Node(children=tuple(column_parts))]
    if fab is not None:
        layers.append(Node(children=(fab,), axis="stack", place="bottom-right", padding=(16, 16, 16, lift)))
    if dialog is not None:
        layers.append(dialog)
    return Node(children=tuple(layers), axis="stack", fill=fill, grow=1)


# --- leaves ---


def text(string: str, style: str = "body", **box: Any) -> Node:
    """Return text; `lines=1` shortens it with "…", 0 wraps it."""
    return Node(text=string, style=style, **box)


def icon(name: str, size: float = 24, color: str = "", **box: Any) -> Node:
    """Return a Material Design icon."""
    return Node(icon=name, icon_size=size, color=color, **box)


def picture(
    kind: str, *args: str | int | float, width: float | None = None, height: float | None = None, **box: Any
) -> Node:
    """Return `Art(kind, args)`; without `height` it is square."""
    return Node(art=Art(kind, args), width=width, height=height, **box)


def avatar(name: str, size: float = 40, color: str = "") -> Node:
    """Return a person's initial on a disc whose colour depends on the name."""
    letter = name.strip()[:1].upper() or "?"
    tint = color or AVATAR_COLORS[sum(name.encode("utf-8", "replace")) % len(AVATAR_COLORS)]
    return Node(art=Art("avatar", (letter, tint)), width=size, height=size)


def app_icon(icon: str, color: str, size: float = 56) -> Node:
    """Return an app's launcher icon."""
    return Node(art=Art("app_icon", (icon, color)), width=size, height=size)


def divider(inset: float = 0) -> Node:
    """Return a thin line across, starting `inset` dp from the left."""
    line = Node(height=1, fill="outline_variant")
    return line if not inset else Node(children=(line,), padding=(inset, 0, 0, 0))


def badge(string: str) -> Node:
    """Return a small red pill with a count."""
    inner = Node(text=string, style="label_small", color="on_error", text_align="center", lines=1)
    return Node(children=(inner,), axis="row", fill="error", radius=8, padding=(5, 0, 5, 0), justify="center")


def section(title: str) -> Node:
    """Return the heading of a group of list items."""
    return Node(text=title, style="section", padding=(16, 16, 16, 8), lines=1)


def empty_state(icon_name: str, string: str) -> Node:
    """Return a grey icon over an explanation, for a list without items."""
    return Node(
        children=(
            Node(icon=icon_name, icon_size=72, color="outline_variant"),
            Node(text=string, style="body", color="on_surface_variant", text_align="center"),
        ),
        gap=16,
        padding=(48, 48, 48, 48),
        grow=1,
        justify="center",
        align="center",
    )


def progress(value: float | None = None, **box: Any) -> Node:
    """Return a progress bar filled up to `value` in [0, 1], or a turning circle if it is unknown."""
    if value is None:
        return Node(art=Art("spinner"), height=40, width=40, class_name="ProgressBar", **box)
    return Node(art=Art("progress", (round(value, 2),)), height=4, class_name="ProgressBar", **box)


# --- bars ---


def icon_button(
    name: str, on_tap: Event | None, label: str, *, id: str = "", color: str = "", size: float = 24, **box: Any
) -> Node:
    """Return a tappable icon of 48 x 48 dp; `label` is read out ("" leaves it unlabelled)."""
    return Node(
        icon=name,
        icon_size=size,
        color=color or "on_surface_variant",
        width=TOUCH,
        height=TOUCH,
        on_tap=on_tap,
        label=label,
        id=id,
        class_name="ImageButton",
        **box,
    )


def _back(event: Event | None) -> tuple[Node, ...]:
    if event is None:
        return (Node(width=12),)
    return (icon_button("arrow_left", event, "Navigate up", color="on_surface"),)


def top_bar(
    title: str,
    *,
    back: Event | None = None,
    actions: tuple[Node, ...] = (),
    subtitle: str = "",
    fill: str = "",
    leading: Node | None = None,
) -> Node:
    """Return a small app bar of 64 dp; `leading` comes between the back arrow and the title."""
    words = [Node(text=title, style="title_large", lines=1)]
    if subtitle:
        words.append(Node(text=subtitle, style="caption", lines=1))
    middle = Node(children=tuple(words), grow=1, justify="center", padding=(8 if leading else 4, 0, 4, 0))
    parts = (*_back(back), *((leading,) if leading else ()), middle, *actions)
    return Node(children=parts, axis="row", align="center", height=64, padding=(4, 0, 4, 0), fill=fill)


def large_top_bar(title: str, *, back: Event | None = None, actions: tuple[Node, ...] = (), fill: str = "") -> Node:
    """Return a large app bar: the title in a line of its own below the buttons."""
    buttons = Node(children=(*_back(back), spacer(), *actions), axis="row", align="center", height=64)
    heading = Node(text=title, style="headline", lines=1, padding=(12, 4, 12, 20))
    return Node(children=(buttons, heading), padding=(4, 0, 4, 0), fill=fill)


def bottom_nav(items: tuple[tuple[str, str, Event], ...], selected: int) -> Node:
    """Return a navigation bar of (icon, label, event) with the item `selected` marked."""
    cells = []
    for index, (name, label, event) in enumerate(items):
        chosen = index == selected
        mark = Node(
            icon=name,
            color="on_secondary_container" if chosen else "on_surface_variant",
            width=64,
            height=32,
            radius=16,
            fill="secondary_container" if chosen else "",
        )
        color = "on_surface" if chosen else "on_surface_variant"
        caption = Node(text=label, style="label_small", lines=1, text_align="center", color=color)
        cells.append(
            Node(
                children=(mark, caption),
                grow=1,
                align="center",
                justify="center",
                gap=4,
                on_tap=event,
                selected=chosen,
                class_name="Button",
            )
        )
    return Node(children=tuple(cells), axis="row", height=80, fill="surface_container")


def tabs(items: tuple[tuple[str, Event], ...], selected: int) -> Node:
    """Return a row of tabs (label, event) with the tab `selected` underlined."""
    cells = []
    for index, (label, event) in enumerate(items):
        chosen = index == selected
        color = "primary" if chosen else "on_surface_variant"
        caption = Node(text=label, style="label", lines=1, text_align="center", color=color, grow=1)
        line = Node(height=3, width=56, radius=1.5, fill="primary" if chosen else "")
        cells.append(
            Node(children=(caption, line), grow=1, align="center", on_tap=event, selected=chosen, class_name="Button")
        )
    return Node(children=(Node(children=tuple(cells), axis="row", height=48), divider()))
