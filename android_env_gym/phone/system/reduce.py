"""`handle(state, event) -> state`: the one place where the phone changes.

System events are handled here; any other event goes to the app in front, whose update may return further
system events. Every function is pure; an event that makes no sense now (a field that is gone) changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from android_env_gym.phone.app import App, AppIcon, ContactCard, Context
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.languages import LANGUAGES
from android_env_gym.phone.state import (
    Back,
    Copy,
    Dismiss,
    EditMenu,
    Focus,
    Home,
    Keyboard,
    KeyTap,
    Launch,
    Notify,
    Open,
    Page,
    PhoneState,
    Pop,
    PutSetting,
    Replace,
    SetField,
    ShowDialog,
    ShowShade,
    Stack,
    SystemEvent,
    Toast,
    Unscroll,
    is_landscape,
)
from android_env_gym.phone.system import keyboard
from android_env_gym.phone.ui.hit import field_node
from android_env_gym.phone.ui.node import Event, Node, Slid
from android_env_gym.phone.ui.popups import POP_UP
from android_env_gym.phone.world.edit import put_app, put_settings

replace = msgspec.structs.replace

MAX_CHAIN = 64
TOAST_MS = 3500
SECOND_MS = 1000
MINUTE_MS = 60_000


def handle(state: PhoneState, event: Event) -> PhoneState:
    """Return the state after `event` and everything that follows from it.

    Raises:
        RuntimeError: Apps answered each other's events more than `MAX_CHAIN` times.
    """
    pending: deque[Event] = deque([event])
    for _ in range(MAX_CHAIN):
        if not pending:
            return state
        current = pending.popleft()
        if isinstance(current, SystemEvent):
            state, follow = _SYSTEM[type(current)](state, current)
        else:
            state, follow = _dispatch(state, current)
        pending.extendleft(reversed(follow))
    raise RuntimeError(f"the event {event!r} led to more than {MAX_CHAIN} further events")


def advance(state: PhoneState, milliseconds: int) -> PhoneState:
    """Return the state `milliseconds` of virtual time later: toasts end, timers ring."""
    state = replace(state, now=state.now + milliseconds)
    if state.system.toast and state.now >= state.system.toast_until:
        state = with_system(state, toast="", toast_until=0)
    for app in _TICKING:
        index = _index(state, app.id)
        new, events = app.tick(state.apps[index], context(state, app))
        if new is not state.apps[index]:
            state = put_app(state, new)
        for event in events:
            state = handle(state, event)
    return state


def front(state: PhoneState) -> Page:
    """Return the page in front."""
    return state.system.stacks[-1].pages[-1]


def context(state: PhoneState, app: App[Any]) -> Context:
    """Return what the system tells `app` about the page in front."""
    step = SECOND_MS if app.shows_seconds else MINUTE_MS
    return Context(
        page=front(state),
        now=state.now // step * step,
        config=state.config,
        settings=state.system.settings,
        contacts=_contacts(state),
        installed=_icons(state.system.home_order, state.system.settings.language),
        landscape=is_landscape(state),
    )


def page_view(state: PhoneState) -> Node:
    """Return the view tree of the page in front."""
    page = front(state)
    app = APP_BY_ID[page.app]
    return app.view(state.apps[_index(state, page.app)], context(state, app))


def with_system(state: PhoneState, **changes: Any) -> PhoneState:
    """Return `state` with fields of its system part replaced."""
    return replace(state, system=replace(state.system, **changes))


def with_front(state: PhoneState, page: Page) -> PhoneState:
    """Return `state` with the page in front replaced by `page` (of the same app)."""
    top = state.system.stacks[-1]
    stack = replace(top, pages=(*top.pages[:-1], page))
    return with_system(state, stacks=(*state.system.stacks[:-1], stack))


def with_scroll(state: PhoneState, name: str, offset: float | None) -> PhoneState:
    """Return `state` with scroll container `name` of the page in front at `offset` dp, None: where it begins."""
    page = front(state)
    rest = tuple(item for item in page.scroll if item[0] != name)
    here = () if offset is None else ((name, round(offset, 1)),)
    return with_front(state, replace(page, scroll=(*rest, *here)))


def stopped(state: PhoneState, app_id: str) -> PhoneState:
    """Return `state` without the app's back stack; the home screen follows if the app was in front."""
    if app_id == "launcher" or all(stack.app != app_id for stack in state.system.stacks):
        return state
    was_in_front = front(state).app == app_id
    stacks = tuple(stack for stack in state.system.stacks if stack.app != app_id)
    state = with_system(state, stacks=stacks)
    return _home(state, Home())[0] if was_in_front else state


def _contacts(state: PhoneState) -> tuple[ContactCard, ...]:
    for app, data in zip(map(_app_of_state, state.apps), state.apps, strict=True):
        if cards := app.contacts(data):
            return cards
    return ()


@lru_cache(maxsize=32)
def _icons(order: tuple[str, ...], language: str) -> tuple[AppIcon, ...]:
    titles = LANGUAGES[language].apps
    return tuple(AppIcon(name, titles[name], APP_BY_ID[name].icon, APP_BY_ID[name].color) for name in order)


def _app_of_state(data: Any) -> App[Any]:
    return APP_BY_ID[data.__struct_config__.tag]


def _index(state: PhoneState, app_id: str) -> int:
    for index, data in enumerate(state.apps):
        if data.__struct_config__.tag == app_id:
            return index
    raise KeyError(f"app {app_id!r} is not installed; installed: {', '.join(APP_BY_ID)}")


def _dispatch(state: PhoneState, event: Event) -> tuple[PhoneState, tuple[Event, ...]]:
    if isinstance(event, Slid) and state.system.shade:
        return put_settings(state, **{event.slider: event.value}), ()  # a slider of quick settings, not of the app
    page = front(state)
    app = APP_BY_ID[page.app]
    index = _index(state, page.app)
    new, events = app.update(state.apps[index], event, context(state, app))
    if new is not state.apps[index]:
        state = put_app(state, new)
    return state, events


Handled = tuple[PhoneState, tuple[Event, ...]]
_UNEDITED: dict[str, Any] = {"selected": False, "caret": -1, "paste_offered": False}
_UNFOCUSED: dict[str, Any] = {"focus": "", "keyboard": Keyboard(), **_UNEDITED}


def _open(state: PhoneState, event: Open) -> Handled:
    # A menu or sheet that led here must not be open again on the way back.
    state = with_front(state, replace(front(state), dialog=""))
    stacks = {stack.app: stack for stack in state.system.stacks}
    pages = stacks.pop(event.page.app, Stack(event.page.app, ())).pages
    stack = Stack(event.page.app, (*pages, event.page))
    return with_system(state, stacks=(*stacks.values(), stack), shade="", **_UNFOCUSED), ()


def _replace(state: PhoneState, event: Replace) -> Handled:
    top = state.system.stacks[-1]
    if event.page.app != top.app:
        return _open(state, Open(event.page))
    return with_system(with_front(state, event.page), **_UNFOCUSED), ()


def _pop(state: PhoneState, event: Pop) -> Handled:
    top = state.system.stacks[-1]
    kept = top.pages[: -event.count] if event.count else top.pages
    state = with_system(state, **_UNFOCUSED)
    if kept:
        return with_system(state, stacks=(*state.system.stacks[:-1], Stack(top.app, kept))), ()
    if top.app == "launcher":
        return with_system(state, stacks=(*state.system.stacks[:-1], Stack("launcher", (Page("launcher"),)))), ()
    return _home(with_system(state, stacks=state.system.stacks[:-1]), Home())


def _launch(state: PhoneState, event: Launch) -> Handled:
    if event.app == "launcher":
        return _home(state, Home())
    rest = tuple(stack for stack in state.system.stacks if stack.app != event.app)
    found = next((stack for stack in state.system.stacks if stack.app == event.app), None)
    stack = found or Stack(event.app, (Page(event.app),))
    return with_system(state, stacks=(*rest, stack), shade="", **_UNFOCUSED), ()


def _home(state: PhoneState, event: Home) -> Handled:
    rest = tuple(stack for stack in state.system.stacks if stack.app != "launcher")
    launcher = Stack("launcher", (Page("launcher"),))
    return with_system(state, stacks=(*rest, launcher), shade="", **_UNFOCUSED), ()


def _back(state: PhoneState, event: Back) -> Handled:
    system = state.system
    if system.shade:
        return with_system(state, shade=""), ()
    if keyboard.is_shown(system):
        return with_system(state, keyboard=replace(system.keyboard, hidden=True)), ()
    page = front(state)
    if page.dialog:
        return with_system(with_front(state, replace(page, dialog="")), **_UNFOCUSED), ()
    return _pop(state, Pop())


def _shade(state: PhoneState, event: ShowShade) -> Handled:
    return with_system(state, shade=event.panel, **_UNFOCUSED), ()


def _focus(state: PhoneState, event: Focus) -> Handled:
    editing = {**_UNEDITED, "caret": event.caret}
    return with_system(state, focus=event.field, keyboard=Keyboard(), **editing), ()


def _set_field(state: PhoneState, event: SetField) -> Handled:
    return with_front(state, front(state).with_field(event.field, event.value)), ()


def _unscroll(state: PhoneState, event: Unscroll) -> Handled:
    return with_scroll(state, event.name, None), ()


def _show_dialog(state: PhoneState, event: ShowDialog) -> Handled:
    page = replace(front(with_scroll(state, POP_UP, None)), dialog=event.dialog)
    if event.dialog:
        page = page.with_field("dialog_arg", event.arg)
    return with_system(with_front(state, page), **_UNFOCUSED), ()


def _toast(state: PhoneState, event: Toast) -> Handled:
    return with_system(state, toast=event.text, toast_until=state.now + TOAST_MS), ()


def _put_setting(state: PhoneState, event: PutSetting) -> Handled:
    return put_settings(state, **{event.name: event.value}), ()


def _notify(state: PhoneState, event: Notify) -> Handled:
    return with_system(state, notifications=(*state.system.notifications, event.notification)), ()


def _dismiss(state: PhoneState, event: Dismiss) -> Handled:
    items = state.system.notifications
    kept = tuple(item for index, item in enumerate(items) if event.index not in (-1, index))
    return with_system(state, notifications=kept), ()


def _copy(state: PhoneState, event: Copy) -> Handled:
    return with_system(state, clipboard=event.text), ()


def _key(state: PhoneState, event: KeyTap) -> Handled:
    system = state.system
    if event.key in ("shift", "symbols", "hide"):
        return with_system(state, keyboard=keyboard.toggle(system.keyboard, event.key)), ()
    if not system.focus:
        return state, ()
    node = field_node(page_view(state), system.focus)
    if node is None:
        return state, ()
    if event.key == "enter" and node.lines <= 1:
        submit = (node.on_submit,) if node.on_submit is not None else ()
        return with_system(state, keyboard=replace(system.keyboard, hidden=True)), submit
    return _edited(state, *keyboard.typed(front(state).field(system.focus, node.text), event.key, system)), ()


def _edit_menu(state: PhoneState, event: EditMenu) -> Handled:
    system = state.system
    node = field_node(page_view(state), system.focus) if system.focus else None
    if node is None:
        return state, ()
    text = front(state).field(system.focus, node.text)
    if event.command == "select_all":
        return with_system(state, selected=bool(text), paste_offered=not text and bool(system.clipboard)), ()
    if event.command == "paste":
        return (type_text(state, system.clipboard) if system.clipboard else state), ()
    if event.command == "cut" and system.selected:
        return _edited(with_system(state, clipboard=text), "", -1), ()
    return with_system(state, clipboard=text, selected=False), ()


def type_text(state: PhoneState, text: str) -> PhoneState:
    """Return `state` with `text` typed at the caret of the focused field; unchanged if nothing has the focus."""
    node = field_node(page_view(state), state.system.focus) if state.system.focus else None
    if node is None:
        return state
    old = front(state).field(state.system.focus, node.text)
    new = text if node.lines > 1 else text.replace("\n", " ")
    return _edited(state, *keyboard.inserted(old, new, state.system))


def _edited(state: PhoneState, text: str, caret: int) -> PhoneState:
    system = state.system
    state = with_front(state, front(state).with_field(system.focus, text))
    editing = {**_UNEDITED, "caret": caret}
    return with_system(state, keyboard=replace(system.keyboard, shift=False, hidden=False), **editing)


_SYSTEM: dict[type[SystemEvent], Callable[[PhoneState, Any], Handled]] = {
    Open: _open,
    Replace: _replace,
    Pop: _pop,
    Launch: _launch,
    Home: _home,
    Back: _back,
    ShowShade: _shade,
    Focus: _focus,
    SetField: _set_field,
    Unscroll: _unscroll,
    ShowDialog: _show_dialog,
    Toast: _toast,
    PutSetting: _put_setting,
    Notify: _notify,
    Dismiss: _dismiss,
    Copy: _copy,
    KeyTap: _key,
    EditMenu: _edit_menu,
}
_TICKING = tuple(app for app in APP_BY_ID.values() if type(app).tick is not App.tick)
