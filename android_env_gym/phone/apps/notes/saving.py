"""Saving while typing: the drafts of the editor in front become the note; what was left blank goes away.

`Notes.tick` calls both functions after every action, so going back never loses a word.
"""

from __future__ import annotations

import msgspec

from android_env_gym.phone.apps.notes.state import Item, Note, NotesState
from android_env_gym.phone.state import Page

replace = msgspec.structs.replace


def autosave(state: NotesState, page: Page, key: int, now: int) -> NotesState:
    """Return `state` with the drafts of `page`, the editor of note `key`, saved ( -1: no editor is in front)."""
    if key < 0 or not page.fields:
        return state
    old = state.note(key)
    if old is None:
        return _begin(state, page, key, now)
    if old.place == "trash":
        return state
    new = _with_drafts(old, page)
    if new == old:
        return state
    new = replace(new, edited=now)
    return replace(state, notes=tuple(new if item is old else item for item in state.notes))


def _begin(state: NotesState, page: Page, key: int, now: int) -> NotesState:
    """Make the note that a new editor stands for as soon as something is written; a deleted note stays deleted."""
    new = _with_drafts(Note(key, color=page.field("color"), edited=now), page)
    if key != state.next_key or new.is_empty:
        return state
    return replace(state, notes=(new, *state.notes), next_key=key + 1)


def _with_drafts(note: Note, page: Page) -> Note:
    items = tuple(_item(item, page.field(f"item{item.key}", item.text)) for item in note.items)
    body = note.body if note.checklist else page.field("body", note.body)
    return replace(note, title=page.field("title", note.title), body=body, items=items)


def _item(item: Item, text: str) -> Item:
    return item if text == item.text else replace(item, text=text)


def without_blanks(state: NotesState, open_key: int) -> NotesState:
    """Return `state` without blank notes and blank items, except in the note `open_key`, which is being edited."""
    notes = tuple(
        note if note.key == open_key else _without_blank_items(note)
        for note in state.notes
        if note.key == open_key or not note.is_empty
    )
    if len(notes) == len(state.notes) and all(map(_same, notes, state.notes)):
        return state
    return replace(state, notes=notes)


def _same(a: Note, b: Note) -> bool:
    return a is b


def _without_blank_items(note: Note) -> Note:
    if all(item.text for item in note.items):
        return note
    return replace(note, items=tuple(item for item in note.items if item.text))
