"""`SimPhone`: the embedded phone behind the `Device` and `World` seams.

The one circle of data: touch -> hit test on the last layout -> event -> update -> state -> view -> layout ->
frame. Only the state is kept; layout and frame are caches of what it shows.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, Wait
from android_env_gym.devices.base import DeviceInfo, UiNode
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.state import DeviceConfig, Home, Page, PhoneState, Stack, SystemState
from android_env_gym.phone.system.gestures import perform
from android_env_gym.phone.system.keyboard import is_shown
from android_env_gym.phone.system.reduce import advance, front, handle, page_view, stopped, with_scroll, with_system
from android_env_gym.phone.system.screen import root
from android_env_gym.phone.ui.caret import caret_line
from android_env_gym.phone.ui.layout import Laid, Placed, layout
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.ui.paint import paint
from android_env_gym.phone.ui.theme import theme
from android_env_gym.phone.ui.tree import ui_tree
from android_env_gym.phone.world.boot import boot, first_data
from android_env_gym.phone.world.edit import put_app

ACTION_MS = 400
FOCUS_MARGIN_PX = 16
FONT_SCALES = (0.85, 1.0, 1.15, 1.3)


class SimPhone:
    """A simulated Android phone: deterministic, in this process, nothing installed.

    Args:
        config: Screen, density, font scale, wallpaper, icon layout, latency.
        seed: Decides the phone's contents until a task's setup replaces them.
    """

    def __init__(self, config: DeviceConfig | None = None, seed: int = 0) -> None:
        self._config = config or DeviceConfig()
        self._seed = seed
        self._start = boot(self._config, seed)
        self._state = self._start
        self._laid: Laid | None = None
        self._frame: NDArray[np.uint8] | None = None
        self._shown: tuple[object, ...] = ()

    # --- World ---

    @property
    def state(self) -> PhoneState:
        """The present state."""
        return self._state

    def snapshot(self) -> PhoneState:
        """Return the present state, an immutable value."""
        return self._state

    def restore(self, snapshot: PhoneState) -> None:
        """Continue from `snapshot`."""
        self._set(snapshot)

    def apply_setup(self, state: PhoneState) -> None:
        """Start an episode from `state`: home screen, no keyboard, nothing in recents."""
        self._start = _at_home(state)
        self._set(self._start)

    def fork(self) -> SimPhone:
        """Return an independent phone in the same state."""
        twin = SimPhone.__new__(SimPhone)
        twin.__dict__.update(self.__dict__)
        return twin

    # --- Device ---

    def screenshot(self) -> NDArray[np.uint8]:
        """Return the screen, `(height, width, 3)` uint8 RGB, read-only; the same object while nothing changed."""
        if self._frame is None:
            if self._state.system.screen_on:
                self._frame = paint(self._layout(), theme(self._state.system.settings.dark_theme))
            else:
                width, height = screen_size(self._state)
                self._frame = np.zeros((height, width, 3), np.uint8)
            self._frame.flags.writeable = False
        return self._frame

    def perform(self, action: Action) -> None:
        """Perform one action; virtual time passes, `Wait` as long as it says."""
        state = self._state
        if state.system.screen_on:
            laid = self._layout()
            state = perform(state, laid, action)
            if is_shown(state.system) and _may_be_hidden(self._state, state, laid):
                state = _reveal_focus(state)
        waited = int(action.seconds * 1000) if isinstance(action, Wait) else ACTION_MS
        self._set(advance(state, waited + self._config.latency_ms))

    def ui_tree(self) -> tuple[UiNode, ...]:
        """Return the visible accessibility nodes, with the bounds that are drawn; none while the screen is off."""
        return ui_tree(self._layout()) if self._state.system.screen_on else ()

    def reset(self) -> None:
        """Go back to the start of the episode (the last `apply_setup`, else a fresh phone)."""
        self._set(self._start)

    def info(self) -> DeviceInfo:
        """Describe the phone."""
        return DeviceInfo("sim", "sim", (self._config.width, self._config.height), "Embedded phone")

    def close(self) -> None:
        """Nothing to release."""

    # --- what no action of an agent does: a person's hands, a cable, the power button ---

    def edit(self, change: Callable[[PhoneState], PhoneState]) -> None:
        """Continue from `change(state)`; no time passes."""
        self._set(change(self._state))

    def clear_app(self, app_id: str) -> None:
        """Stop the app with this id and give it the data it has on a fresh phone."""
        self._set(put_app(stopped(self._state, app_id), first_data(app_id, self._seed, self._state.now)))

    def reboot(self) -> None:
        """Start again: what is stored stays, what was running, copied or announced is gone."""
        old = self._state.system
        system = SystemState(settings=old.settings, home_order=old.home_order)
        self._set(_at_home(msgspec.structs.replace(self._state, system=system)))

    # --- caches of what the state shows ---

    def _set(self, state: PhoneState) -> None:
        self._state = state
        shown = _what_is_shown(state)
        if shown != self._shown:
            self._shown, self._laid, self._frame = shown, None, None

    def _layout(self) -> Laid:
        if self._laid is None:
            self._laid = laid_out(self._state)
        return self._laid


def screen_size(state: PhoneState) -> tuple[int, int]:
    """Return the width and height of the screen in pixels as it is held now."""
    width, height = state.config.width, state.config.height
    return (height, width) if state.system.rotation % 2 else (width, height)


def laid_out(state: PhoneState, tree: Node | None = None, *, clipped: bool = True) -> Laid:
    """Return the screen of `state` (or the view tree `tree` on it) laid out, as `layout` says."""
    config = state.config
    scale = config.font_scale * FONT_SCALES[state.system.settings.font_size]
    return layout(
        tree or root(state), *screen_size(state), config.density, scale, dict(front(state).scroll), clipped=clipped
    )


def _what_is_shown(state: PhoneState) -> tuple[object, ...]:
    """Return everything the screen depends on; equal values show equal screens."""
    return (state.apps, state.system, state.config, state.now // 1000 if _needs_seconds(state) else state.now // 60_000)


def _needs_seconds(state: PhoneState) -> bool:
    return APP_BY_ID[front(state).app].shows_seconds


def _at_home(state: PhoneState) -> PhoneState:
    state = with_system(state, stacks=(Stack("launcher", (Page("launcher"),)),))
    return handle(state, Home())


def _may_be_hidden(before: PhoneState, state: PhoneState, laid: Laid) -> bool:
    """Return whether the caret may have left the screen, judged by the layout before the action.

    To find out for certain takes the layout of what is scrolled away too, a tenth of a step.
    """
    old, new = before.system, state.system
    found = _find_field(laid.root, new.focus, None)
    if (old.focus, old.keyboard.hidden) != (new.focus, new.keyboard.hidden):
        return _scrolls(page_view(state), new.focus) if found is None else found[1] is not None
    if (old.caret, front(before).fields) == (new.caret, front(state).fields):
        return False
    if found is None or found[1] is None:
        return found is None
    return any(leaf.lines and leaf.node.lines != 1 for leaf in found[0].children)  # a text that wraps grows


def _reveal_focus(state: PhoneState) -> PhoneState:
    """Scroll so that the caret of the focused field can be seen above the keyboard, as Android does."""
    laid = laid_out(state, clipped=False)
    found = _find_field(laid.root, state.system.focus, None)
    field, container = found or (laid.root, None)
    if container is None:
        return state
    top, bottom = field.top, field.top + field.height
    if bottom - top > container.height:
        top, bottom = caret_line(field, laid.density)
    margin = min(FOCUS_MARGIN_PX, max(0, container.height - (bottom - top)))
    hidden_below = bottom + margin - (container.top + container.height)
    hidden_above = container.top - top
    moved = hidden_below if hidden_below > 0 else -hidden_above if hidden_above > 0 else 0
    offset = min(max(container.offset + moved / laid.density, 0.0), container.scroll_max)
    return with_scroll(state, container.node.scroll, offset) if moved else state


def _scrolls(node: Node, field: str, inside: bool = False) -> bool:
    """Return whether the text field is in a column that can scroll."""
    if node.field == field:
        return inside
    inside = inside or (bool(node.scroll) and node.axis == "column")
    return any(_scrolls(child, field, inside) for child in node.children)


def _find_field(placed: Placed, field: str, container: Placed | None) -> tuple[Placed, Placed | None] | None:
    """Return the placed text field and the innermost column around it that can scroll, None if it is not placed."""
    if placed.node.field == field:
        return placed, container
    inner = placed if placed.node.scroll and placed.node.axis == "column" else container
    for child in placed.children:
        if (found := _find_field(child, field, inner)) is not None:
            return found
    return None
