"""What changed between two states, as paths such as "apps.clock.alarms" or "system.settings.wifi".

Only data counts: the clock, back stacks, focus, keyboard and overlays are how one gets somewhere, not what
was done. The walk skips everything the two states share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from android_env_gym.phone.state import PhoneState

TRANSIENT = frozenset(
    {
        "now",
        "system.stacks",
        "system.focus",
        "system.selected",
        "system.caret",
        "system.paste_offered",
        "system.keyboard",
        "system.shade",
        "system.toast",
        "system.toast_until",
        "system.clipboard",
        "system.screen_on",
        "system.rotation",
    }
)


def diff(a: PhoneState, b: PhoneState) -> tuple[str, ...]:
    """Return the paths of data at which `a` and `b` differ, in the states' field order.

    Items of tuples of equal length are compared one by one ("apps.clock.alarms.2.enabled"); tuples of
    different length count as one change of the tuple. Apps are named by the tag of their state.
    """
    return tuple(_walk(a, b, ""))


def side_effects(before: PhoneState, now: PhoneState, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the changed paths that are not `allowed` nor below an allowed one."""
    return tuple(path for path in diff(before, now) if not any(_is_below(path, prefix) for prefix in allowed))


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + ".")


def _walk(a: Any, b: Any, path: str) -> Iterator[str]:
    if a is b or path in TRANSIENT or a == b:
        return
    if type(a) is not type(b):
        yield path
    elif isinstance(a, msgspec.Struct):
        for name in a.__struct_fields__:
            yield from _walk(getattr(a, name), getattr(b, name), f"{path}.{name}" if path else name)
    elif isinstance(a, tuple) and len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _walk(x, y, f"{path}.{_item_name(x, index)}")
    else:
        yield path


def _item_name(item: Any, index: int) -> str:
    config = getattr(item, "__struct_config__", None)
    return config.tag if config is not None and isinstance(config.tag, str) else str(index)
