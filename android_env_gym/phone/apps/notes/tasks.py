"""Task templates of Notes: those about whole notes; `tasks_lists` has checklists and questions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.phone.apps.notes.palette import COLORS
from android_env_gym.phone.apps.notes.samples import TITLES
from android_env_gym.phone.apps.notes.state import Note, NotesState
from android_env_gym.phone.apps.notes.task_parts import (
    OneNote,
    draw_from,
    named,
    only_changed,
    other_title,
    with_notes,
    with_target,
)
from android_env_gym.phone.apps.notes.tasks_lists import AddItemTask, AskNote, CheckItemTask, CountItems
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
BODIES = (
    "Call Anna back", "Ask for the key", "Pay in cash", "Bring warm socks", "Start at noon", "Meet at the station",
    "Check the price first", "Needs new batteries", "Finish by Friday", "Back in ten days", "Turn left at the church",
    "Closed on Monday",
)  # fmt: skip


class OpenNote(OneNote):
    """Show one note."""

    id = "notes.open_note"
    phrasings = ("Open the note {title}", "Show me my {title} note", "Go to the note called {title}")
    oracle_steps = 2

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The page in front is its editor."""
        page, note = front(now), named(now, str(goal["title"]))
        return note is not None and (page.app, page.name, page.arg) == ("notes", "edit", str(note.key))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()


class PinNote(OneNote):
    """Pin one note."""

    id = "notes.pin_note"
    phrasings = ("Pin the note {title}", "Pin my {title} note", "Keep the {title} note pinned at the top")
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is pinned and nothing else changed."""
        return only_changed(before, now, str(goal["title"]), pinned=True)

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the pin."""
        yield pilot.tap("Pin")


class DeleteNote(OneNote):
    """Move one note to the trash."""

    id = "notes.delete_note"
    phrasings = ("Delete the note {title}", "Remove my {title} note", "Throw away the note called {title}")
    oracle_steps = 4

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is in the trash and nothing else changed."""
        return only_changed(before, now, str(goal["title"]), place="trash")

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete it from the menu."""
        yield pilot.tap("More options")
        yield pilot.tap("Delete")


class ArchiveNote(OneNote):
    """Archive one note."""

    id = "notes.archive_note"
    phrasings = (
        "Archive the note {title}",
        "Move my {title} note to the archive",
        "Put the note {title} in the archive",
    )
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is in the archive and nothing else changed."""
        return only_changed(before, now, str(goal["title"]), place="archive")

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the archive button."""
        yield pilot.tap("Archive")


class ColorNote(OneNote):
    """Give one note a colour."""

    id = "notes.color_note"
    phrasings = (
        "Make the note {title} {color}",
        "Change the color of my {title} note to {color}",
        "Color {title} {color}",
    )
    goals = len(TITLES) * len(COLORS)
    values = ("color",)
    oracle_steps = 4

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a title and a colour."""
        return {**super().draw_goal(rng), "color": draw_from(rng, tuple(COLORS))}

    def target(self, goal: Goal, now: int, rng: np.random.Generator) -> Note:
        """Return it in another colour, or without one."""
        note = super().target(goal, now, rng)
        return replace(note, color="") if note.color == goal["color"] else note

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """No note has the colour already, so that the near miss changes one."""
        state = super().setup(state, goal, rng)
        app = app_of(state, NotesState)
        notes = tuple(replace(note, color="") if note.color == goal["color"] else note for note in app.notes)
        return put_app(state, replace(app, notes=notes))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It has the colour and nothing else changed."""
        return only_changed(before, now, str(goal["title"]), color=goal["color"])

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Pick the colour."""
        yield pilot.tap("Color")
        yield pilot.tap(str(goal["color"]).capitalize())


class CreateNote(OneNote):
    """Create a note that has only a title."""

    id = "notes.create_note"
    phrasings = (
        'Create a note titled "{title}"',
        'Start a new note called "{title}"',
        'Make a new note with the title "{title}"',
        'Add a note named "{title}"',
    )
    oracle_steps = 4

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """There is no such note yet."""
        return with_notes(state, str(goal["title"]), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """A note more."""
        return ("apps.notes.notes",)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """There is one note more, with that title and, if the goal has one, that text."""
        old, new = app_of(before, NotesState).notes, app_of(now, NotesState).notes
        if new[1:] != old:
            return False
        wanted = Note(new[0].key, str(goal["title"]), str(goal.get("body", "")), edited=new[0].edited)
        return replace(new[0], title=new[0].title.strip(), body=new[0].body.strip()) == wanted

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap the button, write the title."""
        yield from self.write(pilot, goal, str(goal["title"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Write another title."""
        yield from self.write(pilot, goal, f"My {goal['title']}")

    def write(self, pilot: Pilot, goal: Goal, title: str) -> Iterator[Action]:
        """Yield the actions that make the note."""
        yield from pilot.launch("Notes")
        yield pilot.tap("New note")
        if "body" in goal:
            yield from pilot.type_into("Note", str(goal["body"]))
        yield from pilot.type_into("Title", title)


class WriteNote(CreateNote):
    """Create a note with a title and a text."""

    id = "notes.write_note"
    phrasings = (
        'Write a note titled "{title}" that says "{body}"',
        'Create a note called "{title}" with the text "{body}"',
        'Take a note: title "{title}", text "{body}"',
    )
    goals = len(TITLES) * len(BODIES)
    values = ("body",)
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a title and a text."""
        return {**super().draw_goal(rng), "body": draw_from(rng, BODIES)}


class RestoreNote(OneNote):
    """Take one note out of the trash."""

    id = "notes.restore_note"
    phrasings = (
        "Restore the note {title} from the trash",
        "I deleted my {title} note by mistake, bring it back",
        "Get the note {title} out of the trash",
    )
    oracle_steps = 5
    unseen = True

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """The note is in the trash with eight others or more; "Old ..." stays among the notes."""
        state = with_target(state, self.target(goal, state.now, rng), rng, near=True)
        app = app_of(state, NotesState)
        others = [note.key for note in app.notes if note.title in TITLES and note.title != goal["title"]]
        binned = {others[index] for index in rng.permutation(len(others))[:8]}
        notes = tuple(
            replace(note, place="trash", pinned=False) if note.key in binned or note.title == goal["title"] else note
            for note in app.notes
        )
        return put_app(state, replace(app, notes=notes))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is back among the notes and nothing else changed."""
        return only_changed(before, now, str(goal["title"]), place="notes")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it in the trash and restore it."""
        yield from self.open_trash(pilot)
        yield from self.restore(pilot, str(goal["title"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Restore another one."""
        yield from self.open_trash(pilot)
        yield from self.restore(pilot, other_title(pilot, str(goal["title"])))

    def open_trash(self, pilot: Pilot) -> Iterator[Action]:
        """Go to the trash through the drawer."""
        yield from pilot.launch("Notes")
        yield pilot.tap("Open navigation drawer")
        yield pilot.tap("Trash")

    def restore(self, pilot: Pilot, title: str) -> Iterator[Action]:
        """Open a note and tap Restore."""
        yield pilot.tap(title)
        yield pilot.tap("Restore")


class DeleteExactNote(DeleteNote):
    """Delete a note and leave the one called "Old ...": the feasible twin of `MissingNote`."""

    id = "notes.delete_exact_note"
    phrasings = (
        'Delete the note titled exactly "{title}"',
        'Move the note called exactly "{title}" to the trash',
        'Throw away the note whose title is just "{title}"',
    )

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the note beside one called "Old ..."."""
        return with_target(state, self.target(goal, state.now, rng), rng, near=True)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete the similar one."""
        yield from pilot.launch("Notes")
        yield pilot.tap(f"Old {str(goal['title']).lower()}")
        yield from self.act(pilot, goal)


class MissingNote(DeleteExactNote):
    """Delete a note that does not exist: only one called "Old ..." does."""

    id = "notes.missing_note"
    judge_at = "finish"
    infeasible = True
    twin = DeleteExactNote.id

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """There is "Old ...", but not the note itself."""
        state = with_target(state, self.target(goal, state.now, rng), rng, near=True)
        app = app_of(state, NotesState)
        return put_app(state, replace(app, notes=tuple(note for note in app.notes if note.title != goal["title"])))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Nothing one can do succeeds; the judge accepts `Finish("infeasible")`."""
        return False

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Search for it, then give up."""
        yield from pilot.launch("Notes")
        yield pilot.tap("Search your notes")
        yield from pilot.type_into("Search your notes", str(goal["title"]))
        yield Finish("infeasible")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete the similar one."""
        yield from super().near_miss(pilot, goal)
        yield Finish()


TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenNote(),
    PinNote(),
    DeleteNote(),
    ArchiveNote(),
    ColorNote(),
    CreateNote(),
    WriteNote(),
    AddItemTask(),
    CheckItemTask(),
    AskNote(),
    CountItems(),
    RestoreNote(),
    DeleteExactNote(),
    MissingNote(),
)
