"""Notes: saving while typing, checklists, selecting several, archive and trash, search, labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from android_env_gym.actions import LongPress, OpenApp, PressKey, TypeText
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.apps.notes.samples import LABELS, LISTS, SAMPLES, draw_note
from android_env_gym.phone.apps.notes.state import Item, Note, NotesState
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.diff import diff
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.tasks.pilot import Pilot

NOTES = (
    Note(0, "Rent", "Due on the first"),
    Note(1, "Groceries", items=(Item(0, "Milk"), Item(1, "Bread"), Item(2, "Salt", True)), checklist=True),
    Note(2, "Poem", "The fog comes on little cat feet", color="blue", labels=("Home",)),
    Note(3, "Taxes", "Find the receipts", place="archive"),
    Note(4, "Jokes", "Why did the tomato blush?", place="trash"),
)


class Session:
    """A phone with Notes open, and short names for what a person does and sees."""

    def __init__(self) -> None:
        self.phone = SimPhone(seed=3)
        self.phone.apply_setup(put_app(self.phone.state, NotesState(NOTES, LABELS[:3], len(NOTES))))
        self.phone.perform(OpenApp("Notes"))
        self.pilot = Pilot(self.phone)

    @property
    def notes(self) -> tuple[Note, ...]:
        return app_of(self.phone.state, NotesState).notes

    def note(self, key: int) -> Note:
        note = app_of(self.phone.state, NotesState).note(key)
        assert note is not None
        return note

    def tap(self, *texts: str, index: int = 0) -> None:
        for text in texts:
            self.phone.perform(self.pilot.tap(text, index=index))

    def hold(self, text: str) -> None:
        self.phone.perform(self.pilot.long_press(text))

    def type(self, text: str) -> None:
        self.phone.perform(TypeText(text))

    def back(self, times: int = 1) -> None:
        for _ in range(times):
            self.phone.perform(PressKey("back"))

    def sees(self, text: str) -> bool:
        return self.pilot.sees(text)

    def node(self, matches: Callable[[UiNode], bool]) -> UiNode:
        return next(item for item in self.pilot.tree if matches(item))


@pytest.fixture
def session() -> Session:
    return Session()


def test_the_grid_shows_notes_but_not_the_archive_or_the_trash(session: Session) -> None:
    assert all(session.sees(title) for title in ("Rent", "Groceries", "Poem", "Milk", "+ 1 checked item"))
    assert not session.sees("Taxes")
    assert not session.sees("Jokes")
    session.tap("Single-column view")
    left = [session.pilot.find(title).bounds[0] for title in ("Rent", "Groceries", "Poem")]
    assert len(set(left)) == 1
    session.tap("Multi-column view")
    assert session.pilot.find("Groceries").bounds[0] > session.pilot.find("Rent").bounds[2]


def test_a_new_note_is_saved_as_it_is_typed(session: Session) -> None:
    session.tap("New note")
    session.type("Bring cake")  # the text has the focus
    assert session.notes[0].body == "Bring cake"
    session.tap("Title")
    session.type("Party")
    session.back(2)
    assert front(session.phone.state).name == "main"
    assert (session.notes[0].title, session.notes[0].body) == ("Party", "Bring cake")
    assert session.notes[1:] == NOTES
    assert session.sees("Party")


def test_enter_in_the_title_goes_on_to_the_text(session: Session) -> None:
    session.tap("New note", "Title")
    session.type("Car")
    session.phone.perform(PressKey("enter"))
    session.type("Oil change")
    assert (session.notes[0].title, session.notes[0].body) == ("Car", "Oil change")


def test_a_blank_note_or_list_leaves_no_trace(session: Session) -> None:
    session.tap("New note")
    session.back(2)
    session.tap("New list", "List item", "List item")
    session.back(2)
    assert session.notes == NOTES
    session.tap("Groceries", "List item")
    session.back(2)
    assert session.notes == NOTES


def test_editing_a_note_keeps_the_rest_of_it(session: Session) -> None:
    session.tap("Poem")
    before = session.phone.snapshot()
    session.tap("Note")
    session.type(" tonight")
    assert session.note(2).body == "The fog comes on little cat feet tonight"
    assert diff(before, session.phone.state) == ("apps.notes.notes.2.body", "apps.notes.notes.2.edited")


def test_a_new_list_is_filled_item_by_item(session: Session) -> None:
    session.tap("New list")
    session.type("Tent")
    session.phone.perform(PressKey("enter"))
    session.type("Rope")
    session.tap("Title")
    session.type("Camping")
    session.back(2)
    made = session.notes[0]
    assert (made.title, made.checklist) == ("Camping", True)
    assert [item.text for item in made.items] == ["Tent", "Rope"]


def test_items_are_checked_added_and_removed(session: Session) -> None:
    session.tap("Groceries", "Check Milk")
    assert [item.checked for item in session.note(1).items] == [True, False, True]
    assert session.sees("2 checked items")
    session.tap("Uncheck Salt", "List item")
    session.type("Tea")
    assert [item.text for item in session.note(1).items] == ["Milk", "Bread", "Salt", "Tea"]
    session.tap("Delete item")  # of Bread, the first that is not checked
    assert [item.text for item in session.note(1).items] == ["Milk", "Salt", "Tea"]
    session.tap("1 checked item")
    assert not session.sees("Uncheck Milk")


def test_text_turns_into_a_checklist_and_back(session: Session) -> None:
    session.tap("Rent", "Note")
    session.type("\nAsk for a receipt")
    session.tap("Add", "Checkboxes")
    assert [item.text for item in session.note(0).items] == ["Due on the first", "Ask for a receipt"]
    session.tap("Add", "Hide checkboxes")
    assert session.note(0).body == "Due on the first\nAsk for a receipt"
    assert session.note(0).items == ()


def test_pin_color_archive_and_delete_from_the_editor(session: Session) -> None:
    session.tap("Rent", "Pin", "Color", "Green")
    session.back(2)
    assert (session.note(0).pinned, session.note(0).color) == (True, "green")
    assert session.sees("Pinned")
    session.tap("Rent", "Archive")
    assert (session.note(0).place, session.note(0).pinned) == ("archive", False)
    assert front(session.phone.state).name == "main"
    session.tap("Poem", "More options", "Delete")
    assert session.note(2).place == "trash"
    assert not session.sees("Poem")


def test_several_notes_are_selected_and_moved_at_once(session: Session) -> None:
    session.hold("Rent")
    session.tap("Poem")
    assert session.sees("2")
    session.tap("Color", "Red", index=-1)
    assert [session.note(key).color for key in (0, 2)] == ["red", "red"]
    session.hold("Rent")
    session.tap("Poem", "Poem")  # selected and not selected any more
    session.tap("Delete")
    assert [note.place for note in session.notes] == ["trash", "notes", "notes", "archive", "trash"]


def test_back_ends_the_selection(session: Session) -> None:
    session.hold("Rent")
    session.back()
    assert front(session.phone.state).app == "notes"
    assert not session.sees("Clear selection")
    session.hold("Rent")
    session.tap("Clear selection")
    assert session.sees("Open navigation drawer")
    assert session.notes == NOTES


def test_archive_and_trash_through_the_drawer(session: Session) -> None:
    session.tap("Open navigation drawer", "Archive", "Taxes", "Unarchive")
    assert session.note(3).place == "notes"
    session.tap("Open navigation drawer", "Trash", "Jokes", "Restore")
    assert session.note(4).place == "notes"
    session.back()
    assert session.sees("Jokes")
    assert session.sees("Taxes")


def test_notes_in_the_trash_are_deleted_only_after_confirmation(session: Session) -> None:
    session.tap("Open navigation drawer", "Trash", "More options", "Empty trash", "Cancel")
    assert len(session.notes) == 5
    session.tap("Jokes", "More options", "Delete forever", "Delete")
    assert [note.key for note in session.notes] == [0, 1, 2, 3]
    assert session.sees("No notes in the trash")


def test_search_finds_titles_texts_items_and_colors(session: Session) -> None:
    session.tap("Search your notes")
    session.type("MILK")
    assert session.sees("Groceries")
    assert not session.sees("Rent")
    session.tap("Clear", "Search your notes")
    session.type("receipts")
    assert session.sees("Taxes")  # archived notes are found too
    session.tap("Clear", "Blue")
    assert session.sees("Poem")
    assert not session.sees("Taxes")
    session.tap("Poem")
    assert front(session.phone.state).arg == "2"


def test_labels_are_made_given_and_taken(session: Session) -> None:
    session.tap("Rent", "More options", "Labels", "Work")
    assert session.note(0).labels == ("Work",)
    session.tap("Enter label name")
    session.type("Money")
    session.tap("Create \u201cMoney\u201d")
    assert session.note(0).labels == ("Work", "Money")
    session.back(3)
    session.tap("Open navigation drawer", "Money")
    assert session.sees("Rent")
    assert not session.sees("Poem")
    session.tap("Open navigation drawer", "Edit labels", "Delete label Work", "Delete")
    assert session.note(0).labels == ("Money",)
    assert "Work" not in app_of(session.phone.state, NotesState).labels


def test_a_copy_is_made_of_a_selected_note(session: Session) -> None:
    session.hold("Poem")
    session.tap("More options", "Make a copy")
    assert session.notes[0].body == NOTES[2].body
    assert session.notes[0].key == 5
    assert session.notes[1:] == NOTES


def test_a_card_reports_a_long_press(session: Session) -> None:
    card = session.node(lambda node: node.resource_id == "note0")
    assert card.long_clickable
    x, y = (card.bounds[0] + 9) / 540, (card.bounds[1] + 9) / 1200
    session.phone.perform(LongPress(x, y))
    assert session.sees("Clear selection")


def test_samples_are_told_apart_by_their_titles() -> None:
    lines = {line for texts in SAMPLES.values() for line in texts}
    assert not lines & set(SAMPLES)
    note = draw_note(np.random.default_rng(0), 0, LISTS[0], 10**12, most_lines=2)
    assert note.checklist
    assert len(note.items) == 2
