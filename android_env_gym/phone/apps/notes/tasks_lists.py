"""Task templates of Notes about checklists, and questions about what notes say."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish, TypeText
from android_env_gym.phone.apps.notes.samples import LISTS, SAMPLES
from android_env_gym.phone.apps.notes.state import Item, Note
from android_env_gym.phone.apps.notes.task_parts import (
    TEXTS,
    OneNote,
    draw_from,
    named,
    only_changed,
    with_target,
)
from android_env_gym.phone.state import PhoneState
from android_env_gym.tasks.answers import same_answer
from android_env_gym.tasks.base import Goal
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
THINGS = (
    "Apples", "Bananas", "Batteries", "Cheese", "Chocolate", "Flowers", "Gloves", "Honey", "Ice", "Juice",
    "Lemons", "Map", "Napkins", "Nuts", "Pasta", "Radio", "Rope", "Salt", "Soap", "Sugar",
    "Tape", "Tea", "Towels", "Umbrella", "Water", "Yogurt",
)  # fmt: skip
FACTS = ("The code is {}", "Ask for room {}", "Order number {}", "The ticket costs {} euros", "Locker {}")


class AddItemTask(OneNote):
    """Add one item to a checklist."""

    id = "notes.add_item"
    phrasings = (
        'Add "{item}" to my {title} list',
        'Put "{item}" on the {title} list',
        'Write "{item}" at the end of the checklist {title}',
    )
    goals = len(LISTS) * len(THINGS)
    values = ("item",)
    oracle_steps = 4
    titles = LISTS

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a list and an item that it lacks."""
        return {**super().draw_goal(rng), "item": draw_from(rng, THINGS)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the list among other notes and a near-duplicate."""
        return with_target(state, self.target(goal, state.now, rng), rng, near=True)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The list has that item more, unchecked, and nothing else changed."""
        old, new = named(before, str(goal["title"])), named(now, str(goal["title"]))
        if old is None or new is None or len(new.items) != len(old.items) + 1:
            return False
        added = new.items[-1]
        if (added.text.strip(), added.checked) != (goal["item"], False):
            return False
        return only_changed(before, now, new.title, items=(*old.items, added))

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add an item and write."""
        yield pilot.tap("List item")
        yield TypeText(str(goal["item"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Add it to the similar list."""
        yield from pilot.launch("Notes")
        yield pilot.tap(f"Old {str(goal['title']).lower()}")
        yield from self.act(pilot, goal)


def _all_items(note: Note) -> Note:
    """Return a checklist with all its items, none checked."""
    return replace(note, items=tuple(Item(index, text) for index, text in enumerate(SAMPLES[note.title])))


class CheckItemTask(OneNote):
    """Check one item of a checklist off."""

    id = "notes.check_item"
    phrasings = (
        "Check off {item} on my {title} list",
        "Mark {item} as done on the {title} list",
        "Tick {item} in the checklist {title}",
    )
    goals = sum(len(SAMPLES[title]) for title in LISTS)
    oracle_steps = 3
    titles = LISTS

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a list and one of its items."""
        goal = super().draw_goal(rng)
        return {**goal, "item": draw_from(rng, SAMPLES[str(goal["title"])])}

    def target(self, goal: Goal, now: int, rng: np.random.Generator) -> Note:
        """Return the list with all its items in random order; the item is not checked, another may be."""
        note = _all_items(super().target(goal, now, rng))
        items = [note.items[index] for index in rng.permutation(len(note.items))]
        spare = [index for index, item in enumerate(items) if item.text != goal["item"]]
        if rng.random() < 0.5:
            index = spare[int(rng.integers(len(spare)))]
            items[index] = replace(items[index], checked=True)
        return replace(note, items=tuple(items))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is checked and nothing else changed."""
        note = named(before, str(goal["title"]))
        if note is None:
            return False
        items = tuple(replace(item, checked=True) if item.text == goal["item"] else item for item in note.items)
        return only_changed(before, now, note.title, items=items)

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Tap its box."""
        yield pilot.tap(f"Check {goal['item']}")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Check another item."""
        yield from pilot.launch("Notes")
        yield pilot.tap(str(goal["title"]))
        boxes = [node for node in pilot.tree if node.checkable and not node.checked]
        yield pilot.tap_node(next(node for node in boxes if node.label != f"Check {goal['item']}"))


class AskNote(OneNote):
    """Answer what a note says."""

    id = "notes.ask_note"
    phrasings = (
        "What does the note {title} say?",
        "Read me my {title} note",
        "What did I write in the note called {title}?",
    )
    goals = len(TEXTS)
    oracle_steps = 3
    judge_at = "finish"
    titles = TEXTS

    def target(self, goal: Goal, now: int, rng: np.random.Generator) -> Note:
        """Return the note with a text that nobody can guess."""
        fact = draw_from(rng, FACTS).format(int(rng.integers(100, 1000)))
        return replace(super().target(goal, now, rng), body=fact)

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the note among others."""
        return with_target(state, self.target(goal, state.now, rng), rng)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer is its text."""
        note = named(before, str(goal["title"]))
        return note is not None and same_answer(answer, note.body)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read the text field."""
        yield Finish(answer=next(node.text for node in pilot.tree if node.resource_id == "body"))


class CountItems(OneNote):
    """Answer how many items of a checklist are checked, or are not."""

    id = "notes.count_items"
    phrasings = (
        "How many items on my {title} list are {what}?",
        "Count the items of the {title} list that are {what}",
        "On the checklist {title}, how many items are {what}?",
    )
    goals = len(LISTS) * 2
    values = ("what",)
    oracle_steps = 3
    judge_at = "finish"
    titles = LISTS

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a list and which items count."""
        return {**super().draw_goal(rng), "what": draw_from(rng, ("checked off", "still open"))}

    def target(self, goal: Goal, now: int, rng: np.random.Generator) -> Note:
        """Return a list of 2 to 5 open and 1 to 4 checked items, never as many of one as of the other."""
        todo, done = int(rng.integers(2, 6)), int(rng.integers(1, 5))
        done += todo == done
        texts = [THINGS[index] for index in rng.permutation(len(THINGS))[: todo + done]]
        order = rng.permutation(todo + done)
        items = tuple(Item(index, text, bool(order[index] < done)) for index, text in enumerate(texts))
        return replace(super().target(goal, now, rng), items=items)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer is the number of those."""
        note = named(before, str(goal["title"]))
        wanted = goal["what"] == "checked off"
        return note is not None and same_answer(answer, str(sum(item.checked == wanted for item in note.items)))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def act(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Count the boxes."""
        yield Finish(answer=str(_count(pilot, goal["what"] == "checked off")))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Count the other kind."""
        yield from pilot.launch("Notes")
        yield pilot.tap(str(goal["title"]))
        yield Finish(answer=str(_count(pilot, goal["what"] != "checked off")))


def _count(pilot: Pilot, checked: bool) -> int:
    return sum(node.checkable and node.checked == checked for node in pilot.tree)
