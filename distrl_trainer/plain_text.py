"""Text of others, made harmless to print: what a file or a name says never moves a cursor or hides a line.

Callers: `cli` (errors, log), `inspect_html`, `play_commands`.
"""

from __future__ import annotations

import logging

MAX_SHOWN = 2000
"""Characters of one text that are shown: a screenful."""


def plain(text: str, limit: int = MAX_SHOWN) -> str:
    """Return `text` with everything that is not printable (control and direction marks, newlines) spelled out."""
    shown = text if len(text) <= limit else text[: limit - 1] + "\u2026"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


class PlainFormatter(logging.Formatter):
    """Makes each message one plain line; tracebacks stay as they are."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class's name)
        """Return the line of `record`."""
        return plain(super().formatMessage(record))
