"""The Messages app: its update."""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.phone.app import App, Context
from android_env_gym.phone.apps.messages import screens
from android_env_gym.phone.apps.messages.state import (
    Archive,
    Conversation,
    DeleteChat,
    MarkAllRead,
    MarkUnread,
    Message,
    MessagesState,
    OpenChat,
    Pin,
    Send,
    StartChat,
)
from android_env_gym.phone.state import Open, Page, Pop, Replace, SetField, ShowDialog, Toast, Unscroll
from android_env_gym.phone.ui.node import Event, Node
from android_env_gym.phone.world.people import draw_people, draw_phone_number

replace = msgspec.structs.replace
MINUTE_MS = 60_000
LINES = (
    "Are we still on for tomorrow?",
    "Running ten minutes late, sorry!",
    "Did you get the tickets?",
    "Thanks for last night, dinner was great",
    "Can you send me the address?",
    "Happy birthday! Hope you have a lovely day",
    "The meeting moved to 3 pm",
    "I left the keys with the neighbor",
    "Sounds good to me",
    "Call me when you get home",
    "The train is delayed again",
    "Could you pick up some milk?",
    "Photos from the trip are online",
    "See you at the game on Saturday",
    "Your package arrived this morning",
    "Let me think about it",
)


class Messages(App[MessagesState]):
    """Conversations, composing, pinning, archiving."""

    id = "messages"
    title = "Messages"
    package = "com.google.android.apps.messaging"
    icon = "message-text"
    color = "#1e8e3e"
    state_type = MessagesState

    def initial(self, rng: np.random.Generator, now: int) -> MessagesState:
        """Return 7 to 10 conversations of 1 to 6 messages over the last days."""
        names = draw_people(rng, int(rng.integers(7, 11)))
        chats = tuple(draw_conversation(rng, key, f"{first} {last}", now) for key, (first, last) in enumerate(names))
        return MessagesState(chats, len(chats))

    def view(self, state: MessagesState, context: Context) -> Node:
        """Return the page in front."""
        return screens.view(state, context)

    def update(self, state: MessagesState, event: Event, context: Context) -> tuple[MessagesState, tuple[Event, ...]]:
        """Open, send, pin, archive, delete."""
        match event:
            case OpenChat(key):
                return _change(state, key, unread=False), (Open(Page("messages", "chat", str(key))),)
            case StartChat(name, phone):
                return _start(state, name, phone, context.page.field("draft"))
            case Send(key):
                return _send(state, key, context)
            case Pin(key, pinned):
                return _change(state, key, pinned=pinned), (ShowDialog(""), Toast("Pinned" if pinned else "Unpinned"))
            case Archive(key, archived):
                told = "Archived" if archived else "Moved to inbox"
                leave = (Pop(),) if context.page.name == "chat" else (ShowDialog(""),)
                return _change(state, key, archived=archived), (*leave, Toast(told))
            case MarkAllRead():
                chats = tuple(replace(item, unread=False) if item.unread else item for item in state.conversations)
                return replace(state, conversations=chats), (ShowDialog(""), Toast("All caught up"))
            case MarkUnread(key):
                return _change(state, key, unread=True), (ShowDialog(""),)
            case DeleteChat(key):
                kept = tuple(item for item in state.conversations if item.key != key)
                leave = (Pop(),) if context.page.name == "chat" else (ShowDialog(""),)
                return replace(state, conversations=kept), (*leave, Toast("Conversation deleted"))
        return state, ()

    def sheet(self, state: MessagesState) -> tuple[Page, ...]:
        """Return the list, a chat with its menu, the archive, a new conversation."""
        key = str(state.conversations[0].key)
        return (
            Page("messages"),
            Page("messages", "chat", key),
            Page("messages", "chat", key, dialog="menu"),
            Page("messages", fields=(("dialog_arg", key),), dialog="selected"),
            Page("messages", "new"),
            Page("messages", "archived"),
        )


def draw_conversation(rng: np.random.Generator, key: int, name: str, now: int) -> Conversation:
    """Return a plausible conversation with `name`."""
    count = int(rng.integers(1, 7))
    ages = np.sort(rng.integers(5, 96 * 60, count))[::-1]
    messages = tuple(
        Message(LINES[int(rng.integers(len(LINES)))], bool(rng.random() < 0.4), now - int(age) * MINUTE_MS)
        for age in ages
    )
    unread = bool(rng.random() < 0.3) and not messages[-1].mine
    return Conversation(key, name, draw_phone_number(rng), messages, unread)


def _change(state: MessagesState, key: int, **values: bool) -> MessagesState:
    chats = tuple(replace(item, **values) if item.key == key else item for item in state.conversations)
    return replace(state, conversations=chats)


def _start(state: MessagesState, name: str, phone: str, draft: str) -> tuple[MessagesState, tuple[Event, ...]]:
    """Show the conversation with `phone`; what another app shared waits in its field."""
    fields = (("draft", draft),) if draft else ()
    known = next((item for item in state.conversations if item.phone == phone), None)
    if known is not None:
        return state, (Replace(Page("messages", "chat", str(known.key), fields)),)
    new = Conversation(state.next_key, name, phone)
    after = MessagesState((*state.conversations, new), state.next_key + 1)
    return after, (Replace(Page("messages", "chat", str(new.key), fields)),)


def _send(state: MessagesState, key: int, context: Context) -> tuple[MessagesState, tuple[Event, ...]]:
    text = context.page.field("draft").strip()
    if not text:
        return state, ()
    if context.settings.airplane_mode:
        return state, (Toast("Not sent. Turn off Airplane mode and try again"),)
    sent = Message(text, True, context.now)
    chats = tuple(
        replace(item, messages=(*item.messages, sent), archived=False) if item.key == key else item
        for item in state.conversations
    )
    return replace(state, conversations=chats), (SetField("draft", ""), Unscroll(f"chat{key}"))
