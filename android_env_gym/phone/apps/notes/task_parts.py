"""What the task templates of Notes share: the prepared phone, finding notes, comparing before and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec
import numpy as np

from android_env_gym.actions import Action
from android_env_gym.phone.apps.notes.samples import LABELS, LISTS, TITLES, draw_note
from android_env_gym.phone.apps.notes.state import Note, NotesState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
SHOWN = 16
VISIBLE = 13  # that many cards' titles are on the first screen, whatever their heights
ITEMS_ON_CARD = 2
TEXTS = tuple(title for title in TITLES if title not in LISTS)


def draw_from(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    """Return one of `choices`."""
    return choices[int(rng.integers(len(choices)))]


def brief_note(rng: np.random.Generator, key: int, title: str, now: int) -> Note:
    """Return the note `title` as a low card: no label, at most two items."""
    return replace(draw_note(rng, key, title, now, ITEMS_ON_CARD), labels=())


def with_notes(state: PhoneState, title: str, rng: np.random.Generator) -> PhoneState:
    """Return `state` with fifteen other notes on the screen, one archived and one in the trash, none called `title`.

    Titles that share a word with `title` ("Rome trip", "Paris trip") come along if there are any.
    """
    words = set(title.split(" "))
    others = [TITLES[index] for index in rng.permutation(len(TITLES)) if TITLES[index] != title]
    others.sort(key=lambda other: not words & set(other.split(" ")))
    chosen = enumerate(rng.permutation(others[: SHOWN + 1]).tolist())
    notes = [brief_note(rng, key, other, state.now) for key, other in chosen]
    for index in range(2 * int(rng.random() < 0.3)):
        notes[index] = replace(notes[index], pinned=True)
    notes = [notes[index] for index in rng.permutation(len(notes))]
    hidden = [index for index, note in enumerate(notes) if not note.pinned][:2]
    for index, place in zip(hidden, ("archive", "trash"), strict=True):
        notes[index] = replace(notes[index], place=place)
    return put_app(state, NotesState(tuple(notes), LABELS[:3], len(notes)))


def with_target(state: PhoneState, target: Note, rng: np.random.Generator, *, near: bool = False) -> PhoneState:
    """Return `with_notes` and `target` where it shows without scrolling; `near` adds a note called "Old ..."."""
    state = with_notes(state, target.title, rng)
    app = app_of(state, NotesState)
    notes = list(app.notes)
    if near:
        notes.append(replace(target, key=len(notes), title=f"Old {target.title.lower()}"))
    taken = 4 * any(note.pinned for note in notes) + 2 * near
    others = [index for index, note in enumerate(notes) if note.place == "notes" and not note.pinned]
    position = others[int(rng.integers(VISIBLE - taken))]
    notes.insert(position, replace(target, key=len(notes)))
    if near:
        old = notes.pop()
        notes.insert(int(rng.integers(position + 2)), old)
    return put_app(state, replace(app, notes=tuple(notes), next_key=len(notes)))


def named(state: PhoneState, title: str) -> Note | None:
    """Return the note called `title`, wherever it is."""
    return next((note for note in app_of(state, NotesState).notes if note.title == title), None)


def only_changed(before: PhoneState, now: PhoneState, title: str, **values: object) -> bool:
    """Return whether all that happened to the notes is that the one called `title` got these `values`."""
    changed = named(now, title)
    if changed is None:
        return False
    expected = tuple(
        replace(note, edited=changed.edited, **values) if note.title == title else note
        for note in app_of(before, NotesState).notes
    )
    return app_of(now, NotesState).notes == expected


def other_title(pilot: Pilot, title: str, among: tuple[str, ...] = TITLES) -> str:
    """Return the title of another note on the screen: the last one, as the first ones may be pinned."""
    shown = (node.text for node in pilot.tree if node.text in among and node.text != title)
    return [text for text in shown if pilot.sees(text)][-1]


class OneNote(TaskTemplate):
    """Base of the templates whose goal is one note, known by its title.

    The oracle opens it and does `act`; the near miss does the same to another note.
    """

    apps = ("notes",)
    goals = len(TITLES)
    titles: ClassVar[tuple[str, ...]] = TITLES

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a title."""
        return {"title": draw_from(rng, self.titles)}

    def target(self, goal: Goal, now: int, rng: np.random.Generator) -> Note:
        """Return the note that the task is about, as it is at the start."""
        return brief_note(rng, 0, str(goal["title"]), now)

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the note among fifteen others, and half of the time beside one of almost the same title."""
        return with_target(state, self.target(goal, state.now, rng), rng, near=bool(rng.integers(2)))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only notes may change."""
        return ("apps.notes.notes",)

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Yield what is done in the editor of the note."""
        yield from ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the note and act."""
        yield from pilot.launch("Notes")
        yield pilot.tap(str(goal["title"]))
        yield from self.act(pilot, goal)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Do it to another note."""
        yield from pilot.launch("Notes")
        yield pilot.tap(other_title(pilot, str(goal["title"]), self.titles))
        yield from self.act(pilot, goal)
