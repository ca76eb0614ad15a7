"""The seam between typed actions and a model's text."""

from __future__ import annotations

from typing import Protocol

from android_env_gym.actions import Action, InvalidAction

MAX_EMITTED = 4096


class Codec(Protocol):
    """Action <-> text, pure.

    `decode(encode(a)) == a` for every action that the format can express, up to the format's rounding of
    coordinates; `encode(decode(encode(a))) == encode(a)` always.
    """

    @property
    def name(self) -> str:
        """How configs name the codec."""
        ...

    @property
    def prompt(self) -> str:
        """Tells a model the format; goes into its system prompt."""
        ...

    def encode(self, action: Action) -> str:
        """Return the text that stands for `action`.

        Raises:
            ActionError: The action is not valid, or the format has no words for it.
        """
        ...

    def decode(self, text: str) -> Action | InvalidAction:
        """Return the action that `text` stands for; never raises, whatever a model emitted."""
        ...


def excerpt(text: str, length: int = 80) -> str:
    """Return `text` quoted and cut, for the reason of an `InvalidAction`."""
    return repr(text if len(text) <= length else text[: length - 3] + "...")
