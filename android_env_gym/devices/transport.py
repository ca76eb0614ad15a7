"""adbutils with bounds in time, and its errors as `DeviceFailure`. `adb.AdbDevice`, `health` and the emulators call it.

Invariant: no call on a `BoundedAdb`, not even one that uiautomator2 makes, waits for an answer longer than its
`Bounds` allow. (adbutils alone waits ten minutes, and asks the server's version over a connection of its own, with a
pause of 10 ms, before every command.)
"""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import adbutils
import uiautomator2.exceptions

from android_env_gym.devices.base import DeviceFailure, FailureKind

POLL_SECONDS = 0.1
STATES: dict[str, str] = {
    "unauthorized": "unlock the phone and accept the debugging prompt",
    "offline": "replug it or run `adb reconnect`",
    "no": "no permission to open the USB device: add a udev rule for it, then replug",
    "authorizing": "the phone is still checking this computer's key: wait, or accept the prompt",
    "recovery": "it is in recovery mode: start Android",
    "sideload": "it is in sideload mode: start Android",
    "bootloader": "it is in its boot loader: start Android",
}
_REMOTE = re.compile(r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d+$")
_pause = threading.Event().wait


class Bounds:
    """How long the operation under way may still take; nested bounds only tighten."""

    def __init__(self, serial: str, answer_seconds: float) -> None:
        self.serial = serial
        self._answer_seconds = answer_seconds
        self._until: float | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let everything inside take at most `seconds` in all."""
        outer, until = self._until, time.monotonic() + seconds
        self._until = until if outer is None else min(outer, until)
        try:
            yield
        finally:
            self._until = outer

    def remaining(self, seconds: float | None = None) -> float:
        """Return how long one answer may take, `seconds` at most (default: what the bounds were made with).

        Raises:
            DeviceFailure: No time is left.
        """
        allowed = self._answer_seconds if seconds is None else seconds
        if self._until is not None:
            allowed = min(allowed, self._until - time.monotonic())
        if allowed <= 0:
            raise DeviceFailure("timeout", f"{self.serial}: no time is left for this step")
        return allowed

    def pause(self, seconds: float = POLL_SECONDS) -> None:
        """Wait before asking again."""
        _pause(self.remaining(seconds))


class BoundedClient(adbutils.AdbClient):
    """The adb server; it has `seconds` for every answer, and its version is asked once."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket_timeout=seconds)
        self._version: int | None = None

    def server_version(self) -> int:
        """Return the protocol version, e.g. 41."""
        if self._version is None:
            self._version = int(super().server_version())
        return self._version


class BoundedAdb(adbutils.AdbDevice):
    """One device; every answer is waited for as long as `bounds` allow."""

    def __init__(self, client: BoundedClient, serial: str, bounds: Bounds) -> None:
        self.bounds = bounds
        super().__init__(client, serial)

    def open_transport(self, command: str | None = None, timeout: float | None = None) -> adbutils.AdbConnection:
        """Open a connection to the device, bounded."""
        return super().open_transport(command, self.bounds.remaining(timeout))

    def shell(self, cmdargs: Any, stream: bool = False, timeout: float | None = None, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run a command, bounded; a stream stays open as long as it likes."""
        if stream:
            connection = super().shell(cmdargs, stream=True)
            connection.conn.settimeout(None)
            return connection
        return super().shell(cmdargs, timeout=self.bounds.remaining(timeout), **options)


def is_remote(serial: str) -> bool:
    """Return whether a device is reached by `adb connect` ("192.168.1.5:5555")."""
    return _REMOTE.match(serial) is not None


@contextmanager
def as_failures(serial: str, doing: str) -> Iterator[None]:
    """Turn every error of adbutils, uiautomator2 and the sockets below into a `DeviceFailure`."""
    try:
        yield
    except (adbutils.AdbTimeout, TimeoutError, subprocess.TimeoutExpired) as error:
        raise _failure("timeout", serial, doing, error) from error
    except (
        adbutils.AdbError,
        OSError,
        EOFError,
        http.client.HTTPException,
        uiautomator2.exceptions.HTTPError,
    ) as error:
        raise _failure("lost", serial, doing, error) from error
    except uiautomator2.exceptions.BaseException as error:
        raise _failure("crashed", serial, doing, error) from error
    except (AssertionError, ValueError) as error:  # what the libraries raise on an answer that they do not understand
        raise _failure("crashed", serial, doing, error) from error


def _failure(kind: FailureKind, serial: str, doing: str, error: BaseException) -> DeviceFailure:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return DeviceFailure(kind, f"{serial}: {doing}: {said}")


def attached(client: adbutils.AdbClient) -> dict[str, str]:
    """Return the state of every device that the adb server knows, by serial."""
    return {info.serial: info.state for info in client.list()}


def await_device(client: BoundedClient, serial: str, bounds: Bounds, seconds: float) -> None:
    """Return when the adb server has `serial` online; a device on the network is connected to.

    Raises:
        DeviceFailure: It is not there within `seconds`, or needs a person.
    """
    with bounds.within(seconds), as_failures(serial, "waiting for the device"):
        allowed = bounds.remaining(seconds)
        deadline = time.monotonic() + allowed
        said = ""
        while True:
            state = attached(client).get(serial, "")
            if state == "device":
                return
            if state in ("unauthorized", "no"):
                raise DeviceFailure("lost", f"device {serial} is {state!r}: {STATES[state]}")
            left = deadline - time.monotonic()
            if left > POLL_SECONDS and is_remote(serial):
                said = _connect(client, serial, state, left)
            if time.monotonic() + POLL_SECONDS >= deadline:
                raise DeviceFailure("lost", _absence(client, serial, state, said, allowed))
            _pause(POLL_SECONDS)


def _connect(client: BoundedClient, serial: str, state: str, seconds: float) -> str:
    """Return what the server says to a request to connect; a device that is stuck "offline" is let go first."""
    try:
        if state == "offline":
            client.disconnect(serial)
        return client.connect(serial, timeout=seconds)
    except (adbutils.AdbTimeout, adbutils.AdbError) as error:
        return str(error)


def _absence(client: BoundedClient, serial: str, state: str, said: str, seconds: float) -> str:
    if state:
        return f"device {serial} is {state!r} after {seconds:.0f} s: {STATES.get(state, 'replug it')}"
    others: Sequence[str] = sorted(attached(client))
    found = f"attached are {', '.join(others)}" if others else "no device is attached"
    detail = f" ({said})" if said else ""
    return f"device {serial} did not appear within {seconds:.0f} s{detail}; {found}. `distrl-train devices` lists them"
