"""Views of Notes: the grid with its drawer, search, archive, trash, labels; `editor` has the editor."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.notes import editor, label_screens
from android_env_gym.phone.apps.notes.cards import grid, selected_keys, selection_bar, selection_dialog
from android_env_gym.phone.apps.notes.palette import COLORS, background
from android_env_gym.phone.apps.notes.state import (
    DeleteForever,
    GoTo,
    NewNote,
    Note,
    NotesState,
    OpenLabels,
    SetColumns,
    StartSearch,
)
from android_env_gym.phone.state import Open, Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Event, Node

CLOSE = ShowDialog("")


def view(state: NotesState, context: Context) -> Node:
    """Return the view of the page in front."""
    page = context.page
    match page.name:
        case "edit":
            return editor.view(state, context)
        case "labels":
            return label_screens.picker(state, page)
        case "edit_labels":
            return label_screens.edit(state, page)
        case "search":
            return _search(state, context)
        case _:
            return _section(state, context)


def _section(state: NotesState, context: Context) -> Node:
    page = context.page
    notes = _notes_of(state, page)
    chosen = _selection(state, page)
    empty_icon, told = _EMPTY[page.name]
    parts = [grid(notes, state, context) if notes else w.empty_state(empty_icon, told)]
    if page.name == "trash" and notes:
        told = "Notes in the trash are deleted after 7 days"
        parts.insert(0, w.text(told, "caption", text_align="center", padding=(24, 8, 24, 12)))
    top = selection_bar(chosen) if chosen else _bar(state, page)
    dialog = selection_dialog(page, context) if chosen else _dialog(state, page)
    if page.name not in ("main", "label"):
        return w.screen(top, w.column(*parts, grow=1), dialog=dialog)
    parts.append(_bottom_bar())
    new = w.fab("plus", NewNote(), "New note")
    return w.screen(top, w.column(*parts, grow=1), fab=None if chosen else new, dialog=dialog)


_EMPTY = {
    "main": ("lightbulb-outline", "Notes you add appear here"),
    "archive": ("archive-arrow-down-outline", "Your archived notes appear here"),
    "trash": ("delete-outline", "No notes in the trash"),
    "label": ("label-outline", "No notes with this label yet"),
}


def _notes_of(state: NotesState, page: Page) -> list[Note]:
    if page.name == "label":
        return [note for note in state.notes if page.arg in note.labels and note.place == "notes"]
    place = page.name if page.name in ("archive", "trash") else "notes"
    return [note for note in state.notes if note.place == place and not note.is_empty]


def _selection(state: NotesState, page: Page) -> tuple[Note, ...]:
    found = (state.note(key) for key in selected_keys(page))
    return tuple(note for note in found if note is not None)


def _bar(state: NotesState, page: Page) -> Node:
    columns = w.icon_button(
        "view-grid-outline" if state.one_column else "view-agenda-outline",
        SetColumns(not state.one_column),
        "Multi-column view" if state.one_column else "Single-column view",
    )
    menu = w.icon_button("menu", ShowDialog("drawer"), "Open navigation drawer", color="on_surface")
    if page.name == "main":
        return _search_pill(menu, columns)
    title = page.arg if page.name == "label" else page.name.capitalize()
    search = w.icon_button("magnify", StartSearch(), "Search")
    more = w.icon_button("dots-vertical", ShowDialog("menu"), "More options")
    actions = (more,) if page.name == "trash" else (search, columns)
    words = w.text(title, "title_large", lines=1, grow=1, padding=(4, 0, 4, 0))
    return w.row(menu, words, *actions, height=64, padding=(4, 0, 4, 0))


def _search_pill(menu: Node, columns: Node) -> Node:
    words = w.text("Search your notes", "body", color="on_surface_variant", lines=1, grow=1)
    pill = w.row(
        menu,
        words,
        columns,
        Node(children=(w.avatar("Me", 32, "#8c6d00"),), padding=(4, 0, 8, 0)),
        height=56,
        radius=28,
        fill="surface_container_high",
        padding=(4, 0, 4, 0),
        on_tap=StartSearch(),
        label="Search your notes",
        id="search",
    )
    return Node(padding=(12, 8, 12, 8), children=(pill,))


def _bottom_bar() -> Node:
    return w.row(
        w.icon_button("checkbox-marked-outline", NewNote(checklist=True), "New list"),
        height=80,
        padding=(8, 0, 8, 0),
        fill="surface_container",
    )


# --- drawer, menus ---


def _dialog(state: NotesState, page: Page) -> Node | None:
    if page.dialog == "drawer":
        return _drawer(state, page)
    if page.dialog == "menu":
        return w.menu((("Empty trash", ShowDialog("empty")),), dismiss=CLOSE)
    if page.dialog == "empty":
        buttons = (w.button("Cancel", CLOSE, kind="text"), w.button("Empty trash", DeleteForever(), kind="text"))
        return w.dialog("Empty trash?", "All notes in the trash will be deleted for good.", buttons, dismiss=CLOSE)
    return None


def _drawer(state: NotesState, page: Page) -> Node:
    def entry(icon: str, title: str, event: Event, on: bool = False) -> Node:
        pill = {"radius": 28.0, "padding": (16, 8, 16, 8)}
        return w.list_item(title, leading=w.icon(icon, 24, "on_surface"), on_tap=event, selected=on, **pill)

    labels = [
        entry("label-outline", label, GoTo("label", label), (page.name, page.arg) == ("label", label))
        for label in state.labels
    ]
    entries = w.scroll(
        w.text("Notes", "headline_small", padding=(16, 20, 16, 16)),
        entry("lightbulb-outline", "All notes", GoTo("main"), page.name == "main"),
        w.section("Labels"),
        *labels,
        entry("plus", "Edit labels", OpenLabels()),
        w.divider(),
        entry("archive-arrow-down-outline", "Archive", GoTo("archive"), page.name == "archive"),
        entry("delete-outline", "Trash", GoTo("trash"), page.name == "trash"),
        entry("cog-outline", "Settings", Open(Page("settings", "app", "notes"))),
        id="drawer",
        padding=(12, 0, 12, 16),
    )
    panel = Node(children=(entries,), width=296, fill="surface_container_low", class_name="FrameLayout")
    return Node(axis="row", align="stretch", modal=True, on_tap=CLOSE, children=(panel, Node(grow=1)))


# --- search ---


def _search(state: NotesState, context: Context) -> Node:
    page = context.page
    query, color = page.field("query").strip().casefold(), page.field("in_color")
    chosen = _selection(state, page)
    back = w.icon_button("arrow-left", Pop(), "Navigate up", color="on_surface")
    clear = (
        w.icon_button("close", SetField("in_color", "") if color else SetField("query", ""), "Clear")
        if query or color
        else None
    )
    field = w.search_bar("query", page.field("query"), "Search your notes", leading=back, trailing=clear)
    top = selection_bar(chosen) if chosen else Node(padding=(12, 8, 12, 8), children=(field,))
    found = [
        note for note in state.notes if note.place != "trash" and note.mentions(query) and color in ("", note.color)
    ]
    if not query and not color:
        body = _search_start(state, context)
    elif found:
        body = grid(found, state, context)
    else:
        body = w.empty_state("magnify", "No matching notes")
    return w.screen(top, body, dialog=selection_dialog(page, context) if chosen else None)


def _search_start(state: NotesState, context: Context) -> Node:
    used = [name for name in COLORS if any(note.color == name for note in state.notes)]
    discs = [
        Node(
            width=48,
            height=48,
            radius=24,
            fill=background(name, context.settings.dark_theme),
            on_tap=SetField("in_color", name),
            label=name.capitalize(),
        )
        for name in used
    ]
    chips = [w.chip(label, SetField("query", label), icon="label-outline") for label in state.labels]
    return w.scroll(
        w.section("Labels"),
        w.scroll_row(*chips, id="labels") if chips else w.text("No labels yet", "caption", padding=(16, 0, 16, 0)),
        w.section("Colors"),
        w.scroll_row(*discs, id="colors", gap=12) if discs else Node(height=8),
        id="start",
    )
