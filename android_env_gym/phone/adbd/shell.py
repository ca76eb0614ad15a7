"""The device shell: runs command lines on a served phone as Android's `sh` would. Called by the transport.

`run` runs a line to its end; `open_process` starts it and lets the caller read and write while it runs. Nothing
here ever reaches the host: commands are functions on the phone (`commands/`), files are the phone's own.
"""

from __future__ import annotations

import fnmatch
import logging
import posixpath
import re
import shlex
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from android_env_gym.phone.adbd.commands import COMMANDS
from android_env_gym.phone.adbd.commands.base import NEVER, BytesInput, Call, CommandError, Emit, Input
from android_env_gym.phone.adbd.process import Either, FeedInput, Process
from android_env_gym.phone.adbd.redirects import Redirected
from android_env_gym.phone.adbd.shell_syntax import (
    Command,
    Part,
    Pipeline,
    Script,
    ShellSyntaxError,
    Word,
    parse,
)
from android_env_gym.phone.adbd.terminal import Prompted

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

SHELL = "/system/bin/sh"
NOT_FOUND = 127
MAX_DEPTH = 32
_JAVA_EXCEPTIONS = (ValueError, ArithmeticError, LookupError, OSError, RecursionError)
_VARIABLES = {
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "EXTERNAL_STORAGE": "/sdcard",
    "HOME": "/",
    "PATH": "/product/bin:/system/bin:/vendor/bin",
    "PWD": "/",
    "SHELL": SHELL,
    "TMPDIR": "/data/local/tmp",
    "USER": "shell",
}
logger = logging.getLogger(__name__)
_GLOB = re.compile(r"[*?\[]")
_BLANKS = re.compile(r"[ \t\n]+")


class ShellResult(msgspec.Struct, frozen=True):
    """What a command line wrote and the status it ended with."""

    stdout: bytes
    stderr: bytes
    exit: int


class _Exit(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def run(served: ServedPhone, command: str, stdin: bytes = b"") -> ShellResult:
    """Run a command line to its end."""
    written: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    shell = Interpreter(served)
    status = shell.run_line(command, BytesInput(stdin), lambda fd, data: written[fd].extend(data))
    return ShellResult(bytes(written[1]), bytes(written[2]), status)


def open_process(served: ServedPhone, command: str, *, terminal: bool = False) -> Process:
    """Start a command line; "" is a shell that runs the lines of its stdin as they come, prompting on a `terminal`."""

    def body(stdin: FeedInput, emit: Emit, stopped: threading.Event) -> int:
        shell = Interpreter(served, stopped=Either(stopped, stdin.interrupted))
        if command.strip():
            return shell.run_line(command, stdin, emit)
        return shell.run_input(stdin, emit, Prompted(stdin, emit) if terminal else None)

    return Process(body, served.memory)


class Interpreter:
    """One shell: its variables, its working directory (`PWD`) and the status of the last command.

    Args:
        served: The phone that the commands act on.
        variables: Taken over from a parent shell.
        stopped: Set when nobody waits for the shell any more.
        depth: How many shells are around this one.
    """

    def __init__(
        self,
        served: ServedPhone,
        variables: dict[str, str] | None = None,
        stopped: threading.Event = NEVER,
        depth: int = 0,
    ) -> None:
        self.served = served
        self.variables = dict(_VARIABLES if variables is None else variables)
        self.status = 0
        self.stopped = stopped
        self.depth = depth

    def run_line(self, line: str, stdin: Input, emit: Emit) -> int:
        """Run a command line and return its status; bad syntax is reported and is status 1."""
        try:
            script = parse(line)
        except ShellSyntaxError as error:
            emit(2, f"{SHELL}: {error}\n".encode())
            self.status = 1
            return 1
        try:
            return self.run_script(script, stdin, emit)
        except _Exit as ended:
            return ended.status

    def run_input(self, stdin: Input, emit: Emit, lines: Prompted | None = None) -> int:
        """Run the lines of `stdin` one by one, as soon as each is complete; return the last status."""
        waiting = ""
        while True:
            try:
                read = (lines or stdin).read_line()
            except CommandError as error:
                if lines is None:
                    raise
                self.status, waiting = error.exit, ""
                continue
            if not read or self.stopped.is_set():
                return self.status
            waiting += read.decode(errors="replace")
            try:
                script = parse(waiting)
            except ShellSyntaxError as error:
                if "closing quote" in str(error) or "unmatched" in str(error):
                    continue  # the rest comes with the next line
                emit(2, f"{SHELL}: {error}\n".encode())
                self.status, waiting = 1, ""
                continue
            waiting = ""
            try:
                self.run_script(script, stdin, emit)
            except _Exit as ended:
                return ended.status

    def run_script(self, script: Script, stdin: Input, emit: Emit) -> int:
        """Run pipelines in order, each if the one before allows it; only endless commands mind `stopped`."""
        for pipeline in script.pipelines:
            skip = (pipeline.after == "&&" and self.status != 0) or (pipeline.after == "||" and self.status == 0)
            if not skip:
                status = self._pipeline(pipeline, stdin, emit)
                self.status = int(status == 0) if pipeline.negated else status
        return self.status

    def _pipeline(self, pipeline: Pipeline, stdin: Input, emit: Emit) -> int:
        """Run the commands side by side, each reading what the one before writes."""
        *before, last = pipeline.commands
        if not before:
            return self._command(last, stdin, emit)
        if not self.served.children.take(len(before)):
            emit(2, f"{SHELL}: can't fork - try again\n".encode())
            return 1
        ended = threading.Event()
        pipes = [FeedInput(self.served.memory) for _ in before]
        threads = []
        for command, source, pipe in zip(before, [stdin, *pipes], pipes, strict=False):
            child = self._child(Either(self.stopped, ended))
            args = (child, command, source, emit, pipe)
            threads.append(threading.Thread(target=_feed_pipe, args=args, name="device-pipe", daemon=True))
        for thread in threads:
            thread.start()
        try:
            return self._child(self.stopped)._command(last, pipes[-1], emit)
        finally:
            ended.set()
            for pipe in pipes:
                pipe.close()  # who still writes there need not wait for a reader
            for thread in threads:
                thread.join(timeout=1.0)  # one that reads a silent stdin stays behind, as a background job

    def _child(self, stopped: threading.Event) -> Interpreter:
        child = Interpreter(self.served, self.variables, stopped, self.depth)
        child.status = self.status
        return child

    def _command(self, command: Command, stdin: Input, emit: Emit) -> int:
        try:
            targets = tuple((item, self.expand_one(item.target)) for item in command.redirects)
            with_files = Redirected(self.served, self.variables["PWD"], targets, stdin, emit)
        except CommandError as error:
            emit(2, f"{SHELL}: {error}\n".encode())
            return error.exit
        try:
            if command.group is not None:
                return self._child(self.stopped).run_script(command.group, with_files.stdin, with_files.emit)
            return self._simple(command, with_files.stdin, with_files.emit)
        except CommandError as error:
            if str(error):
                with_files.emit(2, f"{error}\n".encode())
            return error.exit
        except _JAVA_EXCEPTIONS as error:
            # A service that throws takes neither the shell nor the phone with it; Android reports it in these words.
            logger.exception("a command of the device shell failed")
            name = "".join(part.text for word in command.words[:1] for part in word)
            with_files.emit(2, f"Exception occurred while executing '{name}':\n{error!r}\n".encode())
            return 255
        finally:
            with_files.close()

    def _simple(self, command: Command, stdin: Input, emit: Emit) -> int:
        values = {name: self.expand_one(word) for name, word in command.assignments}
        argv = [text for word in command.words for text in self.expand(word)]
        if not argv:
            self.variables.update(values)
            return self.status if _has_substitution(command) else 0
        builtin = _BUILTINS.get(argv[0])
        if builtin is not None:
            return builtin(self, argv, stdin, emit)
        name = argv[0].removeprefix("/system/bin/").removeprefix("/system/xbin/")
        function = COMMANDS.get(name)
        if function is None:
            return self._missing(argv[0], emit)
        call = Call(
            self.served,
            [name, *argv[1:]],
            stdin,
            emit,
            variables={**self.variables, **values},
            stopped=self.stopped,
            shell=self._nested,
        )
        return function(call)

    def _missing(self, name: str, emit: Emit) -> int:
        if "/" in name and self.served.files.exists(posixpath.join(self.variables["PWD"], name)):
            emit(2, f"{SHELL}: {name}: can't execute: Permission denied\n".encode())
            return 126
        emit(2, f"{SHELL}: {name}: inaccessible or not found\n".encode())
        return NOT_FOUND

    def _nested(self, line: str, stdin: Input, emit: Emit) -> int:
        """Run a line ("" runs the lines of stdin) in a shell of its own, for `sh`, `xargs` and substitution."""
        if self.depth >= MAX_DEPTH:
            raise CommandError(f"{SHELL}: shells are nested more than {MAX_DEPTH} deep")
        child = Interpreter(self.served, self.variables, self.stopped, self.depth + 1)
        child.status = self.status
        return child.run_line(line, stdin, emit) if line else child.run_input(stdin, emit)

    # --- words ---

    def expand_one(self, word: Word) -> str:
        """Return the word as one text: substituted, neither split nor matched against files."""
        return "".join(self._value(part) for part in word)

    def expand(self, word: Word) -> list[str]:
        """Return the fields of a word: substituted, split at blanks, matched against files."""
        fields: list[list[tuple[str, bool]]] = [[]]
        for part in word:
            value = self._value(part)
            if part.quoted or part.kind == "text":
                fields[-1].append((value, part.quoted))
                continue
            for index, piece in enumerate(_BLANKS.split(value)):
                if index:
                    fields.append([])
                if piece:
                    fields[-1].append((piece, False))
        return [path for field in fields if field for path in self._matched(field)]

    def _value(self, part: Part) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            written = bytearray()
            self.status = self._nested(
                part.text, BytesInput(), lambda fd, data: written.extend(data if fd == 1 else b"")
            )
            return written.decode(errors="replace").rstrip("\n")
        special = {"?": str(self.status), "$": "3620", "#": "0", "0": "sh"}
        return special.get(part.text, self.variables.get(part.text, ""))

    def _matched(self, field: list[tuple[str, bool]]) -> list[str]:
        plain = "".join(text for text, _ in field)
        if not any(_GLOB.search(text) for text, quoted in field if not quoted):
            return [plain]
        pattern = "".join(re.sub(r"([*?\[])", r"[\1]", text) if quoted else text for text, quoted in field)
        folder, name = posixpath.split(pattern)
        base = posixpath.join(self.variables["PWD"], folder)
        if _GLOB.search(folder) or not self.served.files.is_dir(base):
            return [plain]
        names = self.served.files.list(base)
        found = [item for item in names if fnmatch.fnmatchcase(item, name) and item.startswith(".") == (name[0] == ".")]
        return [posixpath.join(folder, item) for item in sorted(found)] or [plain]


def _feed_pipe(shell: Interpreter, command: Command, stdin: Input, emit: Emit, pipe: FeedInput) -> None:
    def write(fd: int, data: bytes) -> None:
        if fd == 2:
            emit(2, data)
        elif data:
            pipe.write(data)

    try:
        shell._command(command, stdin, write)
    except _Exit:
        pass  # `exit` in a pipe ends only its own part
    finally:
        pipe.write(b"")
        shell.served.children.give(1)


def _has_substitution(command: Command) -> bool:
    return any(part.kind == "command" for _, word in command.assignments for part in word)


# --- what only the shell itself can do ---


def _cd(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    target = argv[1] if len(argv) > 1 else shell.variables.get("HOME", "/")
    path = posixpath.normpath(posixpath.join(shell.variables["PWD"], target))
    if not shell.served.files.is_dir(path):
        emit(2, f"{SHELL}: cd: {target}: No such file or directory\n".encode())
        return 2
    shell.variables["PWD"] = path
    return 0


def _exit(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    raise _Exit(int(argv[1]) & 0xFF if len(argv) > 1 and argv[1].isdecimal() else shell.status)


def _export(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    for item in argv[1:]:
        name, equals, value = item.partition("=")
        if equals:
            shell.variables[name] = value
    return 0


def _unset(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    for name in argv[1:]:
        shell.variables.pop(name, None)
    return 0


def _eval(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    try:
        return shell.run_script(parse(" ".join(argv[1:])), stdin, emit)
    except ShellSyntaxError as error:
        emit(2, f"{SHELL}: {error}\n".encode())
        return 1


def _exec(shell: Interpreter, argv: list[str], stdin: Input, emit: Emit) -> int:
    raise _Exit(shell.run_script(parse(shlex.join(argv[1:])), stdin, emit) if argv[1:] else shell.status)


_BUILTINS: dict[str, Callable[[Interpreter, list[str], Input, Emit], int]] = {
    "cd": _cd,
    "exit": _exit,
    "export": _export,
    "unset": _unset,
    "eval": _eval,
    "exec": _exec,
}
