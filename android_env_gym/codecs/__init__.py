"""Codecs between typed actions and the text a model reads and writes: `get_codec("compact")`.

A codec is pure: it never sees a device. Policies and the trainer's prompts call it.
"""

from __future__ import annotations

from android_env_gym.codecs.autoui import AutoUiCodec
from android_env_gym.codecs.base import Codec
from android_env_gym.codecs.compact import CompactCodec
from android_env_gym.errors import unknown_name

CODECS: tuple[Codec, ...] = (CompactCodec(), AutoUiCodec())


def get_codec(name: str) -> Codec:
    """Return the codec called `name`.

    Raises:
        UnknownNameError: There is none; the message names the nearest ones.
    """
    by_name = {codec.name: codec for codec in CODECS}
    if name not in by_name:
        raise unknown_name("codec", name, by_name)
    return by_name[name]


__all__ = ["AutoUiCodec", "Codec", "CompactCodec", "get_codec"]
