"""What the task templates of Settings share: where a setting is, and how an oracle gets there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np

from android_env_gym.actions import Action
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.apps.settings.catalog import PAGES, paths, rows_of
from android_env_gym.phone.apps.settings.row_types import Choice, Link, Switch
from android_env_gym.phone.apps.settings.rows import SYSTEM_NAMES
from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of, put_app, put_settings, replace
from android_env_gym.tasks.pilot import Pilot

STATES = ("on", "off")
T = TypeVar("T")
Value = bool | int | float | str


def pick(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    """Return one of `options`."""
    return options[int(rng.integers(len(options)))]


def spoken(title: str) -> str:
    """Return a row's title as people say it: "Use Data Saver" is "Data Saver"."""
    return title.removeprefix("Use ")


@lru_cache(maxsize=1)
def switches() -> dict[str, tuple[str, Switch]]:
    """Return (page, row) of every switch by its spoken title."""
    found: dict[str, tuple[str, Switch]] = {}
    for page in paths():
        for row in rows_of(page):
            if isinstance(row, Switch):
                found[spoken(row.title)] = (page, row)
    return found


@lru_cache(maxsize=1)
def choices() -> dict[str, tuple[str, Choice]]:
    """Return (page, row) of every choice by its title."""
    found: dict[str, tuple[str, Choice]] = {}
    for page in paths():
        for row in rows_of(page):
            if isinstance(row, Choice):
                found[row.title] = (page, row)
    return found


@lru_cache(maxsize=1)
def page_titles() -> dict[str, str]:
    """Return the page that each link's title leads to."""
    return {row.title: row.page for page in paths() for row in rows_of(page) if isinstance(row, Link)}


def path_of(setting: str) -> str:
    """Return the data path of a setting as `diff` prints it."""
    return f"system.settings.{setting}" if setting in SYSTEM_NAMES else f"apps.settings.preferences.{setting}"


def get(state: PhoneState, setting: str) -> Value:
    """Return the value of a setting, whoever keeps it."""
    if setting in SYSTEM_NAMES:
        return getattr(state.system.settings, setting)
    return getattr(app_of(state, SettingsState).preferences, setting)


def put(state: PhoneState, setting: str, value: Value) -> PhoneState:
    """Return `state` with a setting changed, whoever keeps it."""
    if setting in SYSTEM_NAMES:
        return put_settings(state, **{setting: value})
    data = app_of(state, SettingsState)
    return put_app(state, replace(data, preferences=replace(data.preferences, **{setting: value})))


def walk(pilot: Pilot, page: str) -> Iterator[Action]:
    """Open Settings and tap the way to `page`."""
    yield from pilot.launch("Settings")
    for title in paths()[page]:
        yield from pilot.scroll_and_tap(title)


def title_of(page: str) -> str:
    """Return the title of a page."""
    return PAGES[page].title


def slider_fraction(node: UiNode, value: float) -> float:
    """Return where along a slider's width (0-1) its `value` lies: the track is inset by 0.24 of its height."""
    left, top, right, bottom = node.bounds
    inset = 0.24 * (bottom - top)
    return (inset + value * (right - left - 2 * inset)) / (right - left)
