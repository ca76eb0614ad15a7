"""Data and events of Messages."""

from __future__ import annotations

import msgspec

from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event


class Message(msgspec.Struct, frozen=True):
    """One text message; `at` is virtual milliseconds since the epoch."""

    text: str
    mine: bool
    at: int


class Conversation(msgspec.Struct, frozen=True):
    """The messages exchanged with one number; `name` is what lists show."""

    key: int
    name: str
    phone: str
    messages: tuple[Message, ...] = ()
    unread: bool = False
    pinned: bool = False
    archived: bool = False

    @property
    def last_at(self) -> int:
        """Return when the last message came or went."""
        return self.messages[-1].at if self.messages else 0


class MessagesState(AppState, frozen=True, tag="messages"):
    """All conversations, in no particular order, and the next free key."""

    conversations: tuple[Conversation, ...] = ()
    next_key: int = 0

    def conversation(self, key: int) -> Conversation | None:
        """Return the conversation with this key."""
        return next((item for item in self.conversations if item.key == key), None)


class OpenChat(Event, frozen=True):
    """Open conversation `key`; it counts as read."""

    key: int


class StartChat(Event, frozen=True):
    """Open the conversation with a number, beginning one if there is none."""

    name: str
    phone: str


class Send(Event, frozen=True):
    """Send the draft of the page in front to conversation `key`."""

    key: int


class Pin(Event, frozen=True):
    """Pin or unpin conversation `key`."""

    key: int
    pinned: bool


class Archive(Event, frozen=True):
    """Archive conversation `key` or move it back to the inbox."""

    key: int
    archived: bool


class DeleteChat(Event, frozen=True):
    """Delete conversation `key` with all its messages."""

    key: int


class MarkAllRead(Event, frozen=True):
    """Show every conversation as read."""


class MarkUnread(Event, frozen=True):
    """Show conversation `key` as unread."""

    key: int
