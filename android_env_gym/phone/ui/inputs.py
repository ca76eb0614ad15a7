"""Material 3 text fields. Import them from `widgets`.

The node with `field` is the whole outlined box: it is what is tapped, and the EditText of the accessibility
tree. The text inside is drawn by a leaf; a focused leaf shows the caret, a selected one its highlight.
"""

from __future__ import annotations

from msgspec.structs import replace

from android_env_gym.phone.ui.node import Event, Node


def _words(value: str, hint: str, focused: bool, selected: bool, lines: int, style: str = "body") -> Node:
    return Node(
        text=value,
        hint=hint or " ",
        style=style,
        lines=0 if lines > 1 else 1,
        grow=1,
        focused=focused,
        selected=selected and focused,
    )


def text_field(
    field_id: str,
    value: str,
    hint: str = "",
    *,
    label: str = "",
    on_submit: Event | None = None,
    focused: bool = False,
    selected: bool = False,
    password: bool = False,
    lines: int = 1,
    leading_icon: str = "",
    trailing: Node | None = None,
    outlined: bool = True,
) -> Node:
    """Return a text field.

    Args:
        field_id: Id of the field, unique on its page; `Focus(field_id)` follows a tap.
        value: The text.
        hint: Shown grey while the field is empty.
        label: What the field is for; it sits in the outline, or inside while the field is empty and not focused.
        on_submit: Sent by the keyboard's enter key.
        focused: The field has the focus: thick outline and caret.
        selected: All of its text is selected.
        password: Shown as bullets.
        lines: Least height in lines; more than one also lets the text wrap.
        leading_icon: Icon inside, in front of the text.
        trailing: Node inside, behind the text, e.g. an `icon_button`.
        outlined: False draws neither outline nor padding around the text, as in a note editor.
    """
    floats = bool(label) and bool(value or focused or hint)
    inside = hint if floats or not label else label
    words = _words("•" * len(value) if password else value, inside, focused, selected, lines)
    lead = (Node(icon=leading_icon),) if leading_icon else ()
    box = Node(
        children=(*lead, words, *((trailing,) if trailing else ())),
        axis="row",
        align="start" if lines > 1 else "center",
        gap=12,
        padding=_padding(outlined, lines, trailing is not None),
        min_height=max(56.0, 22.0 * lines + 24),
        border=("primary" if focused else "outline") if outlined else "",
        radius=6,
        field=field_id,
        text=value,
        hint=hint or label,
        label=label,
        id=field_id,
        on_submit=on_submit,
        focused=focused,
        selected=selected,
        password=password,
        class_name="EditText",
        lines=lines,
    )
    if not floats or not outlined:
        return box
    color = "primary" if focused else "on_surface_variant"
    caption = Node(text=label, style="caption_small", color=color, fill="background", padding=(4, 0, 4, 0), lines=1)
    tab = Node(children=(caption,), place="top-left", padding=(12, 0, 12, 0))
    return Node(children=(Node(children=(box,), padding=(0, 8, 0, 0)), tab), axis="stack")


def _padding(outlined: bool, lines: int, trailing: bool) -> tuple[float, float, float, float]:
    above = 16.0 if lines > 1 else 4.0
    return (16, above, 4 if trailing else 16, above) if outlined else (0, 8, 0, 8)


def search_bar(
    field_id: str,
    value: str,
    hint: str,
    *,
    on_submit: Event | None = None,
    focused: bool = False,
    selected: bool = False,
    leading: Node | None = None,
    trailing: Node | None = None,
) -> Node:
    """Return a search field: a pill of 56 dp with a magnifier (or `leading`) in front."""
    lead = leading or Node(icon="magnify", width=48, height=48)
    words = _words(value, hint, focused, selected, 1)
    return Node(
        children=(lead, words, *((trailing,) if trailing else ())),
        axis="row",
        align="center",
        gap=4,
        height=56,
        padding=(4, 0, 4 if trailing else 20, 0),
        radius=28,
        fill="surface_container_high",
        field=field_id,
        text=value,
        hint=hint,
        label=hint,
        id=field_id,
        on_submit=on_submit,
        focused=focused,
        selected=selected,
        class_name="EditText",
    )


def with_focus(root: Node, field: str, selected: bool, caret: int) -> Node:
    """Return the view tree with text field `field` shown focused (thick outline, the caret in front of character
    `caret` of its text, -1: behind the last), its text `selected` or not.
    """
    if root.field == field:
        leaves = tuple(
            replace(child, focused=True, selected=selected, caret=caret) if child.text or child.hint else child
            for child in root.children
        )
        return replace(root, children=leaves, focused=True, selected=selected, border=root.border and "primary")
    for index, child in enumerate(root.children):
        changed = with_focus(child, field, selected, caret)
        if changed is not child:
            return replace(root, children=(*root.children[:index], changed, *root.children[index + 1 :]))
    return root
