"""Material 3 controls: list rows, switches, checkboxes, buttons, chips, cards, sliders. Import them from `widgets`.

Invariant: a tappable control is at least 48 dp high, and a checkable one is a single accessibility node.
"""

from __future__ import annotations

from typing import Any, Literal

from android_env_gym.phone.ui.node import Art, Event, Node

ButtonKind = Literal["filled", "tonal", "outlined", "text", "elevated", "danger"]
TOUCH = 48.0


# --- rows of lists ---


def list_item(
    title: str,
    subtitle: str = "",
    *,
    leading: Node | None = None,
    trailing: Node | None = None,
    on_tap: Event | None = None,
    on_long_press: Event | None = None,
    id: str = "",
    label: str = "",
    selected: bool = False,
    enabled: bool = True,
    subtitle_lines: int = 2,
    title_style: str = "body",
    **box: Any,
) -> Node:
    """Return a row of a list: title, smaller subtitle, something before and behind; 56 dp high, 72 with a subtitle."""
    words = [Node(text=title, style=title_style, lines=2, enabled=enabled)]
    if subtitle:
        words.append(Node(text=subtitle, style="caption", lines=subtitle_lines, enabled=enabled))
    middle = Node(children=tuple(words), grow=1, justify="center")
    parts = (*((leading,) if leading else ()), middle, *((trailing,) if trailing else ()))
    return Node(
        children=parts,
        axis="row",
        align="center",
        gap=16,
        padding=box.pop("padding", (16, 8, 16, 8)),
        min_height=72 if subtitle else 56,
        on_tap=on_tap,
        on_long_press=on_long_press,
        id=id,
        label=label,
        selected=selected,
        enabled=enabled,
        fill=box.pop("fill", "secondary_container" if selected else ""),
        **box,
    )


def _control_item(title: str, subtitle: str, control: Node, leading: Node | None, class_name: str, **item: Any) -> Node:
    before = control if leading is None and class_name != "Switch" else leading
    behind = None if before is control else control
    return list_item(title, subtitle, leading=before, trailing=behind, checkable=True, class_name=class_name, **item)


def switch(on: bool, on_tap: Event | None, label: str, *, id: str = "", enabled: bool = True) -> Node:
    """Return a switch alone."""
    return Node(
        children=(_switch_art(on, enabled),),
        axis="stack",
        height=TOUCH,
        on_tap=on_tap,
        label=label,
        id=id,
        enabled=enabled,
        checkable=True,
        checked=on,
        class_name="Switch",
    )


def _switch_art(on: bool, enabled: bool) -> Node:
    return Node(art=Art("switch", (int(on),)), width=52, height=32, enabled=enabled, place="center")


def switch_item(
    title: str,
    on: bool,
    on_tap: Event | None,
    subtitle: str = "",
    leading: Node | None = None,
    *,
    id: str = "",
    enabled: bool = True,
) -> Node:
    """Return a row with a switch; the whole row is tapped, and it is one checkable node."""
    control = _switch_art(on, enabled)
    item = {"on_tap": on_tap, "id": id, "enabled": enabled, "checked": on}
    return _control_item(title, subtitle, control, leading, "Switch", **item)


def _box_icon(checked: bool, radio_kind: bool, enabled: bool) -> Node:
    names = ("radiobox_blank", "radiobox_marked") if radio_kind else ("checkbox_blank_outline", "checkbox_marked")
    return Node(icon=names[checked], color="primary" if checked else "on_surface_variant", enabled=enabled)


def checkbox(checked: bool, on_tap: Event | None, label: str, *, id: str = "", enabled: bool = True) -> Node:
    """Return a checkbox alone, 48 x 48 dp."""
    return _bare(_box_icon(checked, False, enabled), checked, on_tap, label, id, enabled, "CheckBox")


def radio(checked: bool, on_tap: Event | None, label: str, *, id: str = "", enabled: bool = True) -> Node:
    """Return a radio button alone, 48 x 48 dp."""
    return _bare(_box_icon(checked, True, enabled), checked, on_tap, label, id, enabled, "RadioButton")


def _bare(mark: Node, checked: bool, on_tap: Event | None, label: str, id: str, enabled: bool, class_name: str) -> Node:
    return Node(
        children=(mark,),
        width=TOUCH,
        height=TOUCH,
        justify="center",
        align="center",
        on_tap=on_tap,
        label=label,
        id=id,
        enabled=enabled,
        checkable=True,
        checked=checked,
        class_name=class_name,
    )


def checkbox_item(
    title: str,
    checked: bool,
    on_tap: Event | None,
    subtitle: str = "",
    leading: Node | None = None,
    *,
    id: str = "",
    enabled: bool = True,
) -> Node:
    """Return a row with a checkbox (in front, or behind if there is a `leading`); the whole row is tapped."""
    item = {"on_tap": on_tap, "id": id, "enabled": enabled, "checked": checked}
    return _control_item(title, subtitle, _box_icon(checked, False, enabled), leading, "CheckBox", **item)


def radio_item(
    title: str,
    checked: bool,
    on_tap: Event | None,
    subtitle: str = "",
    leading: Node | None = None,
    *,
    id: str = "",
    enabled: bool = True,
) -> Node:
    """Return a row with a radio button (in front, or behind if there is a `leading`); the whole row is tapped."""
    item = {"on_tap": on_tap, "id": id, "enabled": enabled, "checked": checked}
    return _control_item(title, subtitle, _box_icon(checked, True, enabled), leading, "RadioButton", **item)


# --- buttons and cards ---

_BUTTONS: dict[str, tuple[str, str, str]] = {
    # kind: fill, ink, border
    "filled": ("primary", "on_primary", ""),
    "tonal": ("secondary_container", "on_secondary_container", ""),
    "outlined": ("", "primary", "outline"),
    "text": ("", "primary", ""),
    "elevated": ("surface_container_low", "primary", ""),
    "danger": ("error", "on_error", ""),
}


def button(
    label: str,
    on_tap: Event | None,
    kind: ButtonKind = "filled",
    *,
    icon: str = "",
    id: str = "",
    enabled: bool = True,
    grow: float = 0,
) -> Node:
    """Return a button: a pill of 40 dp in a touch target of 48."""
    fill, ink, border = _BUTTONS[kind]
    if not enabled:
        fill, ink, border = ("surface_container_highest" if fill else ""), "on_surface", border and "outline_variant"
    side = 12.0 if kind == "text" else 24.0
    parts = (Node(text=label, style="label", color=ink, lines=1, enabled=enabled),)
    if icon:
        parts = (Node(icon=icon, icon_size=18, color=ink, enabled=enabled), *parts)
    pill = Node(
        children=parts,
        axis="row",
        align="center",
        justify="center",
        gap=8,
        grow=1,
        height=40,
        radius=20,
        fill=fill,
        border=border,
        padding=(16 if icon else side, 0, side, 0),
        shadow=1 if kind == "elevated" and enabled else 0,
    )
    return Node(
        children=(pill,),
        axis="row",
        align="center",
        min_height=TOUCH,
        grow=grow,
        on_tap=on_tap,
        id=id,
        enabled=enabled,
        class_name="Button",
    )


def fab(icon: str, on_tap: Event, label: str, *, text: str = "", id: str = "fab") -> Node:
    """Return a floating action button of 56 dp, extended if it has `text`; `label` is read out."""
    ink = "on_primary_container"
    parts = (Node(icon=icon, color=ink),)
    if text:
        parts = (*parts, Node(text=text, style="label", color=ink, lines=1))
    return Node(
        children=parts,
        axis="row",
        align="center",
        justify="center",
        gap=12,
        width=None if text else 56,
        height=56,
        padding=(16, 0, 20, 0) if text else (0, 0, 0, 0),
        radius=16,
        fill="primary_container",
        shadow=3,
        on_tap=on_tap,
        label=label,
        id=id,
        class_name="Button" if text else "ImageButton",
    )


def chip(label: str, on_tap: Event | None = None, selected: bool = False, icon: str = "", *, id: str = "") -> Node:
    """Return a chip of 32 dp in a touch target of 48; a selected one is filled and ticked."""
    ink = "on_secondary_container" if selected else "on_surface_variant"
    mark = "check" if selected else icon
    parts = (Node(text=label, style="label", color=ink, lines=1),)
    if mark:
        parts = (Node(icon=mark, icon_size=18, color=ink), *parts)
    body = Node(
        children=parts,
        axis="row",
        align="center",
        justify="center",
        gap=8,
        grow=1,
        height=32,
        radius=8,
        fill="secondary_container" if selected else "",
        border="" if selected else "outline",
        padding=(8 if mark else 16, 0, 16, 0),
    )
    return Node(
        children=(body,),
        axis="row",
        align="center",
        min_height=TOUCH if on_tap else 32,
        on_tap=on_tap,
        id=id,
        selected=selected,
        class_name="Button" if on_tap else "",
    )


def card(
    *children: Node,
    on_tap: Event | None = None,
    fill: str = "",
    padding: tuple[float, float, float, float] = (16, 16, 16, 16),
    **box: Any,
) -> Node:
    """Return a filled card with rounded corners; `border="outline_variant"` outlines it, `shadow=1` lifts it."""
    more = {"radius": 12.0, **box}
    return Node(children=children, on_tap=on_tap, fill=fill or "surface_container", padding=padding, **more)


def slider(slider_id: str, value: float, label: str, **box: Any) -> Node:
    """Return a slider set to `value` in [0, 1]; dragging or tapping it sends `Slid(slider_id, value)`."""
    shown = min(max(value, 0.0), 1.0)
    return Node(
        art=Art("slider", (round(shown, 2),)),
        height=TOUCH,
        slider=slider_id,
        value=shown,
        label=label,
        id=slider_id,
        class_name="SeekBar",
        **box,
    )
