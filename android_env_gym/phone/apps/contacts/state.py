"""Data and events of Contacts."""

from __future__ import annotations

import msgspec

from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event


class Contact(msgspec.Struct, frozen=True):
    """One person. `key` never changes and is never used again."""

    key: int
    first: str
    last: str = ""
    phone: str = ""
    email: str = ""
    company: str = ""
    starred: bool = False

    @property
    def name(self) -> str:
        """Return first and last name as shown in lists."""
        return f"{self.first} {self.last}".strip()


class ContactsState(AppState, frozen=True, tag="contacts"):
    """All people, in no particular order, and the next free key."""

    people: tuple[Contact, ...] = ()
    next_key: int = 0

    def person(self, key: int) -> Contact | None:
        """Return the person with this key."""
        return next((item for item in self.people if item.key == key), None)

    def named(self, name: str) -> Contact | None:
        """Return the person with this full name."""
        return next((item for item in self.people if item.name == name), None)


class Star(Event, frozen=True):
    """Make person `key` a favourite, or no longer one."""

    key: int
    starred: bool


class Delete(Event, frozen=True):
    """Delete person `key`."""

    key: int


class TextTo(Event, frozen=True):
    """Open the conversation with person `key` in Messages."""

    key: int


class Save(Event, frozen=True):
    """Save the form of the page in front as person `key` ( -1: a new one)."""

    key: int
