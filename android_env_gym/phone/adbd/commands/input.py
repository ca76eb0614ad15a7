"""`input`: touches, text and keys, as Android's `input` command takes them."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands.base import Call, CommandError, RunCommand
from android_env_gym.phone.adbd.keycodes import key_name

_SOURCES = frozenset(
    {
        "keyboard", "mouse", "joystick", "touchnavigation", "touchpad", "trackball", "dpad", "stylus", "gamepad",
        "touchscreen", "rotaryencoder",
    }
)  # fmt: skip
_SWIPE_MS = 300
_LOOK_AGAIN_S = 0.2  # a killed command is noticed after this long
_DRAG_MS = 1000
_USAGE = """Usage: input [<source>] [-d DISPLAY_ID] <command> [<arg>...]

The commands and default sources are:
      text <string> (Default: keyboard)
      keyevent [--longpress|--duration <duration>] [--doubletap] <key code number or name> ... (Default: keyboard)
      tap <x> <y> (Default: touchscreen)
      swipe <x1> <y1> <x2> <y2> [duration(ms)] (Default: touchscreen)
      draganddrop <x1> <y1> <x2> <y2> [duration(ms)] (Default: touchscreen)
      motionevent <DOWN|UP|MOVE|CANCEL> <x> <y> (Default: touchscreen)
      press (Default: trackball)
      keycombination [-t duration(ms)] <key code 1> <key code 2> ... (Default: keyboard)"""


def run_input(call: Call) -> int:
    """Perform one of the commands of `input`."""
    args = list(call.args)
    if args and args[0] in _SOURCES:
        args.pop(0)
    if args[:1] == ["-d"]:
        if len(args) < 2 or args[1] not in ("0", "DEFAULT_DISPLAY", "INVALID_DISPLAY", "-1"):
            raise CommandError(f"Error: Invalid arguments for display ID: {' '.join(args[1:2])}", 255)
        args = args[2:]
    commands = {
        "tap": _tap,
        "swipe": _swipe,
        "draganddrop": _swipe,
        "text": _text,
        "keyevent": _keyevent,
        "keycombination": _keycombination,
        "press": _press,
        "motionevent": _motionevent,
    }
    if not args:
        call.err(_USAGE)
        return 255
    if args[0] not in commands:
        raise CommandError(f"Error: Unknown command: {args[0]}", 255)
    try:
        commands[args[0]](call, args[0], args[1:])
    except KeyError as error:
        raise CommandError(f"Error: Unknown keycode: {error.args[0]}", 255) from error
    return 0


def _points(command: str, args: list[str], *counts: int) -> list[int]:
    if len(args) not in counts:
        raise CommandError(f"Error: Invalid arguments for command: {command}", 255)
    try:
        return [int(float(arg)) for arg in args]
    except (ValueError, OverflowError) as error:
        raise CommandError(f"Error: Invalid arguments for command: {command}\n{error}", 255) from error


def _tap(call: Call, command: str, args: list[str]) -> None:
    x, y = _points(command, args, 2)
    call.served.tap(x, y)


def _swipe(call: Call, command: str, args: list[str]) -> None:
    x1, y1, x2, y2, *duration = _points(command, args, 4, 5)
    usual = _DRAG_MS if command == "draganddrop" else _SWIPE_MS
    call.served.swipe(x1, y1, x2, y2, duration[0] if duration and duration[0] > 0 else usual)


def _text(call: Call, command: str, args: list[str]) -> None:
    if len(args) != 1:
        raise CommandError(f"Error: Invalid arguments for command: {command}", 255)
    if (bad := next((char for char in args[0] if not (" " <= char <= "~" or char == "\n")), None)) is not None:
        # KeyCharacterMap has no key events for it; Android ends with this exception and types nothing.
        raise CommandError(
            "Exception occurred while executing 'text':\njava.lang.NullPointerException: Attempt to get length of null "
            f"array\n\tat com.android.server.input.InputShellCommand.sendText (no key for U+{ord(bad):04X})",
            255,
        )
    first, *more = unescape_spaces(args[0]).split("\n")
    call.served.text(first)
    for line in more:  # the key character map gives the Enter key for a line end
        call.served.key("ENTER")
        if line:
            call.served.text(line)


def unescape_spaces(text: str) -> str:
    """Return `text` with every "%s" replaced by a space, as `InputShellCommand.sendText` does."""
    return text.replace("%s", " ")


def _keyevent(call: Call, command: str, args: list[str]) -> None:
    repeats = 2 if "--doubletap" in args else 1
    if "--duration" in args:
        at = args.index("--duration")
        args = args[:at] + args[at + 2 :]
    keys = [key_name(arg) for arg in args if arg not in ("--longpress", "--doubletap")]
    if not keys:
        raise CommandError(f"Error: Invalid arguments for command: {command}", 255)
    for arg in (arg for arg in args if not arg.startswith("--")):
        for _ in range(repeats):
            call.served.key(arg)


def _keycombination(call: Call, command: str, args: list[str]) -> None:
    keys = args[2:] if args[:1] == ["-t"] else args
    if len(keys) < 2:
        raise CommandError("Error: keycombination requires at least 2 keycodes", 255)
    call.served.chord(tuple(keys))


def _motionevent(call: Call, command: str, args: list[str]) -> None:
    kind = args[0].upper() if args else ""
    if kind not in ("DOWN", "MOVE", "UP", "CANCEL") or (kind != "CANCEL" and len(args) != 3):
        raise CommandError(f"Error: Invalid arguments for command: {command}", 255)
    point = tuple(_points(command, args[1:], 2)) if len(args) == 3 else (0, 0)
    with call.served.lock:
        start, call.served.finger = call.served.finger, None
        if kind == "DOWN":
            call.served.finger = point
        elif kind == "MOVE":
            call.served.finger = start
        elif kind == "UP" and start is not None:
            call.served.tap(*start) if start == point else call.served.swipe(*start, *point)


def _press(call: Call, command: str, args: list[str]) -> None:
    call.served.wait(0.0)  # the phone has no trackball


def getevent(call: Call) -> int:
    """Describe the touch screen with `-p` (`-l` by names); without it follow events, which the kernel never sends."""
    flags = "".join(arg.lstrip("-") for arg in call.args if arg.startswith("-"))
    call.line('add device 1: /dev/input/event2\n  name:     "fts_ts"')
    if "p" not in flags and "i" not in flags:
        while not call.stopped.wait(_LOOK_AGAIN_S):
            pass
        return 0
    width, height = call.served.size
    call.line("  events:")
    axes = (
        ("ABS_MT_SLOT", 0x2F, 9),
        ("ABS_MT_POSITION_X", 0x35, width - 1),
        ("ABS_MT_POSITION_Y", 0x36, height - 1),
        ("ABS_MT_TRACKING_ID", 0x39, 65_535),
        ("ABS_MT_PRESSURE", 0x3A, 255),
    )
    kind = "    ABS (0003): "
    for name, code, largest in axes:
        shown = f"{name:<22}" if "l" in flags else f"{code:04x} "
        call.line(f"{kind}{shown} : value 0, min 0, max {largest}, fuzz 0, flat 0, resolution 0")
        kind = " " * len(kind)
    call.line("  input props:\n    " + ("INPUT_PROP_DIRECT" if "l" in flags else "0001"))
    return 0


COMMANDS: dict[str, RunCommand] = {"input": run_input, "getevent": getevent}
