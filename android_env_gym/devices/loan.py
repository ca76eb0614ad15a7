"""Somebody's phone for the time of a run. `Claim`: nobody else drives it. `Loan`: what is changed on it is put back.

Invariant: what is put back is what was there before the first change, however often the connection was lost since.
Caller: `adb.AdbDevice`.
"""

from __future__ import annotations

import getpass
import hashlib
import tempfile
from pathlib import Path

import filelock

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.stream import ShellStream

OWN_KEYBOARD = "com.github.uiautomator/.AdbKeyboard"
_SETTINGS = (
    ("global", "stay_on_while_plugged_in"),
    ("system", "accelerometer_rotation"),
    ("system", "user_rotation"),
)
_NOTHING = ("", "null")


class Claim:
    """The right to drive `serial`, among the processes of this user on this machine; it ends with the process."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        name = hashlib.sha256(serial.encode()).hexdigest()[:16]  # a serial may hold any character
        self._lock = filelock.FileLock(
            Path(tempfile.gettempdir()) / f"android-env-gym-{getpass.getuser()}-{name}.lock", thread_local=False
        )

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


class Loan:
    """The state of one device before a run."""

    def __init__(self) -> None:
        self._taken = False
        self._keyboard = ""
        self._settings: dict[tuple[str, str], str] = {}

    @property
    def taken(self) -> bool:
        """Whether there is anything to put back."""
        return self._taken

    def take(self, shell: ShellStream) -> None:
        """Remember how the device is, before anything is changed; later calls do nothing.

        Raises:
            DeviceFailure: The device does not answer.
        """
        if self._taken:
            return
        keyboard = shell.text(["settings", "get", "secure", "default_input_method"])
        if keyboard in (OWN_KEYBOARD, *_NOTHING):  # left behind by a run that was killed
            others = [name for name in shell.text(["ime", "list", "-s"]).split() if name != OWN_KEYBOARD]
            keyboard = others[0] if others else ""
        self._keyboard = keyboard
        self._settings = {name: shell.text(["settings", "get", *name]) for name in _SETTINGS}
        self._taken = True

    def give_back(self, shell: ShellStream) -> None:
        """Put back what was remembered.

        Raises:
            DeviceFailure: The device does not answer.
        """
        if self._keyboard:
            shell.run(["ime", "set", self._keyboard])
        for name, value in self._settings.items():
            if value not in _NOTHING:
                shell.run(["settings", "put", *name, value])
        self._taken = False
