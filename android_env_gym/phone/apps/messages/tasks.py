"""Task templates of Messages."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.phone.apps.contacts.state import ContactsState
from android_env_gym.phone.apps.contacts.tasks import (
    draw_name,
    draw_others,
    is_called,
    other_row,
    row_of,
    scroll_to_row,
    with_people,
)
from android_env_gym.phone.apps.messages.app import draw_conversation
from android_env_gym.phone.apps.messages.state import Conversation, Message, MessagesState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.phone.world.people import FIRST_NAMES, LAST_NAMES
from android_env_gym.tasks.answers import same_answer
from android_env_gym.tasks.base import Goal, TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
CHATS = 12
CHATS_ON_SCREEN = 8
TEXTS = (
    "See you tomorrow", "On my way", "Call me later", "Good morning", "Happy birthday", "Thank you so much",
    "I am home", "Dinner is ready", "Running late", "Good luck today", "Sounds great", "Talk soon",
)  # fmt: skip


def _with_chats(state: PhoneState, wanted: str, rng: np.random.Generator, count: int = CHATS) -> PhoneState:
    """Return `state` with `count` conversations; the one with key 0 is with `wanted`."""
    others = draw_others(rng, wanted, count - 1)
    full = wanted if " " in wanted else f"{wanted} {LAST_NAMES[int(rng.integers(len(LAST_NAMES)))]}"
    names = [full, *(" ".join(name) for name in others)]
    chats = [draw_conversation(rng, key, name, state.now) for key, name in enumerate(names)]
    return put_app(state, MessagesState(tuple(chats), len(chats)))


def _chat(state: PhoneState) -> Conversation | None:
    """Return the conversation that the task is about, None if it was deleted."""
    return app_of(state, MessagesState).conversation(0)


def _became(before: PhoneState, now: PhoneState, **values: object) -> bool:
    """Return whether the conversation got these `values`, and no others, read or not."""
    old, new = _chat(before), _chat(now)
    return old is not None and new is not None and new == replace(old, unread=new.unread, **values)


class _OneChat(TaskTemplate):
    """Shared by the templates whose goal is one conversation, known by a first name, or by both if two have it."""

    apps = ("messages",)
    goals = len(FIRST_NAMES)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name."""
        return {"name": draw_name(rng)}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the conversation among the others."""
        return _with_chats(state, str(goal["name"]), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only that conversation may change."""
        return ("apps.messages.conversations.0",)

    def open_chat(self, pilot: Pilot, name: str) -> Iterator[Action]:
        """Launch Messages and open the conversation with `name`."""
        yield from pilot.launch("Messages")
        yield from scroll_to_row(pilot, name)
        yield pilot.tap_node(row_of(pilot, name))

    def open_other(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Launch Messages and open another conversation."""
        yield from pilot.launch("Messages")
        yield pilot.tap_node(other_row(pilot, str(goal["name"])))


class OpenChatTask(_OneChat):
    """Show one conversation."""

    id = "messages.open_chat"
    phrasings = ("Open my conversation with {name}", "Show the messages from {name}", "Go to the chat with {name}")
    oracle_steps = 3

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The page in front shows it."""
        page = front(now)
        return (page.app, page.name, page.arg) == ("messages", "chat", "0")

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it."""
        yield from self.open_chat(pilot, str(goal["name"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open another one."""
        yield from self.open_other(pilot, goal)


class SendMessage(_OneChat):
    """Send a given text in an existing conversation."""

    id = "messages.send_message"
    phrasings = (
        'Send "{text}" to {name}',
        'Text {name}: "{text}"',
        'Message {name} saying "{text}"',
        'Reply "{text}" to {name}',
    )
    goals = len(FIRST_NAMES) * len(TEXTS)
    values = ("text",)
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name and a text."""
        return {**super().draw_goal(rng), "text": TEXTS[int(rng.integers(len(TEXTS)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the conversation among as many others as fit the screen."""
        return _with_chats(state, str(goal["name"]), rng, CHATS_ON_SCREEN)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Exactly that text was sent there."""
        old, new = _chat(before), _chat(now)
        if old is None or new is None or len(new.messages) != len(old.messages) + 1:
            return False
        sent = Message(str(goal["text"]), True, new.messages[-1].at)
        return _became(before, now, messages=(*old.messages, sent))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the chat, type, send."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield from self._send(pilot, str(goal["text"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Send it to somebody else."""
        yield from self.open_other(pilot, goal)
        yield from self._send(pilot, str(goal["text"]))

    def _send(self, pilot: Pilot, text: str) -> Iterator[Action]:
        yield from pilot.type_into("Text message", text)
        yield pilot.tap("Send")


class PinChat(_OneChat):
    """Pin one conversation."""

    id = "messages.pin_chat"
    phrasings = ("Pin the conversation with {name}", "Keep {name} at the top of my messages", "Pin {name} in Messages")
    oracle_steps = 4

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is pinned and else as before."""
        return _became(before, now, pinned=True)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Long-press the row and choose Pin."""
        yield from pilot.launch("Messages")
        yield from scroll_to_row(pilot, str(goal["name"]))
        yield pilot.long_press(row_of(pilot, str(goal["name"])).text)
        yield pilot.tap("Pin")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Pin another one."""
        yield from pilot.launch("Messages")
        yield pilot.long_press(other_row(pilot, str(goal["name"])).text)
        yield pilot.tap("Pin")


class ArchiveChat(_OneChat):
    """Archive one conversation."""

    id = "messages.archive_chat"
    phrasings = (
        "Archive the chat with {name}",
        "Move {name}'s conversation to the archive",
        "Archive {name} in Messages",
    )
    oracle_steps = 5

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is archived and else as before."""
        return _became(before, now, archived=True)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it and choose Archive in the menu."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield pilot.tap("More options")
        yield pilot.tap("Archive")

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Archive another one."""
        yield from self.open_other(pilot, goal)
        yield pilot.tap("More options")
        yield pilot.tap("Archive")


class DeleteChatTask(_OneChat):
    """Delete one conversation and confirm."""

    id = "messages.delete_chat"
    phrasings = ("Delete the conversation with {name}", "Erase my chat with {name}", "Remove all messages from {name}")
    oracle_steps = 6

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """It is gone."""
        return _chat(now) is None

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open it, delete, confirm."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield from self._delete(pilot)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Delete another one."""
        yield from self.open_other(pilot, goal)
        yield from self._delete(pilot)

    def _delete(self, pilot: Pilot) -> Iterator[Action]:
        yield pilot.tap("More options")
        yield pilot.tap("Delete")
        yield pilot.tap("Delete")


class NewMessage(_OneChat):
    """Begin a conversation with somebody from the contacts."""

    id = "messages.new_message"
    apps = ("messages", "contacts")
    phrasings = (
        'Start a new conversation with {name} and send "{text}"',
        'Write a first message to {name}: "{text}"',
        'Begin a chat with {name} with the text "{text}"',
    )
    goals = len(FIRST_NAMES) * len(TEXTS)
    values = ("text",)
    oracle_steps = 7
    unseen = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a name and a text."""
        return {**super().draw_goal(rng), "text": TEXTS[int(rng.integers(len(TEXTS)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """The person is a contact without a conversation."""
        state = with_people(state, str(goal["name"]), rng)
        messages = app_of(state, MessagesState)
        first = str(goal["name"]).split(" ")[0]
        kept = tuple(item for item in messages.conversations if item.name.split(" ")[0] != first)
        return put_app(state, replace(messages, conversations=kept))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Conversations may change."""
        return ("apps.messages.conversations",)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One conversation more, with that person and that text alone."""
        person = app_of(before, ContactsState).person(0)
        old = {item.key for item in app_of(before, MessagesState).conversations}
        added = [item for item in app_of(now, MessagesState).conversations if item.key not in old and item.messages]
        if person is None or len(added) != 1:
            return False
        key, messages = added[0].key, (Message(str(goal["text"]), True, added[0].last_at),)
        written = added[0] == Conversation(key, person.name, person.phone, messages)
        return written and not side_effects(before, now, (f"apps.messages.conversations.{key}",))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Start a chat, pick the person, type, send."""
        yield from self._write(pilot, str(goal["name"]), str(goal["text"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Send something else."""
        yield from self._write(pilot, str(goal["name"]), str(goal["text"]) + " maybe")

    def _write(self, pilot: Pilot, name: str, text: str) -> Iterator[Action]:
        yield from pilot.launch("Messages")
        yield pilot.tap("Start chat")
        yield from scroll_to_row(pilot, name)
        yield pilot.tap_node(row_of(pilot, name))
        yield from pilot.type_into("Text message", text)
        yield pilot.tap("Send")


class AskLastMessage(_OneChat):
    """Answer what somebody wrote last."""

    id = "messages.ask_last"
    phrasings = ("What did {name} write last?", "Read me the last message from {name}", "What is {name}'s latest text?")
    oracle_steps = 4
    judge_at = "finish"

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """The last message of the conversation is theirs and differs from everybody else's."""
        state = _with_chats(state, str(goal["name"]), rng)
        messages = app_of(state, MessagesState)
        code = f"The door code is {int(rng.integers(1000, 9999))}"
        chats = tuple(
            replace(item, messages=(*item.messages, Message(code, False, state.now - 1000)))
            if is_called(item.name, str(goal["name"]))
            else item
            for item in messages.conversations
        )
        return put_app(state, replace(messages, conversations=chats))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer is that message."""
        chat = _chat(before)
        return chat is not None and same_answer(answer, chat.messages[-1].text)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Nothing may change."""
        return ()

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the chat and read."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield Finish(answer=pilot.find("The door code is", contains=True, index=-1).text)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Answer without the digits."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield Finish(answer="The door code is")


TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenChatTask(),
    SendMessage(),
    PinChat(),
    ArchiveChat(),
    DeleteChatTask(),
    NewMessage(),
    AskLastMessage(),
)
