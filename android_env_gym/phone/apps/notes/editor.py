"""Views of one note: title and text or items, the bars around them, the sheets they open."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.notes.cards import color_sheet
from android_env_gym.phone.apps.notes.palette import background
from android_env_gym.phone.apps.notes.state import (
    AddItem,
    CheckItem,
    DeleteForever,
    Duplicate,
    Item,
    Move,
    Note,
    NotesState,
    OpenLabels,
    Pin,
    RemoveItem,
    SetChecklist,
    Share,
)
from android_env_gym.phone.dates import short_date, time_of_day
from android_env_gym.phone.state import Focus, Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Event, Node

CLOSE = ShowDialog("")
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def view(state: NotesState, context: Context) -> Node:
    """Return the editor of the note whose key is the page's argument."""
    page = context.page
    key = int(page.arg)
    note = state.note(key)
    if note is None and key < state.next_key:
        return w.screen(w.top_bar("", back=Pop()), w.empty_state("lightbulb-outline", "This note was deleted"))
    note = note or Note(key, color=page.field("color"), edited=context.now)
    fill = background(note.color, context.settings.dark_theme, "background")
    if note.place == "trash":
        return _in_trash(note, page, fill)
    words = [_field("title", page.field("title", note.title), "Title", "title_large", on_submit=Focus("body"))]
    if note.checklist:
        words += _items(note, page)
    else:
        words.append(_field("body", page.field("body", note.body), "Note", "body", lines=10))
    if note.labels:
        words.append(w.row(*(_label(label, note) for label in note.labels), gap=8, padding=(20, 8, 20, 8)))
    body = Node(
        children=(w.scroll(*words, id="note", padding=(0, 4, 0, 16)),),
        grow=1,
        on_tap=None if note.checklist else Focus("body"),
    )
    column = w.column(body, _bottom_bar(note, context), grow=1)
    return w.screen(_top_bar(note), column, dialog=_dialog(note, page, context), fill=fill)


def _top_bar(note: Note) -> Node:
    keys = (note.key,)
    archived = note.place == "archive"
    return w.row(
        w.icon_button("arrow-left", Pop(), "Navigate up", color="on_surface"),
        w.spacer(),
        w.icon_button(
            "pin" if note.pinned else "pin-outline", Pin(keys, not note.pinned), "Unpin" if note.pinned else "Pin"
        ),
        w.icon_button(
            "archive-arrow-up-outline" if archived else "archive-arrow-down-outline",
            Move(keys, "notes" if archived else "archive"),
            "Unarchive" if archived else "Archive",
        ),
        height=64,
        padding=(4, 0, 4, 0),
    )


def _bottom_bar(note: Note, context: Context) -> Node:
    edited = f"Edited {_edited(note.edited, context)}"
    return w.row(
        w.icon_button("plus-box-outline", ShowDialog("add"), "Add"),
        w.icon_button("palette-outline", ShowDialog("paint"), "Color"),
        w.text(edited, "caption", grow=1, text_align="center", lines=1),
        Node(width=48),
        w.icon_button("dots-vertical", ShowDialog("more"), "More options"),
        height=52,
        padding=(4, 0, 4, 0),
    )


def _edited(at: int, context: Context) -> str:
    today = at // DAY_MS == context.now // DAY_MS
    return time_of_day(at, context.settings) if today else short_date(at, context.settings)


def _field(
    name: str, value: str, hint: str, style: str, *, lines: int = 1, on_submit: Event | None = None, grow: float = 0
) -> Node:
    """Return a text field without outline; one of several `lines` grows with its text, one with `grow` is an item."""
    multi = lines > 1
    return Node(
        children=(Node(text=value, hint=hint, style=style, grow=1, lines=0 if multi or name == "title" else 1),),
        axis="row",
        align="start" if multi else "center",
        grow=grow,
        padding=(20, 8, 20, 8) if not grow else (8, 0, 8, 0),
        min_height=24.0 * lines if multi else 48,
        field=name,
        text=value,
        hint=hint,
        label="" if grow else hint,
        id=name,
        on_submit=on_submit,
        class_name="EditText",
        lines=lines,
    )


def _label(label: str, note: Note) -> Node:
    return w.chip(label, OpenLabels((note.key,)))


# --- checklists ---


def _items(note: Note, page: Page) -> list[Node]:
    todo = [item for item in note.items if not item.checked]
    done = [item for item in note.items if item.checked]
    rows = [_todo(note, item, page) for item in todo]
    add = w.row(
        Node(icon="plus", width=48, height=48, color="on_surface_variant"),
        w.text("List item", "body", color="on_surface_variant", grow=1),
        padding=(8, 0, 16, 0),
        on_tap=AddItem(note.key),
        class_name="Button",
        id="add_item",
    )
    rows.append(add)
    if not done:
        return rows
    hidden = page.field("hide_checked") == "yes"
    told = f"{len(done)} checked item{'s' if len(done) > 1 else ''}"
    head = w.row(
        Node(icon="chevron-right" if hidden else "chevron-down", width=48, height=48, color="on_surface_variant"),
        w.text(told, "body", color="on_surface_variant", grow=1),
        padding=(8, 0, 16, 0),
        on_tap=SetField("hide_checked", "" if hidden else "yes"),
        class_name="Button",
    )
    return [*rows, head, *(() if hidden else (_done(note, item) for item in done))]


def _todo(note: Note, item: Item, page: Page) -> Node:
    name = f"item{item.key}"
    value = page.field(name, item.text)
    return w.row(
        w.checkbox(False, CheckItem(note.key, item.key, True), f"Check {value}" if value else "Check"),
        _field(name, value, "List item", "body", on_submit=AddItem(note.key), grow=1),
        w.icon_button("close", RemoveItem(note.key, item.key), "Delete item", size=20),
        padding=(8, 0, 8, 0),
    )


def _done(note: Note, item: Item) -> Node:
    return w.row(
        w.checkbox(True, CheckItem(note.key, item.key, False), f"Uncheck {item.text}"),
        w.text(item.text, "body", color="on_surface_variant", grow=1, padding=(8, 0, 8, 0)),
        w.icon_button("close", RemoveItem(note.key, item.key), "Delete item", size=20),
        padding=(8, 0, 8, 0),
    )


# --- what the bars open, and the trash ---


def _dialog(note: Note, page: Page, context: Context) -> Node | None:
    keys = (note.key,)
    if page.dialog == "paint":
        return color_sheet(keys, note.color, context.settings.dark_theme, CLOSE)
    if page.dialog == "more":
        return _sheet(
            ("delete-outline", "Delete", Move(keys, "trash")),
            ("content-copy", "Make a copy", Duplicate(note.key)),
            ("share-variant-outline", "Send", Share(note.key)),
            ("label-outline", "Labels", OpenLabels((note.key,))),
        )
    if page.dialog == "add":
        boxes = ("Hide checkboxes", False) if note.checklist else ("Checkboxes", True)
        return _sheet(("checkbox-marked-outline", boxes[0], SetChecklist(note.key, boxes[1])))
    return None


def _sheet(*entries: tuple[str, str, Event]) -> Node:
    rows = (
        w.list_item(title, leading=w.icon(icon, 24, "on_surface_variant"), on_tap=event, padding=(24, 4, 24, 4))
        for icon, title, event in entries
    )
    return w.bottom_sheet(*rows, dismiss=CLOSE)


def _in_trash(note: Note, page: Page, fill: str) -> Node:
    keys = (note.key,)
    items = [
        w.row(
            w.icon("checkbox-marked" if item.checked else "checkbox_blank_outline", 24, "on_surface_variant"),
            w.text(item.text, "body", grow=1),
            gap=16,
            padding=(20, 8, 20, 8),
        )
        for item in note.items
    ]
    words = (w.text(note.title, "title_large", padding=(20, 8, 20, 12)),) if note.title else ()
    text = (w.text(note.body, "body", padding=(20, 0, 20, 8)),) if note.body else ()
    more = w.icon_button("dots-vertical", ShowDialog("more"), "More options")
    bar = w.top_bar("", back=Pop(), actions=(w.icon_button("restore", Move(keys, "notes"), "Restore"), more))
    notice = w.snackbar("Notes in the trash can\u2019t be edited")
    dialog = None
    if page.dialog == "more":
        dialog = w.menu((("Restore", Move(keys, "notes")), ("Delete forever", ShowDialog("forever"))), dismiss=CLOSE)
    elif page.dialog == "forever":
        buttons = (w.button("Cancel", CLOSE, kind="text"), w.button("Delete", DeleteForever(keys), kind="text"))
        dialog = w.dialog("Delete note forever?", "This can\u2019t be undone.", buttons, dismiss=CLOSE)
    body = w.column(w.scroll(*words, *text, *items, id="note"), notice, grow=1)
    return w.screen(bar, body, dialog=dialog, fill=fill)
