"""The Contacts app: its update."""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.phone.app import App, ContactCard, Context
from android_env_gym.phone.apps.contacts import screens
from android_env_gym.phone.apps.contacts.state import Contact, ContactsState, Delete, Save, Star, TextTo
from android_env_gym.phone.apps.messages.state import StartChat
from android_env_gym.phone.state import Open, Page, Pop, Replace, Toast
from android_env_gym.phone.ui.node import Event, Node
from android_env_gym.phone.world.people import draw_people, draw_phone_number

replace = msgspec.structs.replace
COMPANIES = ("", "", "", "Acme Labs", "Blue Harbor", "City Library", "Green Market", "Northwind", "Sunny Dental")


class Contacts(App[ContactsState]):
    """People, favourites, details, editing."""

    id = "contacts"
    title = "Contacts"
    package = "com.google.android.contacts"
    icon = "account"
    color = "#1a73e8"
    state_type = ContactsState

    def initial(self, rng: np.random.Generator, now: int) -> ContactsState:
        """Return 10 to 16 people, some of them favourites."""
        names = draw_people(rng, int(rng.integers(10, 17)))
        people = tuple(
            Contact(
                key=key,
                first=first,
                last=last,
                phone=draw_phone_number(rng),
                email=f"{first}.{last}@example.com".lower() if rng.random() < 0.7 else "",
                company=COMPANIES[int(rng.integers(len(COMPANIES)))],
                starred=bool(rng.random() < 0.15),
            )
            for key, (first, last) in enumerate(names)
        )
        return ContactsState(people, len(people))

    def view(self, state: ContactsState, context: Context) -> Node:
        """Return the page in front."""
        return screens.view(state, context)

    def update(self, state: ContactsState, event: Event, context: Context) -> tuple[ContactsState, tuple[Event, ...]]:
        """Star, delete, text or save a person."""
        match event:
            case Star(key, starred):
                people = tuple(replace(item, starred=starred) if item.key == key else item for item in state.people)
                return replace(state, people=people), ()
            case Delete(key):
                gone = state.person(key)
                if gone is None:
                    return state, ()
                kept = tuple(item for item in state.people if item.key != key)
                return replace(state, people=kept), (Pop(), Toast(f"{gone.name} deleted"))
            case TextTo(key):
                person = state.person(key)
                if person is None:
                    return state, ()
                return state, (Open(Page("messages", "new")), StartChat(person.name, person.phone))
            case Save(key):
                return _save(state, key, context.page)
        return state, ()

    def contacts(self, state: ContactsState) -> tuple[ContactCard, ...]:
        """Share names and numbers with other apps."""
        return tuple(ContactCard(item.name, item.phone) for item in state.people)

    def sheet(self, state: ContactsState) -> tuple[Page, ...]:
        """Return the list, the favourites, a person, the form, the dialog."""
        person = state.people[0]
        return (
            Page("contacts"),
            Page("contacts", fields=(("tab", "favorites"),)),
            Page("contacts", "person", str(person.key)),
            screens.form_page(person),
            Page("contacts", "person", str(person.key), dialog="delete"),
        )


def _save(state: ContactsState, key: int, page: Page) -> tuple[ContactsState, tuple[Event, ...]]:
    values = {name: page.field(name).strip() for name, _, _ in screens.FORM}
    if not values["first"] and not values["last"]:
        return state, (Toast("Add a name to save the contact"),)
    if state.person(key) is not None:
        people = tuple(replace(item, **values) if item.key == key else item for item in state.people)
        return replace(state, people=people), (Pop(), Toast("Contact saved"))
    new = replace(Contact(state.next_key, ""), **values)
    after = ContactsState((*state.people, new), state.next_key + 1)
    return after, (Replace(Page("contacts", "person", str(new.key))), Toast("Contact saved"))
