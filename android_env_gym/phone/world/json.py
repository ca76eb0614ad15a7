"""`PhoneState` to and from JSON; apps are told apart by the tag of their state class."""

from __future__ import annotations

from typing import Any

import msgspec

from android_env_gym.phone.apps import APPS
from android_env_gym.phone.state import PhoneState


def to_json(state: PhoneState) -> bytes:
    """Return the whole phone as JSON."""
    return msgspec.json.encode(state)


def from_json(data: bytes) -> PhoneState:
    """Return the phone that `to_json` wrote.

    Raises:
        msgspec.ValidationError: `data` is not a phone, or it has an app that is not installed.
    """
    raw: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    kinds = {app.id: app.state_type for app in APPS}
    apps = []
    for item in raw.get("apps", ()):
        kind = kinds.get(item.get("type", ""))
        if kind is None:
            raise msgspec.ValidationError(f"unknown app state {item.get('type')!r}; installed: {', '.join(kinds)}")
        apps.append(msgspec.convert(item, kind))
    state = msgspec.convert({**raw, "apps": ()}, PhoneState)
    return msgspec.structs.replace(state, apps=tuple(apps))
