"""Redirections of a shell command: `> file`, `>> file`, `< file`, `2>&1`, `/dev/null`. Used by `shell.py`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

from android_env_gym.phone.adbd.commands.base import BytesInput, CommandError, Emit, Input
from android_env_gym.phone.adbd.shell_syntax import Redirect

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone


class Redirected:
    """The streams of a command after its redirections; `close` writes the files.

    Args:
        served: The phone whose files are meant.
        folder: The shell's working directory.
        redirects: Redirections with their expanded targets, in order.
        stdin: What the command reads unless it is redirected.
        emit: Takes what is not redirected.

    Raises:
        CommandError: A target cannot be opened.
    """

    def __init__(
        self, served: ServedPhone, folder: str, redirects: tuple[tuple[Redirect, str], ...], stdin: Input, emit: Emit
    ) -> None:
        self._files = served.files
        self._written: list[tuple[str, bytearray, bool]] = []
        self.stdin = stdin
        self._sinks: dict[int, Callable[[bytes], None]] = {
            1: lambda data: emit(1, data),
            2: lambda data: emit(2, data),
        }
        for redirect, target in redirects:
            if redirect.operator in (">&", "<&"):
                if not target.isdecimal() or int(target) not in self._sinks:
                    raise CommandError(f"{target}: bad file descriptor")
                self._sinks[redirect.fd] = self._sinks[int(target)]
            elif redirect.operator == "<":
                self.stdin = self._source(posixpath.join(folder, target), target)
            else:
                path = posixpath.join(folder, target)
                self._sinks[redirect.fd] = self._sink(path, target, redirect.operator == ">>")

    def emit(self, fd: int, data: bytes) -> None:
        """Send what the command wrote where it belongs."""
        self._sinks[fd](data)

    def close(self) -> None:
        """Write what was collected for files."""
        for path, data, append in self._written:
            old = self._files.read(path) if append and self._files.exists(path) else b""
            self._files.write(path, old + bytes(data))

    def _sink(self, path: str, name: str, append: bool) -> Callable[[bytes], None]:
        if path == "/dev/null":
            return lambda data: None
        if self._files.is_dir(path):
            raise CommandError(f"can't create {name}: Is a directory")
        if not self._files.writable(path):
            raise CommandError(f"can't create {name}: Permission denied")
        if not self._files.is_dir(posixpath.dirname(path)):
            raise CommandError(f"can't create {name}: No such file or directory")
        data = bytearray()
        self._written.append((path, data, append))

        def write(more: bytes) -> None:
            if len(data) + len(more) > self._files.capacity:
                raise CommandError(f"{name}: No space left on device")
            data.extend(more)

        return write

    def _source(self, path: str, name: str) -> Input:
        if path == "/dev/null":
            return BytesInput()
        try:
            return BytesInput(self._files.read(path))
        except OSError as error:
            raise CommandError(f"can't open {name}: {error.strerror}") from error
