"""The terminal of an interactive shell: keys make lines, are echoed, and Ctrl-C, Ctrl-D and backspace act."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands.base import Emit
from android_env_gym.phone.adbd.process import FeedInput, Process

PROMPT = b"$ "
_CTRL_C, _CTRL_D, _CTRL_U, _ESCAPE, _BACKSPACE = 3, 4, 21, 27, (8, 127)


class Terminal:
    """Line discipline between a client's keys and a process.

    Args:
        process: What reads the lines.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._line = bytearray()
        self._escaped = False

    def typed(self, data: bytes) -> None:
        """Take keys as the client's terminal sends them."""
        for key in data:
            if self._escaped:
                self._escaped = not (chr(key).isalpha() or key == ord("~"))  # arrows and the like do nothing
            else:
                self._press(key)

    def _press(self, key: int) -> None:
        if key in b"\r\n":
            self._enter()
        elif key == _CTRL_C:
            self._line.clear()
            self._process.echo(b"^C\n")
            self._process.interrupt()
        elif key == _CTRL_D:
            if not self._line:
                self._process.end_of_file()
        elif key in _BACKSPACE:
            self._erase()
        elif key == _CTRL_U:
            while self._line:
                self._erase()
        elif key == _ESCAPE:
            self._escaped = True
        elif key >= ord(" ") or key == ord("\t"):
            self._line.append(key)
            self._process.echo(bytes([key]))

    def _enter(self) -> None:
        line = bytes(self._line) + b"\n"
        self._line.clear()
        self._process.echo(b"\n")
        self._process.feed(line)

    def _erase(self) -> None:
        if not self._line:
            return
        while self._line.pop() & 0xC0 == 0x80 and self._line:
            pass  # a character has one byte that does not continue another
        self._process.echo(b"\b \b")


class Prompted:
    """The lines of an interactive shell, each asked for with a prompt; what it runs reads `stdin` itself."""

    def __init__(self, stdin: FeedInput, emit: Emit) -> None:
        self._stdin = stdin
        self._emit = emit

    def read_line(self) -> bytes:
        """Return the next line, b"" at the end.

        Raises:
            CommandError: Ctrl-C instead of a line.
        """
        self._stdin.interrupted.clear()
        self._emit(1, PROMPT)
        return self._stdin.read_line()
