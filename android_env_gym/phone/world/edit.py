"""Reading and replacing parts of a `PhoneState`; used by the system, by task templates and by judges."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from android_env_gym.phone.state import AppState, PhoneState

S = TypeVar("S", bound=AppState)
replace = msgspec.structs.replace


def app_of(state: PhoneState, kind: type[S]) -> S:
    """Return the data of the app whose state class is `kind`.

    Raises:
        KeyError: That app is not installed.
    """
    for item in state.apps:
        if type(item) is kind:
            return item
    raise KeyError(f"{kind.__name__} is not among the installed apps' states")


def put_app(state: PhoneState, app_state: AppState) -> PhoneState:
    """Return `state` with the data of `app_state`'s app replaced by it."""
    kind = type(app_state)
    apps = tuple(app_state if type(item) is kind else item for item in state.apps)
    return replace(state, apps=apps)


def put_settings(state: PhoneState, **values: bool | int | float | str) -> PhoneState:
    """Return `state` with fields of `system.settings` replaced."""
    settings = replace(state.system.settings, **values)
    return replace(state, system=replace(state.system, settings=settings))
