"""Cards of notes: the grid (or list) that all lists of notes share, and the bar shown while some are selected.

While notes are selected the page's dialog is "select" and its field `dialog_arg` holds their keys, so that
back ends the selection.
"""

from __future__ import annotations

from collections.abc import Sequence

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.notes.palette import COLORS, background
from android_env_gym.phone.apps.notes.state import (
    DeleteForever,
    Duplicate,
    Item,
    Move,
    Note,
    NotesState,
    OpenLabels,
    Paint,
    Pin,
)
from android_env_gym.phone.state import Open, Page, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Event, Node

CARD_ITEMS = 6
CARD_LINES = 8
GAP = 8.0
_CHARACTERS_PER_LINE = {False: 20, True: 44}
_SELECTING = ("select", "paint", "select_menu")


def selected_keys(page: Page) -> tuple[int, ...]:
    """Return the keys of the selected notes, in the order of selection."""
    if page.dialog not in _SELECTING or page.name == "edit":
        return ()
    return tuple(int(key) for key in page.field("dialog_arg").split(",") if key)


def joined(keys: Sequence[int]) -> str:
    """Return keys as they are written into `dialog_arg`."""
    return ",".join(map(str, keys))


def grid(notes: Sequence[Note], state: NotesState, context: Context) -> Node:
    """Return the notes as cards: a section of pinned ones, then the others, in one or two columns."""
    pinned = [note for note in notes if note.pinned]
    others = [note for note in notes if not note.pinned]
    parts: list[Node] = []
    if pinned:
        parts += [_heading("Pinned"), _columns(pinned, state, context)]
        if others:
            parts.append(_heading("Others"))
    if others:
        parts.append(_columns(others, state, context))
    return w.scroll(*parts, padding=(GAP, 4, GAP, 16), id="notes")


def _heading(title: str) -> Node:
    return Node(text=title, style="label", color="on_surface_variant", padding=(8, 8, 8, 8), lines=1)


def _columns(notes: Sequence[Note], state: NotesState, context: Context) -> Node:
    """Place each card into the column that is shorter so far, as Keep's staggered grid does."""
    chosen = selected_keys(context.page)
    if state.one_column:
        return w.column(*(_card(note, chosen, context, True) for note in notes), gap=GAP)
    sides: tuple[list[Node], list[Node]] = ([], [])
    heights = [0.0, 0.0]
    for note in notes:
        side = int(heights[1] < heights[0])
        sides[side].append(_card(note, chosen, context, False))
        heights[side] += card_height(note) + GAP
    return w.row(*(w.column(*cards, grow=1, gap=GAP) for cards in sides), gap=GAP, align="start")


def card_height(note: Note) -> float:
    """Return about how high (dp) the note's card is in two columns."""
    lines = min(CARD_LINES, 1 + len(note.body) // _CHARACTERS_PER_LINE[False]) if note.body else 0
    items = min(CARD_ITEMS, len([item for item in note.items if not item.checked]))
    more = 20.0 * (any(item.checked for item in note.items) + 1.6 * bool(note.labels))
    return 20 + 26.0 * bool(note.title) + 20.0 * lines + 22.0 * items + more


def _card(note: Note, chosen: tuple[int, ...], context: Context, wide: bool) -> Node:
    dark = context.settings.dark_theme
    is_chosen = note.key in chosen
    tint = background(note.color, dark)
    parts: list[Node] = []
    if note.title:
        parts.append(w.text(note.title, "title", lines=2))
    if note.body:
        parts.append(w.text(note.body, "body_small", lines=CARD_LINES))
    parts += _card_items(note)
    if note.labels:
        parts.append(w.row(*(_label(label, bool(tint)) for label in note.labels[:3]), gap=6, padding=(0, 6, 0, 2)))
    if chosen:
        rest = tuple(key for key in chosen if key != note.key) if is_chosen else (*chosen, note.key)
        on_tap: Event = ShowDialog("select", joined(rest)) if rest else ShowDialog("")
    else:
        on_tap = Open(Page("notes", "edit", str(note.key)))
    return Node(
        children=tuple(parts) or (w.text("Empty note", "body_small", color="on_surface_variant"),),
        gap=2,
        padding=(14, 10, 14, 10),
        radius=12,
        min_height=48,
        fill=tint or "background",
        border="primary" if is_chosen else ("outline_variant" if not tint else ""),
        selected=is_chosen,
        on_tap=on_tap,
        on_long_press=on_tap if chosen else ShowDialog("select", str(note.key)),
        id=f"note{note.key}",
    )


def _card_items(note: Note) -> list[Node]:
    todo = [item for item in note.items if not item.checked]
    rows = [_card_item(item) for item in todo[:CARD_ITEMS]]
    done = len(note.items) - len(todo)
    hidden = len(todo) - CARD_ITEMS
    if hidden > 0:
        rows.append(w.text("\u2026", "body_small"))
    if done:
        told = "item" if done == 1 else "items"
        rows.append(w.text(f"+ {done} checked {told}", "caption_small"))
    return rows


def _card_item(item: Item) -> Node:
    box = w.icon("checkbox_blank_outline", 18, "on_surface_variant")
    return w.row(box, w.text(item.text, "body_small", lines=1, grow=1), gap=8, min_height=20)


def _label(label: str, on_color: bool) -> Node:
    words = w.text(label, "label_small", color="on_surface_variant", lines=1)
    fill = "background" if on_color else "surface_variant"
    return Node(children=(words,), fill=fill, radius=10, padding=(8, 2, 8, 2))


# --- the bar over selected notes and what it opens ---


def selection_bar(notes: tuple[Note, ...]) -> Node:
    """Return the contextual bar: close, how many, and what can be done with the selected `notes`."""
    keys = tuple(note.key for note in notes)
    place = notes[0].place
    return w.row(
        w.icon_button("close", ShowDialog(""), "Clear selection", color="on_surface"),
        w.text(str(len(notes)), "title_large", grow=1, padding=(8, 0, 0, 0)),
        *(_trash_actions(keys) if place == "trash" else _actions(notes, keys, place)),
        height=64,
        padding=(4, 0, 4, 0),
        fill="surface_container_high",
    )


def _trash_actions(keys: tuple[int, ...]) -> tuple[Node, ...]:
    return (
        w.icon_button("restore", Move(keys, "notes"), "Restore"),
        w.icon_button("delete-forever-outline", DeleteForever(keys), "Delete forever"),
    )


def _actions(notes: tuple[Note, ...], keys: tuple[int, ...], place: str) -> tuple[Node, ...]:
    pinned = all(note.pinned for note in notes)
    archived = place == "archive"
    return (
        w.icon_button("pin" if pinned else "pin-outline", Pin(keys, not pinned), "Unpin" if pinned else "Pin"),
        w.icon_button("palette-outline", ShowDialog("paint", joined(keys)), "Color"),
        w.icon_button(
            "archive-arrow-up-outline" if archived else "archive-arrow-down-outline",
            Move(keys, "notes" if archived else "archive"),
            "Unarchive" if archived else "Archive",
        ),
        w.icon_button("delete-outline", Move(keys, "trash"), "Delete"),
        w.icon_button("dots-vertical", ShowDialog("select_menu", joined(keys)), "More options"),
    )


def selection_dialog(page: Page, context: Context) -> Node | None:
    """Return what the contextual bar has opened: the colours or the menu."""
    keys = selected_keys(page)
    back = ShowDialog("select", joined(keys))
    if page.dialog == "paint":
        return color_sheet(keys, "", context.settings.dark_theme, back)
    if page.dialog != "select_menu":
        return None
    items: tuple[tuple[str, Event], ...] = (("Labels", OpenLabels(keys)),)
    if len(keys) == 1:
        items = (*items, ("Make a copy", Duplicate(keys[0])))
    return w.menu(items, dismiss=back)


def color_sheet(keys: tuple[int, ...], color: str, dark: bool, dismiss: Event) -> Node:
    """Return the colour picker: a disc for no colour and one per colour, `color` ticked."""
    discs = [_disc(keys, name, color, dark) for name in ("", *COLORS)]
    half = (len(discs) + 1) // 2
    rows = (w.row(*line, justify="between") for line in (discs[:half], [*discs[half:], Node(width=48, height=48)]))
    return w.bottom_sheet(w.column(*rows, gap=8, padding=(20, 0, 20, 8)), dismiss=dismiss, title="Color")


def _disc(keys: tuple[int, ...], name: str, color: str, dark: bool) -> Node:
    mark = "check" if name == color else ("format-color-marker-cancel" if not name else "")
    face = Node(
        icon=mark,
        icon_size=22,
        color="on_surface",
        width=42,
        height=42,
        radius=21,
        fill=background(name, dark, "background"),
        border="primary" if name == color else "outline_variant",
        place="center",
    )
    return Node(
        axis="stack",
        width=48,
        height=48,
        on_tap=Paint(keys, name),
        label=name.capitalize() or "Default",
        selected=name == color,
        class_name="ImageButton",
        children=(face,),
    )
