"""When a screen has come to rest after an action: by its frames and by the device's event log, never by sleeping.

`settle` looks until two frames in a row, taken a moment apart, are alike and no window is being opened, bounded.
Caller: `adb.AdbDevice`.
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
# Another window is on its way; it is there when it takes the focus, which it does once it is drawn.
OPENING = (b"wm_create_activity", b"wm_restart_activity", b"wm_set_resumed_activity", b"wm_finish_activity")
LEAVING, FOCUSED = b"Focus leaving", b"Focus entering"
_pause = threading.Event().wait


class Settled(NamedTuple):
    """How `settle` ended: the last frame, and whether the screen was at rest."""

    frame: Frame
    at_rest: bool
    looks: int


class WindowLog:
    """What the event log says of windows: whether one is on its way, and since when nothing has happened."""

    def __init__(self) -> None:
        self._last = -float("inf")
        self._tells_focus = False
        self._opening = False

    def note(self, line: bytes, *, old: bool = False) -> None:
        """Take in one line of the log; an `old` one is of before the device was used."""
        if FOCUSED in line:
            self._tells_focus, self._opening = True, False
        if old or not any(sign in line for sign in SIGNS):
            return
        if LEAVING in line or any(sign in line for sign in OPENING):
            self._opening = True
        self._last = time.monotonic()

    def at_rest(self, config: SettleConfig) -> bool:
        """Return whether no window is on its way.

        Android from 11 on says when a window takes the focus. Others, and windows that never take it, are believed to
        be there when nothing has been logged for a while.
        """
        quiet = time.monotonic() - self._last
        if self._tells_focus:
            return not self._opening or quiet >= config.opening_seconds
        return quiet >= config.quiet_seconds


class EventWatch:
    """Follows the device's event log in a thread of its own, for as long as the connection lives.

    Raises:
        DeviceFailure: The log cannot be opened.
    """

    def __init__(self, adb: BoundedAdb) -> None:
        self.log = WindowLog()
        with as_failures(str(adb.serial), "opening the event log"):
            self._connection: adbutils.AdbConnection = adb.shell(COMMAND, stream=True)
            self._socket: socket.socket = self._connection.conn
        self._thread = threading.Thread(target=self._follow, name=f"events-{adb.serial}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events still arrive."""
        return self._thread.is_alive()

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
            for line in lines:
                self.log.note(line, old=first)  # what the log held before belongs to no action
            first = False


def settle(
    look: Callable[[], Frame],
    before: Frame | None,
    config: SettleConfig,
    windows_rest: Callable[[], bool] | None = None,
) -> Settled:
    """Return the frame at which the screen came to rest.

    Args:
        look: Takes a screenshot.
        before: The frame from before the action. While nothing differs from it, or it is not known, the device may not
            have reacted yet.
        config: Bounds.
        windows_rest: Whether no window is on its way; None: nobody knows.

    Raises:
        DeviceFailure: `look` failed.
    """
    started = looked = time.monotonic()
    previous = look()
    looks = 1
    while True:
        # Two pictures of a slow movement, taken at once, would be alike. A real screenshot takes longer than this.
        _pause(max(0.0, looked + config.still_seconds - time.monotonic()))
        opening = windows_rest is not None and not windows_rest()  # asked first: the frame must be of later
        looked = time.monotonic()  # the picture is taken at the earliest now
        frame = look()
        looks += 1
        resting = alike(previous, frame, config.tolerance)
        changed = before is not None and not alike(before, frame, 0.0)
        if resting and not opening and (changed or looked - started >= config.react_seconds):
            return Settled(frame, True, looks)
        if time.monotonic() - started >= config.max_seconds:
            return Settled(frame, False, looks)
        previous = frame
