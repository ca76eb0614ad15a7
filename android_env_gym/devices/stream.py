"""`ShellStream`: one connection to a shell on the device that runs one command after the other.

Opening a connection per command costs three round trips and a process; here a command costs one. The stream is raw
(`exec:`), so that a picture comes through unchanged. Invariant: an answer belongs to the command it is returned for,
or the stream is closed and a `DeviceFailure` raised. `adb.AdbDevice` is the caller.
"""

from __future__ import annotations

import re
import secrets
import shlex
import socket
from collections.abc import Sequence

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.transport import BoundedAdb, as_failures

CHUNK = 1 << 20
_MARK_ROOM = 80


class CommandError(RuntimeError):
    """A command ended with another status than 0; the message carries its output."""


class ShellStream:
    """A shell on `adb`, open until `close` or the first failure.

    Raises:
        DeviceFailure: The shell cannot be opened.
    """

    def __init__(self, adb: BoundedAdb) -> None:
        self._adb = adb
        self._name = secrets.token_hex(8)
        self._count = 0
        with as_failures(str(adb.serial), "opening a shell"):
            connection = adb.open_transport()
            connection.send_command("exec:sh")
            connection.check_okay()
            connection.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket: socket.socket | None = connection.conn

    def run(self, words: Sequence[str], seconds: float | None = None) -> tuple[bytes, int]:
        """Run one command and return its output and exit status.

        Args:
            words: Program and arguments; each reaches the program exactly as given.
            seconds: How long it may take; default: as long as the bounds of the device allow for one answer.

        Raises:
            DeviceFailure: No answer, or not in time; the stream is closed then.
            ValueError: A word holds a line break, which would end the command.
        """
        if any("\n" in word or "\0" in word for word in words):
            raise ValueError(f"a word of {list(words)!r} holds a line break or NUL; the shell reads line by line")
        if self._socket is None:
            raise DeviceFailure("lost", f"{self._adb.serial}: the shell is closed")
        self._count += 1
        mark = f"{self._name}.{self._count}:"
        try:
            with (
                self._adb.bounds.within(self._adb.bounds.remaining(seconds)),
                as_failures(str(self._adb.serial), f"running {words[0]}"),
            ):
                self._send(self._socket, f"{shlex.join(words)}; echo {mark}$?\n".encode())
                return self._answer(self._socket, re.compile(re.escape(mark).encode() + rb"(\d+)\r?\n\Z"))
        except BaseException:
            self.close()  # a late answer must never be taken for the next command's
            raise

    def text(self, words: Sequence[str], seconds: float | None = None) -> str:
        """Return what a command prints, whatever its status, without the space around it."""
        return self.run(words, seconds)[0].decode(errors="replace").strip()

    def check(self, words: Sequence[str], seconds: float | None = None) -> str:
        """Return what a command prints.

        Raises:
            CommandError: Its status is not 0.
        """
        output, status = self.run(words, seconds)
        said = output.decode(errors="replace").strip()
        if status:
            raise CommandError(f"{words[0]} on {self._adb.serial} ended with status {status}: {said[:300]}")
        return said

    def close(self) -> None:
        """Close the stream; may be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, stream: socket.socket, data: bytes) -> None:
        stream.settimeout(self._adb.bounds.remaining())
        stream.sendall(data)

    def _answer(self, stream: socket.socket, mark: re.Pattern[bytes]) -> tuple[bytes, int]:
        """Read until the command's mark: the bounds hold for the whole answer, not for each piece of it."""
        buffer = bytearray()
        while True:
            stream.settimeout(self._adb.bounds.remaining(float("inf")))
            piece = stream.recv(CHUNK)
            if not piece:
                raise EOFError("the device closed the shell")
            buffer += piece
            found = mark.search(buffer, max(0, len(buffer) - _MARK_ROOM)) if buffer.endswith(b"\n") else None
            if found is not None:
                return bytes(buffer[: found.start()]), int(found.group(1))
