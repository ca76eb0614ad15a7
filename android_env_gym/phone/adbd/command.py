"""`python -m android_env_gym adbd`: options of a served phone, and the wait for the signal that ends it."""

from __future__ import annotations

import argparse
import signal
import threading

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig

HIGHEST_PORT = 65_535
_DEFAULT = DeviceConfig()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to listen and how the phone is built."""
    parser.add_argument("--port", type=_port, default=0, help="port to listen on; 0, the default, takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; whoever reaches it owns the phone")
    parser.add_argument("--seed", type=int, default=0, help="decides the phone's contents")
    parser.add_argument("--name", default="embedded", help="the phone's own serial number, ro.serialno")
    size = (_DEFAULT.width, _DEFAULT.height)
    parser.add_argument("--screen", type=_size, default=size, metavar="WIDTHxHEIGHT", help="pixels, default 540x1200")
    parser.add_argument("--density", type=_positive, default=_DEFAULT.density, help="pixels per dp, default 1.5")
    parser.add_argument("--font-scale", type=_positive, default=_DEFAULT.font_scale)
    parser.add_argument("--wallpaper", type=int, default=_DEFAULT.wallpaper)
    parser.add_argument("--shuffle-icons", action="store_true", help="order the home screen by the seed")
    parser.add_argument("--latency-ms", type=int, default=0, help="virtual time that each action takes on top")
    parser.add_argument(
        "--clock",
        choices=("virtual", "wall"),
        default="virtual",
        help="virtual, the default: only actions and `sleep` move the phone's time; wall: it follows the wall clock",
    )


def server(arguments: argparse.Namespace) -> AdbServer:
    """Return the server that the options describe, not started."""
    width, height = arguments.screen
    config = DeviceConfig(
        width=width,
        height=height,
        density=arguments.density,
        font_scale=arguments.font_scale,
        wallpaper=arguments.wallpaper,
        shuffle_icons=arguments.shuffle_icons,
        latency_ms=arguments.latency_ms,
    )
    phone = ServedPhone(SimPhone(config, arguments.seed), arguments.name)
    return AdbServer(phone, host=arguments.host, port=arguments.port, wall_clock=arguments.clock == "wall")


def end_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on; called in the main thread."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed is WIDTHxHEIGHT in pixels, for example 540x1200")
    return int(width), int(height)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed is 0 to {HIGHEST_PORT}, 0 takes a free port")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed is a number above 0")
    return value
