"""What a command of the device shell gets and gives: `Call`, its streams, its errors; option parsing.

A command is a function `Call -> exit status`. It writes through `Call.out` and `Call.err`, reads `Call.stdin`,
and a long one looks at `Call.stopped`. `CommandError` ends it with a message on stderr.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

Emit = Callable[[int, bytes], None]
NEVER = threading.Event()


class CommandError(Exception):
    """A command could not do what it was asked; `exit` is its status, the message goes to stderr."""

    def __init__(self, message: str, exit: int = 1) -> None:
        super().__init__(message)
        self.exit = exit


class Input(Protocol):
    """Standard input: bytes as they come."""

    def read(self) -> bytes:
        """Return everything up to the end."""
        ...

    def read_line(self) -> bytes:
        """Return the next line with its line end, b"" at the end."""
        ...

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer at the end."""
        ...


class BytesInput:
    """Standard input that is there as a whole."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    def read(self) -> bytes:
        """Return everything that is left."""
        return self.read_exactly(len(self._data))

    def read_line(self) -> bytes:
        """Return the next line with its line end, b"" at the end."""
        end = self._data.find(b"\n")
        return self.read_exactly(end + 1 if end >= 0 else len(self._data))

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer at the end."""
        taken, self._data = self._data[:count], self._data[count:]
        return taken


class Call:
    """One run of a command.

    Attributes:
        served: The phone.
        argv: The command's name and its arguments.
        stdin: What it reads.
        variables: The shell's variables, with the assignments before the command.
        stopped: Set when nobody waits for the command any more.
        shell: Runs a command line with given streams (for `sh`, `xargs`).
    """

    def __init__(
        self,
        served: ServedPhone,
        argv: list[str],
        stdin: Input,
        emit: Emit,
        *,
        variables: Mapping[str, str],
        stopped: threading.Event = NEVER,
        shell: Callable[[str, Input, Emit], int],
    ) -> None:
        self.served = served
        self.argv = argv
        self.stdin = stdin
        self.variables = variables
        self.stopped = stopped
        self.shell = shell
        self.emit = emit

    @property
    def args(self) -> list[str]:
        """The arguments without the command's name."""
        return self.argv[1:]

    def out(self, text: str | bytes) -> None:
        """Write to stdout as it is."""
        self.emit(1, text.encode(errors="replace") if isinstance(text, str) else text)

    def line(self, text: str = "") -> None:
        """Write a line to stdout."""
        self.out(text + "\n")

    def err(self, text: str) -> None:
        """Write a line to stderr."""
        self.emit(2, text.encode(errors="replace") + b"\n")

    def with_args(self, argv: list[str]) -> Call:
        """Return the same call with another name and other arguments."""
        return self._with(argv, self.emit)

    @contextmanager
    def at_once(self) -> Iterator[Call]:
        """Hold the phone's lock around a call whose output leaves afterwards: writing may wait for a slow client."""
        written: list[tuple[int, bytes]] = []
        try:
            with self.served.lock:
                yield self._with(self.argv, lambda fd, data: written.append((fd, data)))
        finally:
            for fd, data in written:
                self.emit(fd, data)

    def _with(self, argv: list[str], emit: Emit) -> Call:
        return Call(
            self.served,
            argv,
            self.stdin,
            emit,
            variables=self.variables,
            stopped=self.stopped,
            shell=self.shell,
        )


RunCommand = Callable[[Call], int]


class Options:
    """Arguments split into options and operands, as Java's `Intent.parseCommandArgs` and toybox read them.

    Args:
        args: The arguments.
        valued: Options that take the next argument as their value, e.g. {"--user", "-n"}.
        name: The command, for messages.
    """

    def __init__(self, args: list[str], valued: frozenset[str] | set[str], name: str) -> None:
        self.values: dict[str, list[str]] = {}
        self.operands: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                self.operands.extend(rest)
            elif arg in valued:
                value = next(rest, None)
                if value is None:
                    raise CommandError(f"{name}: option {arg} needs a value", 255)
                self.values.setdefault(arg, []).append(value)
            elif arg.startswith("-") and len(arg) > 1:
                self.values.setdefault(arg, []).append("")
            else:
                self.operands.append(arg)

    def has(self, *names: str) -> bool:
        """Return whether one of the options was given."""
        return any(name in self.values for name in names)

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of an option."""
        return self.values.get(name, [default])[-1]


def integer(text: str, what: str) -> int:
    """Return the number in `text`.

    Raises:
        CommandError: It is not an integer.
    """
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"Error: Invalid {what}: {text}", 255) from None
