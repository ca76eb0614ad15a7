"""Task templates of Messages."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish
from android_env_gym.phone.apps.contacts.tasks import other_row, with_people
from android_env_gym.phone.apps.messages.app import draw_conversation
from android_env_gym.phone.apps.messages.state import Conversation, Message, MessagesState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.world.edit import app_of, put_app
from android_env_gym.phone.world.people import FIRST_NAMES, LAST_NAMES, draw_people
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
    """Return `state` with `count` conversations in random order, one of them with `wanted` (a first name)."""
    others = [name for name in draw_people(rng, count) if name[0] != wanted][: count - 1]
    names = [f"{wanted} {LAST_NAMES[int(rng.integers(len(LAST_NAMES)))]}", *(" ".join(name) for name in others)]
    chats = [draw_conversation(rng, key, name, state.now) for key, name in enumerate(names)]
    return put_app(state, MessagesState(tuple(chats), len(chats)))


def _chat_with(state: PhoneState, first: str) -> Conversation | None:
    chats = app_of(state, MessagesState).conversations
    return next((item for item in chats if item.name.split(" ")[0] == first), None)


def _others_unchanged(before: PhoneState, now: PhoneState, first: str) -> bool:
    old, new = ({item.key: item for item in app_of(state, MessagesState).conversations} for state in (before, now))
    return old.keys() == new.keys() and all(
        new[key].messages == item.messages and new[key].pinned == item.pinned and new[key].archived == item.archived
        for key, item in old.items()
        if item.name.split(" ")[0] != first
    )


class _OneChat(TaskTemplate):
    """Shared by the templates whose goal is one conversation, known by a first name."""

    apps = ("messages",)
    goals = len(FIRST_NAMES)

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a first name."""
        return {"name": FIRST_NAMES[int(rng.integers(len(FIRST_NAMES)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the conversation among the others."""
        return _with_chats(state, str(goal["name"]), rng)

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Only conversations may change."""
        return ("apps.messages.conversations",)

    def open_chat(self, pilot: Pilot, name: str) -> Iterator[Action]:
        """Launch Messages and open the conversation with `name`."""
        yield from pilot.launch("Messages")
        yield from pilot.scroll_and_tap(f"{name} ", contains=True)

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
        page, chat = front(now), _chat_with(now, str(goal["name"]))
        return chat is not None and (page.app, page.name, page.arg) == ("messages", "chat", str(chat.key))

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
    oracle_steps = 5

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a first name and a text."""
        return {**super().draw_goal(rng), "text": TEXTS[int(rng.integers(len(TEXTS)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Put the conversation among as many others as fit the screen."""
        return _with_chats(state, str(goal["name"]), rng, CHATS_ON_SCREEN)

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Exactly that text was sent there and nothing elsewhere."""
        name = str(goal["name"])
        old, new = _chat_with(before, name), _chat_with(now, name)
        if old is None or new is None or not _others_unchanged(before, now, name):
            return False
        sent = [(item.text, item.mine) for item in new.messages[len(old.messages) :]]
        return sent == [(goal["text"], True)]

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
        """It is the only pinned conversation."""
        pinned = [item.name.split(" ")[0] for item in app_of(now, MessagesState).conversations if item.pinned]
        return pinned == [goal["name"]] and _others_unchanged(before, now, str(goal["name"]))

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Long-press the row and choose Pin."""
        yield from pilot.launch("Messages")
        name = f"{goal['name']} "
        yield from pilot.scroll_to(name, contains=True)
        yield pilot.long_press(name, contains=True)
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
        """It is the only archived conversation."""
        archived = [item.name.split(" ")[0] for item in app_of(now, MessagesState).conversations if item.archived]
        return archived == [goal["name"]] and _others_unchanged(before, now, str(goal["name"]))

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
        """It is gone, the others are there."""
        gone = _chat_with(before, str(goal["name"]))
        old, new = app_of(before, MessagesState).conversations, app_of(now, MessagesState).conversations
        return gone is not None and [item.key for item in new] == [item.key for item in old if item.key != gone.key]

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
    oracle_steps = 7
    unseen = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw a first name and a text."""
        return {**super().draw_goal(rng), "text": TEXTS[int(rng.integers(len(TEXTS)))]}

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """The person is a contact without a conversation."""
        state = with_people(state, str(goal["name"]), rng)
        messages = app_of(state, MessagesState)
        kept = tuple(item for item in messages.conversations if item.name.split(" ")[0] != goal["name"])
        return put_app(state, replace(messages, conversations=kept))

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Conversations and the key counter may change."""
        return ("apps.messages.conversations", "apps.messages.next_key")

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """One conversation more, with that person and that text alone."""
        old, new = app_of(before, MessagesState).conversations, app_of(now, MessagesState).conversations
        added = [(item.name.split(" ")[0], [text.text for text in item.messages]) for item in new[len(old) :]]
        return new[: len(old)] == old and added == [(goal["name"], [goal["text"]])]

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Start a chat, pick the person, type, send."""
        yield from self._write(pilot, str(goal["name"]), str(goal["text"]))

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Send something else."""
        yield from self._write(pilot, str(goal["name"]), str(goal["text"]) + " maybe")

    def _write(self, pilot: Pilot, name: str, text: str) -> Iterator[Action]:
        yield from pilot.launch("Messages")
        yield pilot.tap("Start chat")
        yield from pilot.scroll_and_tap(f"{name} ", contains=True)
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
            if item.name.split(" ")[0] == goal["name"]
            else item
            for item in messages.conversations
        )
        return put_app(state, replace(messages, conversations=chats))

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """The answer contains that message."""
        chat = _chat_with(before, str(goal["name"]))
        return answer is not None and chat is not None and _plain(chat.messages[-1].text) in _plain(answer)

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Open the chat and read."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield Finish(answer=pilot.find("The door code is", contains=True, index=-1).text)

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Answer without the digits."""
        yield from self.open_chat(pilot, str(goal["name"]))
        yield Finish(answer="The door code is")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


TEMPLATES: tuple[TaskTemplate, ...] = (
    OpenChatTask(),
    SendMessage(),
    PinChat(),
    ArchiveChat(),
    DeleteChatTask(),
    NewMessage(),
    AskLastMessage(),
)
