"""What can be tapped does what it says: no button of any screen only shows a message or does nothing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from android_env_gym.actions import OpenApp, PressKey, Swipe, TypeText
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.apps.contacts.state import ContactsState
from android_env_gym.phone.apps.messages.state import MessagesState
from android_env_gym.phone.apps.messages.state import Send as SendMessage
from android_env_gym.phone.apps.notes.state import CreateLabel, NotesState
from android_env_gym.phone.apps.settings.state import SubmitPassword
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import Focus, Open, Page, PhoneState, Toast
from android_env_gym.phone.system.reduce import front, handle, page_view, with_system
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.web.site import Send
from android_env_gym.phone.world.edit import app_of
from android_env_gym.tasks.pilot import Pilot

# What sends a form: empty, it changes nothing, and says so where something is missing.
FORMS = (Send, SendMessage, CreateLabel, SubmitPassword)


@pytest.fixture
def phone() -> SimPhone:
    return SimPhone(seed=7)


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def on_top(root: Node) -> Node:
    """Return the pop-up of a page if it shows one: what lies below cannot be tapped."""
    return next((node for node in walk(root) if node.modal), root)


def pages() -> Iterator[Page]:
    state = SimPhone(seed=7).state
    for app in APPS:
        data = next(item for item in state.apps if isinstance(item, app.state_type))
        yield from app.sheet(data)
    note = next(item for item in app_of(state, NotesState).notes if item.place == "notes")
    yield Page("notes", "edit", str(note.key), dialog="add")
    yield Page("messages", dialog="menu")
    yield Page("messages", "chat", "0", dialog="details")


def _without_message(state: PhoneState) -> PhoneState:
    return with_system(state, toast="", toast_until=0)


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: f"{page.app}-{page.name}-{page.dialog}-{page.fields}")
def test_every_button_of_a_page_does_something(page: Page) -> None:
    state = handle(SimPhone(seed=7).state, Open(page))
    for node in walk(on_top(page_view(state))):
        if node.on_tap is None or not node.enabled or node.selected or node.checked:
            continue
        assert not isinstance(node.on_tap, Toast), node.label or node.text
        after = handle(state, node.on_tap)
        done = _without_message(after) != state or isinstance(node.on_tap, FORMS)
        assert done, (node.label or node.text, node.on_tap)


def test_a_conversation_is_read_when_all_are_marked_as_read(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    phone.edit(lambda state: handle(state, Open(Page("messages"))))
    assert any(chat.unread for chat in app_of(phone.state, MessagesState).conversations)
    phone.perform(pilot.tap("More options"))
    phone.perform(pilot.tap("Mark all as read"))
    assert not any(chat.unread for chat in app_of(phone.state, MessagesState).conversations)


@pytest.mark.parametrize(("app", "menu"), [("Messages", "More options"), ("Notes", "Open navigation drawer")])
def test_the_settings_of_an_app_are_its_page_in_settings(phone: SimPhone, app: str, menu: str) -> None:
    pilot = Pilot(phone)
    phone.perform(OpenApp(app))
    phone.perform(pilot.tap(menu))
    phone.perform(pilot.tap("Settings"))
    assert (front(phone.state).app, front(phone.state).arg) == ("settings", app.lower())
    assert pilot.sees("App info")


def test_text_on_a_persons_page_opens_the_conversation(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    person = app_of(phone.state, ContactsState).people[0]
    phone.edit(lambda state: handle(state, Open(Page("contacts", "person", str(person.key)))))
    phone.perform(pilot.tap("Text"))
    assert (front(phone.state).app, front(phone.state).name) == ("messages", "chat")
    assert pilot.sees(person.name)
    phone.perform(pilot.tap("Text message"))
    phone.perform(TypeText("hi"))
    phone.perform(pilot.tap("Send"))
    chat = next(item for item in app_of(phone.state, MessagesState).conversations if item.phone == person.phone)
    assert chat.messages[-1].text == "hi"


def test_a_note_is_sent_as_a_message(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    note = next(item for item in app_of(phone.state, NotesState).notes if item.place == "notes" and not item.checklist)
    person = app_of(phone.state, ContactsState).people[0]
    phone.edit(lambda state: handle(state, Open(Page("notes", "edit", str(note.key)))))
    phone.perform(pilot.tap("More options"))
    phone.perform(pilot.tap("Send"))
    for action in pilot.scroll_and_tap(person.name):
        phone.perform(action)
    phone.perform(pilot.tap("Send"))
    chat = next(item for item in app_of(phone.state, MessagesState).conversations if item.phone == person.phone)
    assert chat.messages[-1].text == f"{note.title} {note.body}"


def test_every_printable_character_of_ascii_has_a_key(phone: SimPhone) -> None:
    phone.edit(lambda state: handle(handle(state, Open(Page("contacts", "edit", "-1"))), Focus("first")))
    pilot = Pilot(phone)
    keys: set[str] = set()
    for switch in ("Shift", "Symbols"):
        keys |= {node.label for node in phone.ui_tree() if len(node.label) == 1}
        phone.perform(pilot.tap(switch))
    keys |= {node.label for node in phone.ui_tree() if len(node.label) == 1}
    assert {chr(code) for code in range(33, 127)} <= keys
    for key in "a/_=b":
        if key == "b":
            phone.perform(pilot.tap("Symbols"))
        phone.perform(pilot.tap(key, index=-1)) if pilot.sees(key) else phone.perform(TypeText(key))
    assert front(phone.state).field("first") == "a/_=b"


def test_recents_shows_a_card_for_every_app_and_nothing_of_the_app_below(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    titles = [app.title for app in APPS if app.id != "launcher"]
    for title in titles:
        phone.perform(OpenApp(title))
    phone.perform(PressKey("recents"))
    assert all(pilot.sees(title) for title in titles)
    frame = phone.screenshot()
    assert np.array_equal(frame[400:1180:20, 5:20], np.broadcast_to(frame[600, 5], (39, 15, 3)))  # beside the cards
    phone.perform(pilot.tap(titles[0]))
    assert front(phone.state).app == "browser"
    phone.edit(lambda state: with_system(state, stacks=state.system.stacks[:1]))
    phone.perform(PressKey("recents"))
    assert pilot.sees("No recent items")


def _tall(phone: SimPhone) -> tuple[int, list[str]]:
    """Give the first conversation more messages than a screen holds; return its key and their texts."""
    messages = app_of(phone.state, MessagesState)
    chat = messages.conversations[0]
    lines = [f"Message number {index}" for index in range(30)]
    more = tuple(
        msgspec.structs.replace(chat.messages[0], text=line, at=phone.state.now - 60_000 * (30 - index))
        for index, line in enumerate(lines)
    )
    full = msgspec.structs.replace(chat, messages=more)
    data = msgspec.structs.replace(messages, conversations=(full, *messages.conversations[1:]))
    apps = tuple(data if isinstance(item, MessagesState) else item for item in phone.state.apps)
    phone.edit(lambda state: msgspec.structs.replace(state, apps=apps))
    return chat.key, lines


def test_a_conversation_opens_and_stays_at_its_newest_message(phone: SimPhone) -> None:
    pilot = Pilot(phone)
    key, lines = _tall(phone)
    phone.edit(lambda state: handle(state, Open(Page("messages", "chat", str(key)))))
    assert pilot.sees(lines[-1])
    assert not pilot.sees(lines[0])
    phone.perform(pilot.tap("Text message"))
    assert pilot.sees(lines[-1])  # above the keyboard
    phone.perform(TypeText("the newest"))
    phone.perform(pilot.tap("Send"))
    assert pilot.sees("the newest")
    phone.perform(PressKey("back"))
    for _ in range(10):
        phone.perform(Swipe(0.5, 0.3, 0.5, 0.8))
    assert pilot.sees(lines[0])
    assert not pilot.sees("the newest")
    for _ in range(10):
        phone.perform(Swipe(0.5, 0.8, 0.5, 0.3))
    phone.perform(pilot.tap("Text message"))
    assert pilot.sees("the newest")
    phone.perform(Swipe(0.5, 0.3, 0.5, 0.5))
    phone.perform(TypeText("newer still"))
    phone.perform(pilot.tap("Send"))
    assert pilot.sees("newer still")
