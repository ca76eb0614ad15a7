"""Task templates of Contacts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish, TypeText
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.apps.contacts.state import Contact, ContactsState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.phone.world.people import FIRST_NAMES, LAST_NAMES, draw_people, draw_phone_number
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
PEOPLE = 13


def with_people(state: PhoneState, wanted: str, rng: np.random.Generator, **values: str | bool) -> PhoneState:
    """Return `state` with `PEOPLE` people, one of them called `wanted` (first name) with these values."""
    others = [name for name in draw_people(rng, PEOPLE) if name[0] != wanted][: PEOPLE - 1]
    target = Contact(0, wanted, LAST_NAMES[int(rng.integers(len(LAST_NAMES)))], draw_phone_number(rng))
    people = [replace(target, **values)]
    people += [Contact(key, first, last, draw_phone_number(rng)) for key, (first, last) in enumerate(others, 1)]
    return put_app(state, ContactsState(tuple(people), len(people)))


class _OnePerson(TaskTemplate):
    """Shared by the templates whose goal is one person, known by the first name."""

    apps = ("contacts",)
    goals = len(FIRST_NAMES)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a first name."""
        return {"name": FIRST_NAMES[int(rng.integers(len(FIRST_NAMES)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the person among ten others."""
        return with_people(state, str(goal["name"]), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only the list of people may change."""
        return ("apps.contacts.people",)

    def open_person(self, pilot: Pilot, name: str) -> Iterator[Action]:
        """Launch Contacts and open the person called `name`."""
        yield from pilot.launch("Contacts")
        yield from pilot.scroll_and_tap(f"{name} ", contains=True)

    def open_other(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Launch Contacts and open somebody else."""
        yield from pilot.launch("Contacts")
        yield pilot.tap_node(other_row(pilot, str(goal["name"])))


def other_row(pilot: Pilot, name: str) -> UiNode:
    """Return the first row on the screen that names somebody else than `name` (a first name)."""
    rows = [node for node in pilot.tree if node.text.split(" ")[0] in FIRST_NAMES and node.text.split(" ")[0] != name]
    return rows[0]


class OpenContact(_OnePerson):
    """Show the details of one person."""

    id = "contacts.open_contact"
    phrasings = ("Open the contact {name}", "Show me {name} in my contacts", "Find {name} in Contacts")
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The page in front shows that person."""
        page = front(now)
        person = (
            app_of(now, ContactsState).person(int(page.arg))
            if (page.app, page.name) == ("contacts", "person")
            else None
        )
        return person is not None and person.first == goal["name"]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it."""
        yield from self.open_person(pilot, str(goal["name"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open somebody else."""
        yield from self.open_other(pilot, goal)


class StarContact(_OnePerson):
    """Make one person a favourite."""

    id = "contacts.star_contact"
    phrasings = ("Add {name} to favorites", "Star the contact {name}", "Make {name} one of my favorite contacts")
    oracle_steps = 4

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """That person is the only favourite."""
        return [item.first for item in app_of(now, ContactsState).people if item.starred] == [goal["name"]]

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the person and tap the star."""
        yield from self.open_person(pilot, str(goal["name"]))
        yield pilot.tap("Add to favorites")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Star somebody else."""
        yield from self.open_other(pilot, goal)
        yield pilot.tap("Add to favorites")


class DeleteContact(_OnePerson):
    """Delete one person and confirm."""

    id = "contacts.delete_contact"
    phrasings = (
        "Delete the contact {name}",
        "Remove {name} from my contacts",
        "I no longer need {name}, delete the contact",
    )
    oracle_steps = 5

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """That person is gone and everybody else is there."""
        old, new = app_of(before, ContactsState).people, app_of(now, ContactsState).people
        return [item.key for item in new] == [item.key for item in old if item.first != goal["name"]]

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the person, tap the bin, confirm."""
        yield from self.open_person(pilot, str(goal["name"]))
        yield pilot.tap("Delete contact")
        yield pilot.tap("Delete")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete somebody else."""
        yield from self.open_other(pilot, goal)
        yield pilot.tap("Delete contact")
        yield pilot.tap("Delete")


class AddContact(TaskTemplate):
    """Create a contact with a name and a number."""

    id = "contacts.add_contact"
    apps = ("contacts",)
    phrasings = (
        "Create a contact for {first} {last} with the number {phone}",
        "Add {first} {last}, {phone}, to my contacts",
        "Save {phone} as a new contact named {first} {last}",
    )
    goals = len(FIRST_NAMES) * len(LAST_NAMES)
    oracle_steps = 12

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name and a number."""
        ((first, last),) = draw_people(rng, 1)
        return {"first": first, "last": last, "phone": f"555-01{int(rng.integers(100)):02d}"}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """The person is not there yet; somebody with the same first name may be."""
        people = tuple(item for item in app_of(state, ContactsState).people if item.first != goal["first"])
        namesake = Contact(len(people) + 100, str(goal["first"]), "Archer", draw_phone_number(rng))
        kept = (*people, namesake) if rng.random() < 0.5 else people
        return put_app(state, ContactsState(kept, 200))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Exactly one person more, with this name and number."""
        old, new = app_of(before, ContactsState).people, app_of(now, ContactsState).people
        added = [(item.first, item.last, item.phone) for item in new[len(old) :]]
        return new[: len(old)] == old and added == [(goal["first"], goal["last"], goal["phone"])]

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The list of people and the key counter may change."""
        return ("apps.contacts.people", "apps.contacts.next_key")

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Fill the form and save."""
        yield from self._fill(pilot, str(goal["first"]), str(goal["last"]), str(goal["phone"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Save another number."""
        yield from self._fill(pilot, str(goal["first"]), str(goal["last"]), "555-9999")

    def _fill(self, pilot: Pilot, first: str, last: str, phone: str) -> Iterator[Action]:
        yield from pilot.launch("Contacts")
        yield pilot.tap("Create contact")
        for field, text in (("First name", first), ("Last name", last), ("Phone", phone)):
            yield from pilot.scroll_to(field)
            yield from pilot.type_into(field, text)
        yield pilot.tap("Save")


class EditPhone(_OnePerson):
    """Change a person's number."""

    id = "contacts.edit_phone"
    phrasings = (
        "Change {name}'s phone number to {phone}",
        "{name} has a new number: {phone}. Update the contact",
        "Set the phone number of {name} to {phone}",
    )
    goals = len(FIRST_NAMES) * 50
    oracle_steps = 8

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a first name and a new number."""
        return {**super().draw_goal(rng), "phone": f"555-02{int(rng.integers(100)):02d}"}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Only that person's number is the new one."""
        expected = tuple(
            replace(item, phone=goal["phone"]) if item.first == goal["name"] else item
            for item in app_of(before, ContactsState).people
        )
        return app_of(now, ContactsState).people == expected

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Edit the person: select the old number as a whole and type over it."""
        yield from self._edit(pilot, goal, str(goal["phone"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Save a number with a digit missing."""
        yield from self._edit(pilot, goal, str(goal["phone"])[:-1])

    def _edit(self, pilot: Pilot, goal: Goal, phone: str) -> Iterator[Action]:
        yield from self.open_person(pilot, str(goal["name"]))
        yield pilot.tap("Edit contact")
        yield from pilot.scroll_to("(", contains=True)
        yield pilot.long_press("(", contains=True)
        yield TypeText(phone)
        yield pilot.tap("Save")


class AskPhone(_OnePerson):
    """Answer what somebody's number is."""

    id = "contacts.ask_phone"
    phrasings = (
        "What is {name}'s phone number?",
        "Tell me the phone number of {name}",
        "Which number do I have for {name}?",
    )
    oracle_steps = 4
    judge_at = "finish"

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer has the digits of that number."""
        person = next(item for item in app_of(before, ContactsState).people if item.first == goal["name"])
        return answer is not None and _digits(answer) == _digits(person.phone)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the person and read the number."""
        yield from self.open_person(pilot, str(goal["name"]))
        yield Finish(answer=pilot.find("(", contains=True).text)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Read somebody else's number."""
        yield from self.open_other(pilot, goal)
        yield Finish(answer=pilot.find("(", contains=True).text)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenContact(),
    StarContact(),
    DeleteContact(),
    AddContact(),
    EditPhone(),
    AskPhone(),
)
