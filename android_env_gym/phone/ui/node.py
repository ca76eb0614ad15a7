"""The view tree: what an app's `view` returns and what layout, painting, hit test and accessibility read.

A `Node` is an immutable value; sizes are in dp (360 dp across the canonical 540-pixel screen). Nodes
carry event *values*, never closures, so equal states give equal trees.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Base of everything that can happen to the phone. Apps subclass it with their own fields."""


class Slid(Event, frozen=True):
    """A slider with id `slider` was set to `value` in [0, 1]."""

    slider: str
    value: float


class Art(msgspec.Struct, frozen=True):
    """A picture drawn by name: `kind` selects a painter in `ui.art`, `args` are its parameters.

    E.g. `Art("product", ("headphones", "#3355aa"))`, `Art("analog_clock", (7, 30))`, `Art("wallpaper", (3,))`.
    """

    kind: str
    args: tuple[str | int | float, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One box of the screen: a container of `children` along `axis`, or a leaf with `text`, `icon` or `art`.

    Layout is a small flexbox: `width`/`height` fix a size in dp, `grow` shares what is left along the
    parent's axis, `align` places children across the axis, `justify` along it. `axis="stack"` lays
    children over each other, each aligned by its own `place` (e.g. "bottom-right").
    A node with `scroll` (an id) clips and scrolls its column, which begins at its end if `from_end`; with
    `slider` it is dragged; with `field` it is an editable text field whose shown value is `text` and whose
    placeholder is `hint`.
    """

    children: tuple[Node, ...] = ()
    axis: Literal["column", "row", "stack"] = "column"
    # content of a leaf
    text: str = ""
    hint: str = ""
    style: str = "body"
    icon: str = ""
    icon_size: float = 24.0
    art: Art | None = None
    lines: int = 0
    text_align: Literal["start", "center", "end"] = "start"
    # box, in dp
    width: float | None = None
    height: float | None = None
    min_height: float = 0.0
    grow: float = 0.0
    padding: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    gap: float = 0.0
    align: Literal["start", "center", "end", "stretch"] = "stretch"
    justify: Literal["start", "center", "end", "between"] = "start"
    place: str = "fill"
    # look: a colour role of the theme ("primary", "on_surface", ...) or "#rrggbb"
    color: str = ""
    fill: str = ""
    border: str = ""
    radius: float = 0.0
    shadow: int = 0
    # behaviour
    on_tap: Event | None = None
    on_long_press: Event | None = None
    on_submit: Event | None = None
    on_swipe_left: Event | None = None
    on_swipe_right: Event | None = None
    on_swipe_up: Event | None = None
    on_swipe_down: Event | None = None
    field: str = ""
    slider: str = ""
    value: float = 0.0
    scroll: str = ""
    from_end: bool = False
    modal: bool = False
    # accessibility
    id: str = ""
    label: str = ""
    class_name: str = ""
    checkable: bool = False
    checked: bool = False
    selected: bool = False
    focused: bool = False
    caret: int = -1
    enabled: bool = True
    password: bool = False
