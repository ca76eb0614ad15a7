"""Paths of a command's arguments: relative to the shell's working directory, errors as toybox words them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager

from android_env_gym.phone.adbd.commands.base import Call, CommandError


def absolute(call: Call, path: str) -> str:
    """Return `path` from the root of the device."""
    return posixpath.join(call.variables.get("PWD", "/"), path)


@contextmanager
def explained(call: Call, path: str) -> Iterator[None]:
    """Turn a failure of the file system into the command's message."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{call.argv[0]}: {path}: {error.strerror}") from error


def read_file(call: Call, path: str) -> bytes:
    """Return a file's bytes, or fail as the command would."""
    if absolute(call, path) == "/dev/null":
        return b""
    with explained(call, path):
        return call.served.files.read(absolute(call, path))


def write_file(call: Call, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file where the shell's user may, or fail as the command would."""
    if absolute(call, path) == "/dev/null":
        return
    check_writable(call, path)
    with explained(call, path):
        call.served.files.write(absolute(call, path), data, mode=mode)


def check_writable(call: Call, path: str) -> None:
    """Fail unless the shell's user may write at `path`."""
    if not call.served.files.writable(absolute(call, path)):
        raise CommandError(f"{call.argv[0]}: {path}: Permission denied")
