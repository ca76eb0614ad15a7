"""The contact sheet: every screen of every app in one picture, to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.apps import APPS
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import Focus, Launch, Open, Page, PhoneState
from android_env_gym.phone.system.reduce import handle, page_view, with_system
from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.world.edit import put_settings

COLUMNS = 14
GAP = 16
SCALE = 0.5


def write_sheet(path: Path, *, dark: bool = False, seed: int = 7) -> int:
    """Draw every app's `sheet` pages, the shade, quick settings and the keyboard into `path`; return how many.

    Raises:
        OSError: `path` cannot be written.
    """
    frames = screens(dark=dark, seed=seed)
    height, width = (round(side * SCALE) for side in frames[0].shape[:2])
    rows = -(-len(frames) // COLUMNS)
    sheet = np.full((rows * (height + GAP) + GAP, COLUMNS * (width + GAP) + GAP, 3), 225, np.uint8)
    for index, frame in enumerate(frames):
        top = GAP + index // COLUMNS * (height + GAP)
        left = GAP + index % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = cv2.resize(
            frame, (width, height), interpolation=cv2.INTER_AREA
        )
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    path.write_bytes(encoded.tobytes())
    return len(frames)


def screens(*, dark: bool = False, seed: int = 7) -> list[NDArray[np.uint8]]:
    """Return a frame `(height, width, 3)` of every kind of screen."""
    phone = SimPhone(seed=seed)
    return [_frame(phone, state) for state in states(seed=seed, dark_theme=dark)]


def states(*, seed: int = 7, **settings: bool | int | float | str) -> list[PhoneState]:
    """Return a state of the phone for every kind of screen, with fields of its settings replaced."""
    home = put_settings(SimPhone(seed=seed).snapshot(), **settings)
    found = []
    for app in APPS:
        data = next(item for item in home.apps if isinstance(item, app.state_type))
        found += [handle(home, Open(page)) for page in app.sheet(data)]
    used = home
    for app in APPS[1:]:
        used = handle(used, Launch(app.id))
    found += [with_system(used, shade=panel) for panel in ("notifications", "quick", "recents")]
    return [*found, _with_keyboard(handle(home, Open(Page("launcher", "drawer"))))]


def _frame(phone: SimPhone, state: PhoneState) -> NDArray[np.uint8]:
    phone.restore(state)
    return phone.screenshot()


def _with_keyboard(state: PhoneState) -> PhoneState:
    fields = [node.field for node in _walk(page_view(state)) if node.field]
    return handle(state, Focus(fields[0]))


def _walk(node: Node) -> list[Node]:
    return [node, *(item for child in node.children for item in _walk(child))]
