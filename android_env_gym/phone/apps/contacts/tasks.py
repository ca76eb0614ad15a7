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
from android_env_gym.tasks.answers import same_phone
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
PEOPLE = 13
NAMESAKES = 0.3  # share of the tasks with two people of one first name, who are then told apart by their last names


def draw_name(rng: np.random.Generator) -> str:
    """Return a first name, or a full name where somebody of the same first name is to be there too."""
    first = FIRST_NAMES[int(rng.integers(len(FIRST_NAMES)))]
    return first if rng.random() >= NAMESAKES else f"{first} {LAST_NAMES[int(rng.integers(len(LAST_NAMES)))]}"


def is_called(full: str, name: str) -> bool:
    """Return whether `name`, a first or a full name, names the person called `full`."""
    return name in (full, full.split(" ")[0])


def draw_others(rng: np.random.Generator, wanted: str, count: int) -> list[tuple[str, str]]:
    """Return the names of `count` other people; one shares the first name of `wanted` if that is a full name."""
    first, _, last = wanted.partition(" ")
    others = [name for name in draw_people(rng, count + 1) if name[0] != first][:count]
    if last:
        names = [item for item in LAST_NAMES if item != last]
        others[0] = (first, names[int(rng.integers(len(names)))])
    return others


def with_people(state: PhoneState, wanted: str, rng: np.random.Generator, **values: str | bool) -> PhoneState:
    """Return `state` with `PEOPLE` people; the one with key 0 is called `wanted` and has these values."""
    others = draw_others(rng, wanted, PEOPLE - 1)
    first, _, last = wanted.partition(" ")
    target = Contact(0, first, last or LAST_NAMES[int(rng.integers(len(LAST_NAMES)))], draw_phone_number(rng))
    people = [replace(target, **values)]
    people += [Contact(key, first, last, draw_phone_number(rng)) for key, (first, last) in enumerate(others, 1)]
    return put_app(state, ContactsState(tuple(people), len(people)))


class _OnePerson(TaskTemplate):
    """Shared by the templates whose goal is one person, known by the first name, or by both if two have it."""

    apps = ("contacts",)
    goals = len(FIRST_NAMES)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name."""
        return {"name": draw_name(rng)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the person among twelve others."""
        return with_people(state, str(goal["name"]), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only that person may change."""
        return ("apps.contacts.people.0",)

    def person(self, state: PhoneState) -> Contact | None:
        """Return the person, None if they were deleted."""
        return app_of(state, ContactsState).person(0)

    def became(self, before: PhoneState, now: PhoneState, **values: object) -> bool:
        """Return whether the person got these `values`, and no others."""
        old, new = self.person(before), self.person(now)
        return old is not None and new is not None and new == replace(old, **values)

    def open_person(self, pilot: Pilot, name: str) -> Iterator[Action]:
        """Launch Contacts and open the person called `name`."""
        yield from pilot.launch("Contacts")
        yield from scroll_to_row(pilot, name)
        yield pilot.tap_node(row_of(pilot, name))

    def open_other(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Launch Contacts and open somebody else."""
        yield from pilot.launch("Contacts")
        yield pilot.tap_node(other_row(pilot, str(goal["name"])))


def scroll_to_row(pilot: Pilot, name: str) -> Iterator[Action]:
    """Scroll until the row of the person called `name` shows."""
    yield from pilot.scroll_to(name) if " " in name else pilot.scroll_to(f"{name} ", contains=True)


def row_of(pilot: Pilot, name: str) -> UiNode:
    """Return the row on the screen of the person called `name`."""
    return pilot.find(name) if " " in name else pilot.find(f"{name} ", contains=True)


def other_row(pilot: Pilot, name: str) -> UiNode:
    """Return a row on the screen that names somebody else than `name`: of the same first name, or the first one."""
    people = [node for node in pilot.tree if node.text.split(" ")[0] in FIRST_NAMES and pilot.sees(node.text)]
    rows = [node for node in people if not is_called(node.text, name)]
    return next((node for node in rows if node.text.split(" ")[0] == name.split(" ")[0]), rows[0])


class OpenContact(_OnePerson):
    """Show the details of one person."""

    id = "contacts.open_contact"
    phrasings = ("Open the contact {name}", "Show me {name} in my contacts", "Find {name} in Contacts")
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The page in front shows that person."""
        page = front(now)
        return (page.app, page.name, page.arg) == ("contacts", "person", "0")

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
        """That person is a favourite and else as before."""
        return self.became(before, now, starred=True)

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
        """That person is gone."""
        return self.person(now) is None

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
    values = ("phone",)
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
        wanted = Contact(new[-1].key, str(goal["first"]), str(goal["last"]), str(goal["phone"])) if new else None
        return new == (*old, wanted)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """The list of people may change."""
        return ("apps.contacts.people",)

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
    values = ("phone",)
    oracle_steps = 8

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name and a new number."""
        return {**super().draw_goal(rng), "phone": f"555-02{int(rng.integers(100)):02d}"}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """That person has the new number, however it is grouped, and is else as before."""
        person = self.person(now)
        right = person is not None and same_phone(person.phone, str(goal["phone"]))
        return person is not None and right and self.became(before, now, phone=person.phone)

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
        """The answer is that number."""
        person = self.person(before)
        return person is not None and same_phone(answer, person.phone)

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


TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenContact(),
    StarContact(),
    DeleteContact(),
    AddContact(),
    EditPhone(),
    AskPhone(),
)
