"""What an app of the phone is: data, a view and an update; all three are values and pure functions.

One app is one folder under `phone/apps/`: `state.py` (data), `screens.py` (view), `app.py` (the `App` and
its update), `tasks.py` (its task templates). An app never reads another app's state; what the system
shares (settings, the contacts provider, the clock) comes in `Context`.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import msgspec
import numpy as np

from android_env_gym.phone.state import AppState, DeviceConfig, DeviceSettings, Page
from android_env_gym.phone.ui.node import Event, Node

S = TypeVar("S", bound=AppState)


class ContactCard(msgspec.Struct, frozen=True):
    """What the contacts provider shares with other apps."""

    name: str
    phone: str


class AppIcon(msgspec.Struct, frozen=True):
    """How an installed app appears in the launcher, in recents and in notifications."""

    id: str
    title: str
    icon: str
    color: str


class Context(msgspec.Struct, frozen=True):
    """What the system tells an app: the page to show, the clock, settings, shared contacts, installed apps, and how
    the screen is held.

    `now` is virtual milliseconds since the epoch (UTC), rounded down to the minute, or to the second for
    an app with `shows_seconds`, so that equal contexts give equal views.
    """

    page: Page
    now: int
    config: DeviceConfig
    settings: DeviceSettings
    contacts: tuple[ContactCard, ...] = ()
    installed: tuple[AppIcon, ...] = ()
    landscape: bool = False


class App(Generic[S]):
    """An installed app. Instances hold no state: every method is a pure function of its arguments.

    Attributes:
        id: Short name, also the `tag` of its state ("clock").
        title: Name under the icon ("Clock").
        package: Android package name.
        icon: Material Design Icons name of the launcher icon.
        color: "#rrggbb" behind the icon.
        state_type: The class of its data.
        shows_seconds: True if views or `tick` need the clock by the second.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str]
    icon: ClassVar[str]
    color: ClassVar[str]
    state_type: ClassVar[type[AppState]]
    shows_seconds: ClassVar[bool] = False

    def initial(self, rng: np.random.Generator, now: int) -> S:
        """Return seeded, plausible data for a fresh phone."""
        raise NotImplementedError

    def view(self, state: S, context: Context) -> Node:
        """Return the view tree of `context.page` (below the status bar, above the keyboard)."""
        raise NotImplementedError

    def update(self, state: S, event: Event, context: Context) -> tuple[S, tuple[Event, ...]]:
        """Return the state after `event` and the system events to perform next, in order."""
        raise NotImplementedError

    def tick(self, state: S, context: Context) -> tuple[S, tuple[Event, ...]]:
        """React to time having passed up to `context.now`."""
        return state, ()

    def contacts(self, state: S) -> tuple[ContactCard, ...]:
        """Return what this app gives to the contacts provider."""
        return ()

    def sheet(self, state: S) -> tuple[Page, ...]:
        """Return a page of every kind the app has, for the contact sheet and the tests."""
        return (Page(self.id),)
