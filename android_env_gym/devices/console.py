"""The emulator's console: a line protocol on the port in "emulator-PORT", used for snapshots, life signs and the end.

Bounded: every call ends within its seconds. Callers: `adb.AdbDevice` (reset "snapshot") and `emulator.Emulator`.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.transport import Bounds

SNAPSHOT_SECONDS = 60.0
_SERIAL = re.compile(r"^emulator-(\d+)$")


class Console:
    """A connection to the console on `port` of this computer.

    Raises:
        DeviceFailure: Nobody answers there, or the token is refused.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self._name = f"console of emulator-{port}"
        self._until = time.monotonic() + seconds
        self._rest = b""
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=max(seconds, 0.001))
        except OSError as error:
            raise DeviceFailure("lost", f"{self._name}: {error}") from error
        try:
            if "Authentication required" in self._answer():
                self._authenticate()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, command: str) -> str:
        """Send one command and return what stands before its OK.

        Raises:
            DeviceFailure: The console refuses it, or does not answer in time.
        """
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(f"{command}\n".encode())
        except OSError as error:
            raise DeviceFailure("lost", f"{self._name}: {error}") from error
        return self._answer()

    def close(self) -> None:
        """Hang up; may be called twice."""
        self._socket.close()

    def _authenticate(self) -> None:
        path = Path.home() / ".emulator_console_auth_token"
        try:
            token = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise DeviceFailure(
                "crashed", f"{self._name} wants the token in {path}, which cannot be read: {error}"
            ) from error
        self.ask(f"auth {token}")

    def _answer(self) -> str:
        lines: list[str] = []
        while True:
            line = self._line()
            if line == "OK" or line.startswith("OK:"):
                return "\n".join(lines)
            if line.startswith("KO"):
                raise DeviceFailure("reset", f"{self._name} refused it: {line}")
            lines.append(line)

    def _line(self) -> str:
        while b"\n" not in self._rest:
            try:
                self._socket.settimeout(self._left())
                piece = self._socket.recv(4096)
            except TimeoutError as error:
                raise DeviceFailure("timeout", f"{self._name}: no answer in time") from error
            except OSError as error:
                raise DeviceFailure("lost", f"{self._name}: {error}") from error
            if not piece:
                raise DeviceFailure("lost", f"{self._name}: it hung up")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise DeviceFailure("timeout", f"{self._name}: no answer in time")
        return left


def console_port(serial: str) -> int | None:
    """Return the console port of an emulator's serial number, None for any other device."""
    match = _SERIAL.match(serial)
    return int(match.group(1)) if match else None


def load_snapshot(serial: str, name: str, bounds: Bounds) -> None:
    """Bring an emulator back to the snapshot `name`.

    Raises:
        DeviceFailure: `serial` is no emulator, or the snapshot cannot be loaded.
    """
    port = console_port(serial)
    if port is None or not name:
        got = f"snapshot {name!r} on {serial}"
        raise DeviceFailure(
            "reset", f'reset "snapshot" needs an emulator ("emulator-PORT") and a snapshot name; got {got}'
        )
    if not re.fullmatch(r"[\w.-]+", name):
        raise DeviceFailure("reset", f"snapshot: got {name!r}, allowed are letters, digits, '_', '-' and '.'")
    with Console(port, bounds.remaining(SNAPSHOT_SECONDS)) as console:
        console.ask(f"avd snapshot load {name}")
