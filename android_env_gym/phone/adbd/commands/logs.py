"""`logcat` and `log`: the phone's log, dumped or followed."""

from __future__ import annotations

import re

from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand, integer
from android_env_gym.phone.adbd.logbuffer import BUFFERS, FORMATS, LEVELS, MODIFIERS, LogEntry

_DEFAULT_BUFFERS = frozenset({"main", "system", "crash"})
_LOOK_AGAIN_S = 0.25  # a killed command is noticed after this long; a new line at once
_VALUED = {"-v", "-b", "-t", "-T", "-e", "-m", "-f", "--pid", "--format", "--buffer", "--regex"}


def logcat(call: Call) -> int:
    """Print the log: `-d` what there is, otherwise also what comes, until stopped; `-c` clears it."""
    args = [part for arg in call.args for part in (arg.split("=", 1) if arg.startswith("--") else _split(arg))]
    options = Options(args, _VALUED, "logcat")
    log = call.served.log
    if options.has("-c", "--clear"):
        log.clear()
        return 0
    if options.has("-g"):
        for name in sorted(_DEFAULT_BUFFERS):
            call.line(f"{name}: ring buffer is 256 KiB (17 KiB consumed), max entry is 5120 B, max payload is 4068 B")
        return 0
    printer = _Printer(call, options)
    buffers = _buffers(options)
    entries = log.since(0, buffers)
    tail = options.get("-t") or options.get("-T")
    shown = [entry for entry in entries if printer.wants(entry)]
    if tail:
        shown = shown[-integer(tail, "number of lines") :] if tail.isdecimal() else shown
    elif shown:
        call.line("--------- beginning of main")
    printer.show(shown)
    if not options.has("-d", "-t"):
        _follow(call, printer, log.count, buffers)
    return 0


def _follow(call: Call, printer: _Printer, seen: int, buffers: frozenset[str]) -> None:
    log = call.served.log
    while not call.stopped.is_set() and not printer.full:
        with log.changed:
            if log.count == seen:
                log.changed.wait(_LOOK_AGAIN_S)
            entries, seen = log.since(seen, buffers), log.count
        printer.show([entry for entry in entries if printer.wants(entry)])


def _split(arg: str) -> list[str]:
    """Return `-t100` and `-bevents` as an option and its value."""
    return [arg[:2], arg[2:]] if re.fullmatch(r"-[vbtTem].+", arg) else [arg]


def _buffers(options: Options) -> frozenset[str]:
    names = {name for text in options.values.get("-b", []) for name in text.split(",")}
    if "all" in names:
        return frozenset(BUFFERS)
    if unknown := sorted(names - {*BUFFERS, "default", "radio", "kernel"}):
        raise CommandError(f"logcat: Unknown buffer '{unknown[0]}'")
    return frozenset(names - {"default"}) | (_DEFAULT_BUFFERS if not names or "default" in names else frozenset())


class _Printer:
    """Chooses and formats entries: filters `TAG:LEVEL`, `-s`, `-e`, `--pid`, `-m`."""

    def __init__(self, call: Call, options: Options) -> None:
        self._call = call
        words = [word for text in options.values.get("-v", []) for word in text.split(",")]
        if bad := [word for word in words if word not in (*FORMATS, *MODIFIERS)]:
            raise CommandError(f'logcat: Invalid parameter "{bad[0]}" to -v')
        self._style = next((word for word in words if word in FORMATS), "threadtime")
        self._modifiers = frozenset(words) - frozenset(FORMATS)
        self._filters = dict(_filter(text) for text in options.operands)
        if options.has("-s"):
            self._filters.setdefault("*", "S")
        try:
            self._pattern = re.compile(options.get("-e") or options.get("--regex"))
        except re.error as error:
            raise CommandError(f"logcat: bad regular expression: {error}") from error
        self._pid = options.get("--pid")
        self._left = integer(options.get("-m"), "count") if options.has("-m") else -1

    @property
    def full(self) -> bool:
        """Whether as many entries were printed as `-m` allows."""
        return self._left == 0

    def wants(self, entry: LogEntry) -> bool:
        """Return whether the filters let the entry through."""
        level = self._filters.get(entry.tag, self._filters.get("*", "V"))
        loud = level != "S" and LEVELS.index(entry.level) >= LEVELS.index(level)
        return loud and self._pattern.search(entry.message) is not None and self._pid in ("", str(entry.pid))

    def show(self, entries: list[LogEntry]) -> None:
        """Print entries in the chosen format."""
        if self._left >= 0:
            entries = entries[: self._left]
            self._left -= len(entries)
        if entries:
            self._call.out("".join(entry.format(self._style, self._modifiers) + "\n" for entry in entries))


def _filter(text: str) -> tuple[str, str]:
    tag, _, level = text.partition(":")
    level = (level or "V").upper()
    if level not in (*LEVELS, "S"):
        raise CommandError(f"logcat: Invalid filter expression '{text}'")
    return tag, level


def log(call: Call) -> int:
    """Write a line: `log [-p LEVEL] [-t TAG] MESSAGE...`."""
    options = Options(call.args, {"-p", "-t"}, "log")
    level = options.get("-p", "i").upper()
    if level not in LEVELS:
        raise CommandError(f"log: bad -p '{options.get('-p')}'")
    call.served.record(options.get("-t", "log"), " ".join(options.operands), level)
    return 0


COMMANDS: dict[str, RunCommand] = {"logcat": logcat, "log": log}
