"""When a screen has come to rest after an action: by its frames and by the device's event log, never by sleeping.

`settle` looks until two frames in a row are alike and no window event came lately, bounded. Caller: `adb.AdbDevice`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import adbutils

from android_env_gym.devices.config import SettleConfig
from android_env_gym.devices.frames import Frame, alike
from android_env_gym.devices.transport import BoundedAdb, as_failures

COMMAND = "logcat -b events -v brief -T 1"
SIGNS = (b"input_focus", b"wm_", b"am_focused", b"am_resume", b"viewroot_draw", b"imf_", b"sysui_")
_pause = threading.Event().wait
LOOK_SECONDS = 0.02


class Settled(NamedTuple):
    """How `settle` ended: the last frame, and whether the screen was at rest."""

    frame: Frame
    at_rest: bool
    looks: int


class EventWatch:
    """Follows the device's event log in a thread of its own, for as long as the connection lives.

    Raises:
        DeviceFailure: The log cannot be opened.
    """

    def __init__(self, adb: BoundedAdb) -> None:
        self._last = -float("inf")
        with as_failures(str(adb.serial), "opening the event log"):
            self._connection: adbutils.AdbConnection = adb.shell(COMMAND, stream=True)
            self._socket: socket.socket = self._connection.conn
        self._thread = threading.Thread(target=self._follow, name=f"events-{adb.serial}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events still arrive."""
        return self._thread.is_alive()

    def quiet_seconds(self) -> float:
        """Return how long ago the last window event came."""
        return time.monotonic() - self._last

    def close(self) -> None:
        """Stop following; may be called twice."""
        with contextlib.suppress(OSError):  # closed by the other end already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _follow(self) -> None:
        rest = b""
        first = True
        while True:
            try:
                piece = self._socket.recv(1 << 16)
            except OSError:
                return  # closed
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            # What the log held before belongs to no action.
            if not first and any(sign in line for line in lines for sign in SIGNS):
                self._last = time.monotonic()
            first = False


def settle(
    look: Callable[[], Frame],
    before: Frame | None,
    config: SettleConfig,
    quiet_seconds: Callable[[], float] | None = None,
) -> Settled:
    """Return the frame at which the screen came to rest.

    Args:
        look: Takes a screenshot.
        before: The frame from before the action. While nothing differs from it, the device may not have reacted yet.
        config: Bounds.
        quiet_seconds: How long ago the last window event was; None: nobody knows.

    Raises:
        DeviceFailure: `look` failed.
    """
    started = time.monotonic()
    previous = look()
    looks = 1
    while True:
        _pause(LOOK_SECONDS)
        frame = look()
        looks += 1
        elapsed = time.monotonic() - started
        resting = alike(previous, frame, config.tolerance)
        reacted = before is None or elapsed >= config.react_seconds or not alike(before, frame, 0.0)
        quiet = quiet_seconds is None or quiet_seconds() >= config.quiet_seconds
        if resting and reacted and quiet:
            return Settled(frame, True, looks)
        if elapsed >= config.max_seconds:
            return Settled(frame, False, looks)
        previous = frame
