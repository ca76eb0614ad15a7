"""Somebody's phone for the time of a run. `Claim`: nobody else drives it. `Loan`: what is changed on it is put back.

Invariant: what is put back is what was there before the first change, however often the connection was lost since, and
also if the process was killed: then the next run puts it back. Caller: `adb.AdbDevice`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Annotated

import filelock
import msgspec

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.stream import ShellStream

logger = logging.getLogger(__name__)

OWN_KEYBOARD = "com.github.uiautomator/.AdbKeyboard"
_SETTINGS = (
    ("global", "stay_on_while_plugged_in"),
    ("system", "accelerometer_rotation"),
    ("system", "user_rotation"),
)
_NOTHING = ("", "null")
_USER = os.getuid() if hasattr(os, "getuid") else 0  # where users have no number, their files say 0
_Line = Annotated[str, msgspec.Meta(pattern=r"\A[^\n\0]*\Z")]


class Claim:
    """The right to drive `serial`, among the processes of this user on this machine; it ends with the process."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._lock = filelock.FileLock(_file(serial, "lock"), thread_local=False)

    def take(self) -> None:
        """Claim the device; later calls do nothing.

        Raises:
            DeviceFailure: Somebody else has it.
        """
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise DeviceFailure(
                "reset", f"{self._serial} is driven by another environment: close it, or name another device"
            ) from error

    def release(self) -> None:
        """Let others have it; may be called twice."""
        self._lock.release(force=True)


class _Before(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the phone with this `android_id` was; `settings` are the values of `_SETTINGS`."""

    android_id: _Line
    keyboard: _Line
    settings: tuple[_Line, _Line, _Line]


class Loan:
    """The state of one device before a run; kept in a file until it is put back, because runs are killed."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._path = _file(serial, "json")
        self._before: _Before | None = None

    @property
    def taken(self) -> bool:
        """Whether there is anything to put back."""
        return self._before is not None

    def take(self, shell: ShellStream) -> None:
        """Remember how the device is, before anything is changed; later calls do nothing.

        Raises:
            DeviceFailure: The device does not answer.
        """
        if self._before is not None:
            return
        phone = shell.text(["settings", "get", "secure", "android_id"])
        before = self._left_behind()
        if before is None or before.android_id != phone:  # serials of emulators and addresses move on to other phones
            always, free, rotation = (shell.text(["settings", "get", *name]) for name in _SETTINGS)
            before = _Before(phone, _own_keyboard(shell), (always, free, rotation))
            self._keep(before)
        self._before = before

    def give_back(self, shell: ShellStream) -> None:
        """Put back what was remembered.

        Raises:
            DeviceFailure: The device does not answer.
        """
        if self._before is None:
            return
        if self._before.keyboard:
            shell.run(["ime", "set", self._before.keyboard])
        for name, value in zip(_SETTINGS, self._before.settings, strict=True):
            if value not in _NOTHING:
                shell.run(["settings", "put", *name, value])
        self._before = None
        with contextlib.suppress(OSError):  # somebody else's file, which is never read
            self._path.unlink(missing_ok=True)

    def _left_behind(self) -> _Before | None:
        """Return what a run that was killed kept, None if there is nothing that can be trusted."""
        try:
            info = self._path.lstat()
            if info.st_uid != _USER or not stat.S_ISREG(info.st_mode):
                raise PermissionError("it is not a file of this user")
            return msgspec.json.decode(self._path.read_bytes(), type=_Before)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:  # also msgspec's errors
            logger.warning("%s: %s, left by an earlier run, is ignored: %s", self._serial, self._path, error)
            return None

    def _keep(self, before: _Before) -> None:
        try:
            with tempfile.TemporaryDirectory(dir=self._path.parent) as folder:
                partial = Path(folder, self._path.name)
                partial.touch(0o600)
                partial.write_bytes(msgspec.json.encode(before))
                os.replace(partial, self._path)
        except OSError as error:
            logger.warning("%s is not given back as it was if this run is killed: %s", self._serial, error)


def _own_keyboard(shell: ShellStream) -> str:
    """Return the phone's keyboard; if ours was left behind, another one that it has, "" if it has none."""
    keyboard = shell.text(["settings", "get", "secure", "default_input_method"])
    if keyboard not in (OWN_KEYBOARD, *_NOTHING):
        return keyboard
    others = [name for name in shell.text(["ime", "list", "-s"]).split() if name != OWN_KEYBOARD]
    return others[0] if others else ""


def _file(serial: str, kind: str) -> Path:
    """Return where something about `serial` is kept, by user."""
    name = hashlib.sha256(serial.encode()).hexdigest()[:16]  # a serial may hold any character
    return Path(tempfile.gettempdir()) / f"android-env-gym-{_USER}-{name}.{kind}"
