"""Data and events of Notes.

Invariant: the order of `NotesState.notes` is the order on the screen (pinned ones first); a note without
any text exists only while its editor is open.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event

Place = Literal["notes", "archive", "trash"]


class Item(msgspec.Struct, frozen=True):
    """One line of a checklist; `key` is unique within its note."""

    key: int
    text: str
    checked: bool = False


class Note(msgspec.Struct, frozen=True):
    """One note: a text, or a checklist if `checklist`.

    `color` is a name of `palette.COLORS` ("" for none), `edited` virtual milliseconds since the epoch.
    """

    key: int
    title: str = ""
    body: str = ""
    items: tuple[Item, ...] = ()
    checklist: bool = False
    color: str = ""
    pinned: bool = False
    place: Place = "notes"
    labels: tuple[str, ...] = ()
    edited: int = 0

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is written in it."""
        return not (self.title or self.body or any(item.text for item in self.items))

    def mentions(self, query: str) -> bool:
        """Return whether `query` (case-folded) occurs in its title, text, items or labels."""
        words = (self.title, self.body, *(item.text for item in self.items), *self.labels)
        return any(query in part.casefold() for part in words)


class NotesState(AppState, frozen=True, tag="notes"):
    """All notes, all labels, the next free key, and whether lists show one column instead of two."""

    notes: tuple[Note, ...] = ()
    labels: tuple[str, ...] = ()
    next_key: int = 0
    one_column: bool = False

    def note(self, key: int) -> Note | None:
        """Return the note with this key."""
        return next((item for item in self.notes if item.key == key), None)


class NewNote(Event, frozen=True):
    """Open the editor of a new note, or of a new checklist."""

    checklist: bool = False


class StartSearch(Event, frozen=True):
    """Open the search page with the keyboard."""


class GoTo(Event, frozen=True):
    """Leave the drawer for a section: "main" | "archive" | "trash" | "label" with its name."""

    page: str
    label: str = ""


class OpenLabels(Event, frozen=True):
    """Close menu or drawer and open the labels of notes; with no keys, the page that edits labels."""

    keys: tuple[int, ...] = ()


class Pin(Event, frozen=True):
    """Pin or unpin notes."""

    keys: tuple[int, ...]
    pinned: bool


class Move(Event, frozen=True):
    """Move notes to the archive, to the trash or back to the notes."""

    keys: tuple[int, ...]
    place: Place


class Paint(Event, frozen=True):
    """Give notes a colour."""

    keys: tuple[int, ...]
    color: str


class Tag(Event, frozen=True):
    """Put a label on notes or take it off."""

    keys: tuple[int, ...]
    label: str
    on: bool


class Duplicate(Event, frozen=True):
    """Make a copy of a note."""

    key: int


class Share(Event, frozen=True):
    """Send a note as a text message: Messages asks to whom."""

    key: int


class DeleteForever(Event, frozen=True):
    """Delete notes that are in the trash; with no keys, all of them."""

    keys: tuple[int, ...] = ()


class AddItem(Event, frozen=True):
    """Append an empty item to a checklist and put the cursor there."""

    key: int


class CheckItem(Event, frozen=True):
    """Check an item of a checklist off, or on again."""

    key: int
    item: int
    checked: bool


class RemoveItem(Event, frozen=True):
    """Delete an item of a checklist."""

    key: int
    item: int


class SetChecklist(Event, frozen=True):
    """Turn the lines of a note into checkable items, or items back into lines."""

    key: int
    on: bool


class SetColumns(Event, frozen=True):
    """Show lists of notes in one column or in two."""

    one: bool


class CreateLabel(Event, frozen=True):
    """Create the label typed into the page in front; notes `keys` get it."""

    keys: tuple[int, ...] = ()


class DeleteLabel(Event, frozen=True):
    """Delete a label everywhere."""

    label: str
