"""From "module:name" to what it names: how settings, which are text, point at a user's own code.

Callers: `judges.make` (judges), `devices.adb` (hooks).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class NamedError(ValueError):
    """A "module:name" that names nothing; the message says what was got and why."""


def load_named(kind: str, spec: str) -> Callable[..., Any]:
    """Return the class or function "module:name".

    Args:
        kind: What is named, for the message.
        spec: The name; the module must be importable, a file of the working directory is.

    Raises:
        NamedError: There is none.
    """
    module, _, name = spec.partition(":")
    if module.startswith("."):
        raise NamedError(
            f'{kind}: got {spec!r}, expected "module:name" with the module\'s whole name, without a first dot'
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NamedError(f'{kind}: got {spec!r}, expected "module:name" that can be imported: {error}') from error
    if not callable(found):
        raise NamedError(f"{kind}: {spec!r} is a {type(found).__name__}, expected a class or a function")
    return found
