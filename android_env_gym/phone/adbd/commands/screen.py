"""What is on the screen: `screencap`, `wm`, `uiautomator dump`, `screenrecord` (refused)."""

from __future__ import annotations

import re
import struct

import cv2

from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand
from android_env_gym.phone.adbd.commands.paths import write_file
from android_env_gym.phone.adbd.hierarchy import to_xml, windows

DISPLAY_ID = "4619827259835644672"
_RGBA_8888 = 1
_SRGB = 1
_DUMP_FILE = "/sdcard/window_dump.xml"


def screencap(call: Call) -> int:
    """Write the screen to stdout or a file: a PNG with `-p` or by the file's name, raw RGBA otherwise."""
    options = Options(call.args, {"-d"}, "screencap")
    if options.has("-h"):
        call.err("usage: screencap [-hp] [-d display-id] [FILENAME]")
        return 1
    if options.has("-d") and options.get("-d") not in (DISPLAY_ID, "0"):
        raise CommandError(f"Display Id '{options.get('-d')}' is not valid.\nDisplay Id '{DISPLAY_ID}' is valid.")
    name = options.operands[0] if options.operands else ""
    served = call.served
    with served.lock:
        if options.has("-p") or name.endswith(".png"):
            data = served.png()
        else:
            frame = served.frame()
            header = struct.pack("<4I", frame.shape[1], frame.shape[0], _RGBA_8888, _SRGB)
            data = header + cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA).tobytes()
    if name:
        write_file(call, name, data)
    else:
        call.out(data)
    return 0


def wm(call: Call) -> int:
    """Print the screen's size and density; a size can be overridden in name only, a density not."""
    config = call.served.state.config
    physical = {"size": f"{config.width}x{config.height}", "density": str(round(config.density * 160))}
    match call.args:
        case [("size" | "density") as what]:
            call.line(f"Physical {what}: {physical[what]}")
            if what == "size" and call.served.size_override:
                call.line(f"Override size: {call.served.size_override}")
        case ["size", value] if value == "reset" or re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", value):
            call.served.size_override = "" if value in ("reset", physical["size"]) else value
        case [("size" | "density") as what, value]:
            if value not in ("reset", physical[what]):
                raise CommandError(
                    f"Error: {what} {value} is not available; the display supports {physical[what]}", 255
                )
        case ["user-rotation" | "set-user-rotation", *how]:
            _rotate(call, how)
        case ["dismiss-keyguard"]:
            call.served.wake()
        case ["fixed-to-user-rotation" | "set-fix-to-user-rotation" | "set-ignore-orientation-request", *_]:
            pass
        case _:
            raise CommandError(f"Unknown command: {' '.join(call.args[:1])}", 255)
    return 0


def _rotate(call: Call, how: list[str]) -> None:
    if not how:
        call.line(f"lock {call.served.orientation}")
    elif how[0] == "lock":
        turned = how[-1] if how[-1] in ("0", "1", "2", "3") else str(call.served.orientation)
        call.served.orientation = int(turned)
    elif how[0] == "free":
        call.served.orientation = 0
    else:
        raise CommandError(f"Error: argument needs to be either -d, free or lock. Got: {how[0]}", 255)


def uiautomator(call: Call) -> int:
    """Write the accessibility tree to a file, as XML."""
    if call.args[:1] != ["dump"]:
        raise CommandError("Usage: uiautomator <subcommand> [options]\n\ndump: creates an XML dump of current UI", 1)
    names = [arg for arg in call.args[1:] if not arg.startswith("--")]
    if not call.served.screen_on:
        call.err("ERROR: could not get idle state.")
        return 0
    with call.served.lock:
        roots = windows(call.served)[: None if "--windows" in call.args else 1]
        data = to_xml(roots, call.served.orientation, compressed="--compressed" in call.args)
    target = names[0] if names else _DUMP_FILE
    if target in ("/dev/tty", "/dev/stdout", "/proc/self/fd/1"):
        call.out(re.sub(r"\r\n", "\n", data, count=1) + f"UI hierchary dumped to: {target}\n")
        return 0
    write_file(call, target, data.encode())
    call.line(f"UI hierchary dumped to: {target}")  # sic
    return 0


def screenrecord(call: Call) -> int:
    """The phone has no video encoder."""
    raise CommandError("ERROR: unable to create video/avc codec instance", 1)


COMMANDS: dict[str, RunCommand] = {
    "screencap": screencap,
    "wm": wm,
    "uiautomator": uiautomator,
    "screenrecord": screenrecord,
}
