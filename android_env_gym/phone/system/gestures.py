"""From an action to events: hit test on what is drawn, swipes, edge gestures, keys.

`perform(state, laid, action) -> state` is pure; `laid` is the layout of the frame the agent saw.
"""

from __future__ import annotations

from android_env_gym.actions import Action, LongPress, OpenApp, PressKey, Swipe, Tap, TypeText
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.languages import LANGUAGES
from android_env_gym.phone.state import Back, EditMenu, Focus, Home, KeyTap, Launch, PhoneState, ShowShade
from android_env_gym.phone.system.reduce import handle, type_text, with_scroll
from android_env_gym.phone.ui import hit
from android_env_gym.phone.ui.caret import caret_at
from android_env_gym.phone.ui.layout import Laid
from android_env_gym.phone.ui.node import Event, Slid

EDGE = 0.04
TOP = 0.05
BOTTOM = 0.96
SLOP_DP = 8.0  # a finger that moves less than this taps, as on Android
KEY_EVENTS: dict[str, Event] = {
    "back": Back(),
    "home": Home(),
    "recents": ShowShade("recents"),
    "enter": KeyTap("enter"),
    "delete": KeyTap("delete"),
}


def perform(state: PhoneState, laid: Laid, action: Action) -> PhoneState:
    """Return the state after the agent's `action` on the screen `laid`; time does not pass here."""
    match action:
        case Tap(x, y):
            return _tap(state, laid, *_pixel(laid, x, y))
        case LongPress(x, y):
            return _long_press(state, laid, *_pixel(laid, x, y))
        case Swipe():
            return _swipe(state, laid, action)
        case TypeText(text):
            return type_text(state, text)
        case PressKey(key):
            return handle(state, KEY_EVENTS[key])
        case OpenApp(name):
            return _open_app(state, name)
        case _:
            return state


def find_app(name: str, language: str) -> str | None:
    """Return the id of the app with this title, in English or in `language`, or package name; None if there is none."""
    wanted = name.strip().casefold()
    titles = LANGUAGES[language].apps
    for app in APP_BY_ID.values():
        names = (app.title, titles.get(app.id, app.title), app.package, app.id)
        if wanted in (item.casefold() for item in names):
            return app.id
    return None


def _open_app(state: PhoneState, name: str) -> PhoneState:
    app_id = find_app(name, state.system.settings.language)
    return state if app_id is None else handle(state, Launch(app_id))


def _tap(state: PhoneState, laid: Laid, x: int, y: int) -> PhoneState:
    found = hit.hit(laid, x, y, "tap")
    if found is None:
        return state
    event = Focus(found.field, caret_at(found.placed, x, y, laid.density)) if found.field else found.event
    return state if event is None else handle(state, event)


def _long_press(state: PhoneState, laid: Laid, x: int, y: int) -> PhoneState:
    found = hit.hit(laid, x, y, "long_press")
    if found is None:
        return state
    if found.field:
        return handle(handle(state, Focus(found.field)), EditMenu("select_all"))
    return state if found.event is None else handle(state, found.event)


def _on_pixels(laid: Laid, swipe: Swipe) -> Swipe:
    """Return the swipe between the centres of its pixels: a touch screen knows no finer points."""
    (x1, y1), (x2, y2) = _pixel(laid, swipe.x1, swipe.y1), _pixel(laid, swipe.x2, swipe.y2)
    return Swipe((x1 + 0.5) / laid.width, (y1 + 0.5) / laid.height, (x2 + 0.5) / laid.width, (y2 + 0.5) / laid.height)


def _swipe(state: PhoneState, laid: Laid, swipe: Swipe) -> PhoneState:
    swipe = _on_pixels(laid, swipe)
    if max(abs(swipe.x2 - swipe.x1) * laid.width, abs(swipe.y2 - swipe.y1) * laid.height) < SLOP_DP * laid.density:
        return _tap(state, laid, *_pixel(laid, swipe.x1, swipe.y1))
    edge = _edge_gesture(state, swipe)
    if edge is not None:
        return handle(state, edge)
    dx, dy = (swipe.x2 - swipe.x1) * laid.width, (swipe.y2 - swipe.y1) * laid.height
    x, y = _pixel(laid, swipe.x1, swipe.y1)
    slider = hit.slider_at(laid, x, y)
    if slider is not None and abs(dx) >= abs(dy):
        return handle(state, Slid(slider.node.slider, hit.slider_value(slider, round(x + dx), laid.density)))
    direction: hit.Gesture
    if abs(dx) > abs(dy):
        direction = "swipe_right" if dx > 0 else "swipe_left"
    else:
        direction = "swipe_down" if dy > 0 else "swipe_up"
    if direction in ("swipe_up", "swipe_down"):
        moved = _scroll(state, laid, x, y, -dy)
        if moved is not state:
            return moved
    found = hit.hit(laid, x, y, direction)
    return state if found is None or found.event is None else handle(state, found.event)


def _pixel(laid: Laid, x: float, y: float) -> tuple[int, int]:
    return min(int(x * laid.width), laid.width - 1), min(int(y * laid.height), laid.height - 1)


def _edge_gesture(state: PhoneState, swipe: Swipe) -> Event | None:
    dx, dy = swipe.x2 - swipe.x1, swipe.y2 - swipe.y1
    if swipe.y1 <= TOP and dy > 0.1:
        return ShowShade("quick" if state.system.shade == "notifications" else "notifications")
    if state.system.shade in ("notifications", "quick") and dy < -0.1:
        return ShowShade("")
    if swipe.y1 >= BOTTOM and dy < -0.1:
        return Home()
    if (swipe.x1 <= EDGE and dx > 0.15) or (swipe.x1 >= 1 - EDGE and dx < -0.15):
        return Back() if abs(dx) > abs(dy) else None
    return None


def _scroll(state: PhoneState, laid: Laid, x: int, y: int, dy: float) -> PhoneState:
    container = hit.scroll_at(laid, x, y)
    if container is None or container.scroll_max <= 0:
        return state
    new = round(min(max(container.offset + dy / laid.density, 0.0), container.scroll_max), 1)
    if new == container.offset:
        return state
    # A list of newest-last rows that is at its end stays there when a row comes or the keyboard takes room.
    stays = container.node.from_end and new == round(container.scroll_max, 1)
    return with_scroll(state, container.node.scroll, None if stays else new)
