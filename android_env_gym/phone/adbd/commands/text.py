"""`echo`, `printf`, `test`, `grep`, `head`, `tail`, `wc`, `sort`, `tr`, `cut`, `xargs`, `sh` and the like."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from android_env_gym.phone.adbd.commands.base import BytesInput, Call, CommandError, Options, RunCommand, integer
from android_env_gym.phone.adbd.commands.paths import absolute, read_file

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "b": "\b", "e": "\x1b", "0": "\0"}


def echo(call: Call) -> int:
    """Print the arguments."""
    args, newline, escapes = call.args, "\n", False
    while args and re.fullmatch(r"-[neE]+", args[0]):
        newline = "" if "n" in args[0] else newline
        escapes = escapes or "e" in args[0]
        args = args[1:]
    text = " ".join(args)
    call.out((_unescape(text) if escapes else text) + newline)
    return 0


def printf(call: Call) -> int:
    """Print a format with %s and %d, again while arguments are left."""
    if not call.args:
        raise CommandError("printf: usage: printf FORMAT [ARG...]")
    layout, rest = _unescape(call.args[0]), call.args[1:]
    count = len(re.findall(r"%-?\d{0,4}(?:\.\d{1,4})?[sdx]", layout))
    while True:
        call.out(_filled(layout, rest[:count]))
        rest = rest[count:]
        if not rest or not count:
            return 0


def _filled(layout: str, values: list[str]) -> str:
    left = iter(values)
    return re.sub(r"%%|%-?\d{0,4}(?:\.\d{1,4})?[sdx]", lambda found: _formatted(found.group(), left), layout)


def _formatted(directive: str, values: Iterator[str]) -> str:
    if directive == "%%":
        return "%"
    value = next(values, "")
    if directive[-1] == "s":
        return directive % value
    return directive % integer(value or "0", "number")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group()), text)


def test(call: Call) -> int:
    """Return 0 if the expression holds: files, texts, numbers, `!`, `-a`, `-o`."""
    args = list(call.args)
    if call.argv[0] == "[":
        if not args or args[-1] != "]":
            raise CommandError("sh: [: missing ]", 2)
        args.pop()
    return int(not _holds(call, args))


def _holds(call: Call, args: list[str]) -> bool:
    for operator, combine in (("-o", any), ("-a", all)):
        if operator in args[1:-1]:
            at = args.index(operator, 1)
            return combine((_holds(call, args[:at]), _holds(call, args[at + 1 :])))
    if args and args[0] == "!" and len(args) > 1:
        return not _holds(call, args[1:])
    if len(args) == 3:
        return _compare(*args)
    if len(args) == 2:
        return _unary(call, *args)
    if len(args) > 3:
        raise CommandError(f"sh: test: {args[0]}: unexpected operator/operand", 2)
    return bool(args and args[0])


def _unary(call: Call, operator: str, value: str) -> bool:
    if operator in ("-n", "-z"):
        return bool(value) == (operator == "-n")
    files, path = call.served.files, absolute(call, value)
    if operator in ("-f", "-e", "-d", "-s", "-r", "-w", "-x"):
        if not files.exists(path):
            return False
        folder = files.is_dir(path)
        return {
            "-f": not folder,
            "-d": folder,
            "-s": folder or bool(files.read(path)),
            "-w": files.writable(path),
        }.get(operator, True)
    raise CommandError(f"sh: test: {operator}: unexpected operator/operand", 2)


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "==", "!="):
        return (left == right) == (operator != "!=")
    numeric = {"-eq": "==", "-ne": "!=", "-lt": "<", "-le": "<=", "-gt": ">", "-ge": ">="}
    if operator not in numeric:
        raise CommandError(f"sh: test: {operator}: unexpected operator/operand", 2)
    a, b = integer(left, "number"), integer(right, "number")
    return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}[operator]


def grep(call: Call) -> int:
    """Print the lines that match a pattern."""
    flags = "".join(arg[1:] for arg in call.args if re.fullmatch(r"-[a-zA-Z]+", arg) and arg != "-e")
    operands = [arg for arg in call.args if not re.fullmatch(r"-[a-zA-Z]+", arg)]
    if not operands:
        raise CommandError("grep: no pattern", 2)
    pattern = _pattern(operands[0], flags + {"egrep": "E", "fgrep": "F"}.get(call.argv[0], ""))
    count = 0
    for line in _input_lines(call, operands[1:]):
        if (pattern.search(line) is None) != ("v" in flags):
            continue
        count += 1
        if "q" in flags:
            return 0
        if "c" not in flags:
            for text in [found.group() for found in pattern.finditer(line)] if "o" in flags else [line]:
                call.line(text)
    if "c" in flags:
        call.line(str(count))
    return int(count == 0)


def _pattern(wanted: str, flags: str) -> re.Pattern[str]:
    """Return a basic, extended (`-E`) or fixed (`-F`) pattern of grep."""
    if "F" in flags:
        pattern = re.escape(wanted)
    elif "E" in flags:
        pattern = wanted
    else:  # in a basic pattern these are plain without a backslash, and operators with one
        pattern = re.sub(r"\\?([+?|(){}])", lambda m: m.group(1) if m.group()[0] == "\\" else "\\" + m.group(1), wanted)
    try:
        return re.compile(rf"\b(?:{pattern})\b" if "w" in flags else pattern, re.IGNORECASE if "i" in flags else 0)
    except re.error as error:
        raise CommandError(f"grep: bad REGEX '{wanted}': {error}", 2) from error


def _input_lines(call: Call, names: list[str]) -> Iterator[str]:
    """Yield lines of the named files, or of stdin as they come."""
    if names:
        for name in names:
            yield from read_file(call, name).decode(errors="replace").splitlines()
        return
    while not call.stopped.is_set() and (line := call.stdin.read_line()):
        yield line.decode(errors="replace").rstrip("\n")


def _bytes(call: Call, names: list[str]) -> bytes:
    return b"".join(read_file(call, name) for name in names) if names else call.stdin.read()


def head(call: Call) -> int:
    """Print the first lines (`-n`) or bytes (`-c`); `tail` the last."""
    args = [part for arg in call.args for part in ([*_split_count(arg)])]
    options = Options(args, {"-n", "-c"}, call.argv[0])
    data = _bytes(call, options.operands)
    unit, pieces = (
        ("-c", [data[i : i + 1] for i in range(len(data))])
        if options.has("-c")
        else (
            "-n",
            data.splitlines(keepends=True),
        )
    )
    count = integer(options.get(unit, "10").lstrip("+"), "number")
    if call.argv[0] == "tail":
        kept = pieces[count - 1 :] if options.get(unit).startswith("+") else pieces[-count:] if count else []
    else:
        kept = pieces[:count]
    call.out(b"".join(kept))
    return 0


def _split_count(arg: str) -> tuple[str, ...]:
    if re.fullmatch(r"-[nc]\d+", arg):
        return arg[:2], arg[2:]
    return ("-n", arg[1:]) if re.fullmatch(r"-\d+", arg) else (arg,)


def wc(call: Call) -> int:
    """Count lines, words, bytes."""
    flags = "".join(arg[1:] for arg in call.args if arg.startswith("-")) or "lwc"
    names = [arg for arg in call.args if not arg.startswith("-")]
    data = _bytes(call, names)
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    call.line(" ".join([*(str(counts[flag]) for flag in "lwc" if flag in flags), *names]))
    return 0


def sort(call: Call) -> int:
    """Print the lines in order (`-r` reversed, `-n` by number, `-u` once each); `uniq` drops repeated ones."""
    flags = "".join(arg[1:] for arg in call.args if arg.startswith("-"))
    lines = _bytes(call, [arg for arg in call.args if not arg.startswith("-")]).decode(errors="replace").splitlines()
    if call.argv[0] == "uniq":
        lines = [line for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]]
    else:
        lines = sorted(
            set(lines) if "u" in flags else lines, key=_number if "n" in flags else str, reverse="r" in flags
        )
    call.out("".join(line + "\n" for line in lines))
    return 0


def _number(line: str) -> float:
    found = re.match(r"\s*-?\d+(\.\d+)?", line)
    return float(found.group()) if found else 0.0


def tr(call: Call) -> int:
    """Replace characters, or delete them with `-d`."""
    text = call.stdin.read().decode(errors="replace")
    names = [_ranges(_unescape(arg)) for arg in call.args if arg != "-d"]
    if call.args[:1] == ["-d"] and len(names) == 1:
        call.out("".join(char for char in text if char not in names[0]))
    elif len(names) == 2 and names[1]:
        target = names[1].ljust(len(names[0]), names[1][-1])
        call.out(text.translate(dict(zip(map(ord, names[0]), target, strict=False))))
    else:
        raise CommandError("tr: usage: tr [-d] SET1 [SET2]")
    return 0


def _ranges(text: str) -> str:
    return re.sub(r"(.)-(.)", lambda m: "".join(map(chr, range(ord(m.group(1)), ord(m.group(2)) + 1))), text)


def cut(call: Call) -> int:
    """Print fields (`-d`, `-f`) of each line."""
    args = [part for arg in call.args for part in ((arg[:2], arg[2:]) if re.match(r"-[df].", arg) else (arg,))]
    options = Options(args, {"-d", "-f"}, "cut")
    separator, wanted = options.get("-d", "\t"), options.get("-f")
    picks: list[slice] = []
    for piece in wanted.split(","):
        first, dash, last = piece.partition("-")
        start = integer(first or "1", "field") - 1
        picks.append(slice(start, integer(last, "field") if last else (None if dash else start + 1)))
    for line in _input_lines(call, options.operands):
        fields = line.split(separator)
        call.line(separator.join(field for pick in picks for field in fields[pick]) if separator in line else line)
    return 0


def xargs(call: Call) -> int:
    """Run a command with the words of stdin as further arguments."""
    words = call.stdin.read().decode(errors="replace").split()
    return call.shell(shlex.join([*(call.args or ["echo"]), *words]), BytesInput(), call.emit)


def sh(call: Call) -> int:
    """Run `-c LINE`, a file, or the lines of stdin as they come."""
    args = [arg for arg in call.args if arg not in ("-l", "-i", "-e", "-")]
    if args[:1] == ["-c"]:
        return call.shell(args[1], call.stdin, call.emit) if len(args) > 1 and args[1].strip() else 0
    if args:
        return call.shell("", BytesInput(read_file(call, args[0])), call.emit)
    return call.shell("", call.stdin, call.emit)


def true(call: Call) -> int:
    """Succeed."""
    return 0


def false(call: Call) -> int:
    """Fail."""
    return 1


COMMANDS: dict[str, RunCommand] = {
    "echo": echo,
    "printf": printf,
    "test": test,
    "[": test,
    "grep": grep,
    "egrep": grep,
    "fgrep": grep,
    "head": head,
    "tail": head,
    "wc": wc,
    "sort": sort,
    "uniq": sort,
    "tr": tr,
    "cut": cut,
    "xargs": xargs,
    "sh": sh,
    "true": true,
    ":": true,
    "false": false,
}
