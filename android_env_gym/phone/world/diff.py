"""What changed between two states, as paths such as "apps.clock.alarms.3.enabled" or "system.settings.wifi".

Only data counts: the clock, back stacks, focus, keyboard and overlays are how one gets somewhere, not what
was done. The walk skips everything the two states share. `harm` says which of the changes do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.harm import ORDER, is_harmless

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
# Fields by which an item of a collection is known again; the first that its type has.
IDENTITIES: tuple[tuple[str, ...], ...] = (("key",), ("id",), ("url",), ("number",), ("name",), ("product", "option"))
Skip = Callable[[str, Any, Any], bool]


def diff(a: PhoneState, b: PhoneState) -> tuple[str, ...]:
    """Return the paths of data at which `a` and `b` differ, in the states' field order.

    Items of a collection are known by their key or name ("apps.clock.alarms.3.enabled"; the path of an added or removed
    item is the item's), a collection in another order by its own path. A tuple whose items cannot be told apart is
    compared by place, and is one change if its length is another. Apps are named by the tag of their state.
    """
    return tuple(path for path in _walk(a, b, "", "", lambda pattern, old, new: pattern in TRANSIENT))


def side_effects(before: PhoneState, now: PhoneState, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of destructive changes (see `harm`) that are not `allowed` nor below an allowed one."""

    def skip(pattern: str, old: Any, new: Any) -> bool:
        return pattern in TRANSIENT or is_harmless(pattern, old, new, now.now)

    changes = _walk(before, now, "", "", skip)
    return tuple(path for path in changes if not any(_is_below(path, prefix) for prefix in allowed))


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + ".")


def identities(items: tuple[Any, ...]) -> tuple[str, ...] | None:
    """Return the names by which the items of a collection are known, None if they cannot be told apart."""
    names = tuple(_identity(item) for item in items)
    known = tuple(name for name in names if name is not None)
    return known if len(set(known)) == len(names) else None


def _identity(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    fields = identity_fields(type(item))
    return " ".join(str(getattr(item, name)) for name in fields) if fields else None


@lru_cache(maxsize=256)
def identity_fields(kind: type) -> tuple[str, ...]:
    """Return the fields that `IDENTITIES` names for items of `kind`, () for numbers and what has none."""
    names = getattr(kind, "__struct_fields__", ())
    return next((fields for fields in IDENTITIES if set(fields) <= set(names)), ())


def _walk(a: Any, b: Any, path: str, pattern: str, skip: Skip) -> Iterator[str]:
    if a is b or a == b or skip(pattern, a, b):
        return
    if type(a) is not type(b):
        yield path
    elif isinstance(a, msgspec.Struct):
        for name in a.__struct_fields__:
            deeper = (f"{path}.{name}", f"{pattern}.{name}") if path else (name, name)
            yield from _walk(getattr(a, name), getattr(b, name), *deeper, skip)
    elif isinstance(a, tuple):
        yield from _walk_items(a, b, path, pattern, skip)
    else:
        yield path


def _walk_items(a: tuple[Any, ...], b: tuple[Any, ...], path: str, pattern: str, skip: Skip) -> Iterator[str]:
    if path == "apps":  # each app's state, known by its tag
        for x, y in zip(a, b, strict=True):
            tag = str(x.__struct_config__.tag)
            yield from _walk(x, y, f"{path}.{tag}", f"{pattern}.{tag}", skip)
        return
    names = identities(a), identities(b)
    if names[0] is not None and names[1] is not None:
        old, new = dict(zip(names[0], a, strict=True)), dict(zip(names[1], b, strict=True))
        yield from _walk_known(old, new, path, pattern, skip)
    elif len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _walk(x, y, f"{path}.{index}", f"{pattern}.*", skip)
    else:
        yield path


def _walk_known(old: dict[str, Any], new: dict[str, Any], path: str, pattern: str, skip: Skip) -> Iterator[str]:
    for name, item in old.items():
        yield from _walk(item, new.get(name), f"{path}.{name}", f"{pattern}.*", skip)
    for name, item in new.items():
        if name not in old:
            yield from _walk(None, item, f"{path}.{name}", f"{pattern}.*", skip)
    common = [name for name in old if name in new]
    if common != [name for name in new if name in old] and not skip(f"{pattern}.{ORDER}", old, new):
        yield path
