"""The Notes app: its update. Notes are saved as they are typed, by `tick`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from android_env_gym.phone.app import App, Context
from android_env_gym.phone.apps.notes import screens
from android_env_gym.phone.apps.notes.samples import LABELS, LONG_NOTES, TITLES, draw_note
from android_env_gym.phone.apps.notes.saving import autosave, without_blanks
from android_env_gym.phone.apps.notes.state import (
    AddItem,
    CheckItem,
    CreateLabel,
    DeleteForever,
    DeleteLabel,
    Duplicate,
    GoTo,
    Item,
    Move,
    NewNote,
    Note,
    NotesState,
    OpenLabels,
    Paint,
    Pin,
    RemoveItem,
    SetChecklist,
    SetColumns,
    Share,
    StartSearch,
    Tag,
)
from android_env_gym.phone.state import Focus, Open, Page, Pop, Replace, SetField, ShowDialog, Toast
from android_env_gym.phone.ui.node import Event, Node

replace = msgspec.structs.replace
Updated = tuple[NotesState, tuple[Event, ...]]


class Notes(App[NotesState]):
    """Notes and checklists: colours, pins, labels, search, archive, trash."""

    id = "notes"
    title = "Notes"
    package = "com.google.android.keep"
    icon = "lightbulb-outline"
    color = "#f9ab00"
    state_type = NotesState

    def initial(self, rng: np.random.Generator, now: int) -> NotesState:
        """Return 9 to 14 notes, some pinned, one or two long, and a few archived or deleted ones."""
        order = rng.permutation(len(TITLES))[: int(rng.integers(12, 18))]
        notes = [draw_note(rng, key, TITLES[index], now) for key, index in enumerate(order)]
        longer = rng.permutation(tuple(LONG_NOTES))[: int(rng.integers(1, 3))].tolist()
        for index, title in zip(rng.permutation(len(notes)), longer, strict=False):
            notes[index] = replace(notes[index], title=title, body=LONG_NOTES[title], items=(), checklist=False)
        notes[0], notes[1] = replace(notes[0], place="archive"), replace(notes[1], place="trash")
        notes[2] = replace(notes[2], place="archive" if rng.random() < 0.5 else "trash")
        if rng.random() < 0.7:
            notes[3] = replace(notes[3], pinned=True)
        return NotesState(tuple(notes), LABELS[:3], len(notes))

    def view(self, state: NotesState, context: Context) -> Node:
        """Return the page in front."""
        return screens.view(state, context)

    def update(self, state: NotesState, event: Event, context: Context) -> Updated:
        """Open pages, change notes, items and labels."""
        handler = _HANDLERS.get(type(event))
        return (state, ()) if handler is None else handler(state, event, context)

    def tick(self, state: NotesState, context: Context) -> Updated:
        """Save what is typed in the editor in front; drop notes and items left blank."""
        page = context.page
        if page.app != "notes":
            return state, ()
        key = int(page.arg) if page.name == "edit" else -1
        return without_blanks(autosave(state, page, key, context.now), key), ()

    def sheet(self, state: NotesState) -> tuple[Page, ...]:
        """Return the grid, selecting, drawer, search, editors with their sheets, labels, archive, trash."""
        shown = [item for item in state.notes if item.place == "notes"]
        text = next(str(item.key) for item in shown if not item.checklist)
        listed = next((str(item.key) for item in shown if item.checklist), text)
        chosen = (("dialog_arg", f"{shown[0].key},{shown[2].key}"),)
        return (
            Page("notes"),
            Page("notes", dialog="select", fields=chosen),
            Page("notes", dialog="paint", fields=chosen),
            Page("notes", dialog="drawer"),
            Page("notes", "search"),
            Page("notes", "edit", text),
            Page("notes", "edit", text, dialog="more"),
            Page("notes", "edit", listed),
            Page("notes", "edit", listed, dialog="paint"),
            Page("notes", "labels", text),
            Page("notes", "edit_labels"),
            Page("notes", "archive"),
            Page("notes", "trash"),
        )


def _change(state: NotesState, keys: tuple[int, ...], change: Callable[[Note], Note]) -> NotesState:
    return replace(state, notes=tuple(change(item) if item.key in keys else item for item in state.notes))


def _new_note(state: NotesState, event: NewNote, context: Context) -> Updated:
    page = Page("notes", "edit", str(state.next_key))
    if not event.checklist:
        return state, (Open(page), Focus("body"))
    blank = Note(state.next_key, items=(Item(0, ""),), checklist=True, edited=context.now)
    after = replace(state, notes=(blank, *state.notes), next_key=state.next_key + 1)
    return after, (Open(page), Focus("item0"))


def _start_search(state: NotesState, event: StartSearch, context: Context) -> Updated:
    return state, (Open(Page("notes", "search")), Focus("query"))


def _go_to(state: NotesState, event: GoTo, context: Context) -> Updated:
    if event.page == "main":
        return state, (Pop() if context.page.name != "main" else ShowDialog(""),)
    page = Page("notes", event.page, event.label)
    if context.page.name != "main":
        return state, (Replace(page),)
    return state, (ShowDialog(""), Open(page))


def _open_labels(state: NotesState, event: OpenLabels, context: Context) -> Updated:
    arg = ",".join(map(str, event.keys))
    return state, (ShowDialog(""), Open(Page("notes", "labels" if arg else "edit_labels", arg)))


def _pin(state: NotesState, event: Pin, context: Context) -> Updated:
    def change(note: Note) -> Note:
        return replace(note, pinned=event.pinned, place="notes" if event.pinned else note.place)

    return _change(state, event.keys, change), (ShowDialog(""),)


_TOLD = {
    ("notes", "archive"): "archived",
    ("notes", "trash"): "moved to trash",
    ("archive", "trash"): "moved to trash",
    ("archive", "notes"): "unarchived",
    ("trash", "notes"): "restored",
}


def _move(state: NotesState, event: Move, context: Context) -> Updated:
    moved = [item for item in state.notes if item.key in event.keys]
    if not moved:
        return state, (ShowDialog(""), Toast("This note is empty"))
    told = f"{_count(len(moved))} {_TOLD.get((moved[0].place, event.place), 'moved')}"
    after = _change(state, event.keys, lambda note: replace(note, place=event.place, pinned=False))
    leave = Pop() if context.page.name == "edit" else ShowDialog("")
    return after, (leave, Toast(told))


def _count(number: int) -> str:
    return "Note" if number == 1 else f"{number} notes"


def _paint(state: NotesState, event: Paint, context: Context) -> Updated:
    stay = (SetField("color", event.color),) if context.page.name == "edit" else (ShowDialog(""),)
    return _change(state, event.keys, lambda note: replace(note, color=event.color)), stay


def _tag(state: NotesState, event: Tag, context: Context) -> Updated:
    def change(note: Note) -> Note:
        rest = tuple(label for label in note.labels if label != event.label)
        return replace(note, labels=(*rest, event.label) if event.on else rest)

    return _change(state, event.keys, change), ()


def _duplicate(state: NotesState, event: Duplicate, context: Context) -> Updated:
    note = state.note(event.key)
    if note is None:
        return state, (ShowDialog(""), Toast("This note is empty"))
    twin = replace(note, key=state.next_key, pinned=False, edited=context.now)
    after = replace(state, notes=(twin, *state.notes), next_key=state.next_key + 1)
    return after, (ShowDialog(""), Toast("Copy of the note created"))


def _share(state: NotesState, event: Share, context: Context) -> Updated:
    note = state.note(event.key)
    if note is None:
        return state, (ShowDialog(""), Toast("This note is empty"))
    lines = (note.title, note.body, *(item.text for item in note.items))
    words = " ".join(line for line in lines if line)
    return state, (ShowDialog(""), Open(Page("messages", "new", fields=(("draft", words),))))


def _delete_forever(state: NotesState, event: DeleteForever, context: Context) -> Updated:
    gone = event.keys or tuple(item.key for item in state.notes)
    kept = tuple(item for item in state.notes if item.place != "trash" or item.key not in gone)
    leave = Pop() if context.page.name == "edit" else ShowDialog("")
    return replace(state, notes=kept), (leave,)


def _add_item(state: NotesState, event: AddItem, context: Context) -> Updated:
    note = state.note(event.key)
    if note is None:
        return state, ()
    fresh = max((item.key for item in note.items), default=-1) + 1
    after = _change(state, (event.key,), lambda old: replace(old, items=(*old.items, Item(fresh, ""))))
    return after, (SetField(f"item{fresh}", ""), Focus(f"item{fresh}"))


def _check_item(state: NotesState, event: CheckItem, context: Context) -> Updated:
    def change(note: Note) -> Note:
        items = tuple(replace(item, checked=event.checked) if item.key == event.item else item for item in note.items)
        return replace(note, items=items, edited=context.now)

    return _change(state, (event.key,), change), ()


def _remove_item(state: NotesState, event: RemoveItem, context: Context) -> Updated:
    def change(note: Note) -> Note:
        items = tuple(item for item in note.items if item.key != event.item)
        return replace(note, items=items, edited=context.now)

    return _change(state, (event.key,), change), (Focus(""),)


def _set_checklist(state: NotesState, event: SetChecklist, context: Context) -> Updated:
    note = state.note(event.key)
    if note is None:
        return state, (ShowDialog(""), Toast("Write something first"))
    if event.on:
        items = tuple(Item(index, line) for index, line in enumerate(note.body.split("\n")) if line)
        new, drafts = (
            replace(note, body="", items=items, checklist=True),
            {f"item{item.key}": item.text for item in items},
        )
    else:
        body = "\n".join(item.text for item in note.items)
        new, drafts = replace(note, body=body, items=(), checklist=False), {"body": body}
    told = tuple(SetField(name, text) for name, text in drafts.items())
    return _change(state, (event.key,), lambda _: new), (ShowDialog(""), *told)


def _set_columns(state: NotesState, event: SetColumns, context: Context) -> Updated:
    return replace(state, one_column=event.one), ()


def _create_label(state: NotesState, event: CreateLabel, context: Context) -> Updated:
    name = context.page.field("new_label").strip()
    if not name or name in state.labels:
        return state, (Toast("This label already exists"),) if name else ()
    after = replace(state, labels=(*state.labels, name))
    return _tag(after, Tag(event.keys, name, True), context)[0], (SetField("new_label", ""),)


def _delete_label(state: NotesState, event: DeleteLabel, context: Context) -> Updated:
    labels = tuple(label for label in state.labels if label != event.label)
    tagged = tuple(item.key for item in state.notes if event.label in item.labels)
    after, _ = _tag(replace(state, labels=labels), Tag(tagged, event.label, False), context)
    return after, (ShowDialog(""),)


_HANDLERS: dict[type[Event], Callable[[NotesState, Any, Context], Updated]] = {
    NewNote: _new_note,
    StartSearch: _start_search,
    GoTo: _go_to,
    OpenLabels: _open_labels,
    Pin: _pin,
    Move: _move,
    Paint: _paint,
    Tag: _tag,
    Duplicate: _duplicate,
    Share: _share,
    DeleteForever: _delete_forever,
    AddItem: _add_item,
    CheckItem: _check_item,
    RemoveItem: _remove_item,
    SetChecklist: _set_checklist,
    SetColumns: _set_columns,
    CreateLabel: _create_label,
    DeleteLabel: _delete_label,
}
