"""The Android SDK on this computer: where it is, its emulator, its virtual devices (AVDs).

Invariant: what `find_sdk` returns can start emulators; whatever is missing is an `SdkError` that says what to install.
Callers: `make_device`, `fleet`, `health`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from android_env_gym.errors import unknown_name

LIST_SECONDS = 30.0
VARIABLES = ("ANDROID_HOME", "ANDROID_SDK_ROOT")
INSTALL = (
    "install Android's command-line tools (https://developer.android.com/studio#command-line-tools-only), then "
    '`sdkmanager "platform-tools" "emulator" "system-images;android-34;google_apis;x86_64"`, and set ANDROID_HOME'
)
CREATE = '`avdmanager create avd -n NAME -k "system-images;android-34;google_apis;x86_64" -d pixel_6` makes one'


class SdkError(RuntimeError):
    """There is no SDK, no emulator in it, or no such AVD; the message says what to install or create."""


class Sdk(msgspec.Struct, frozen=True):
    """An SDK that has an emulator."""

    root: Path
    emulator: Path

    def avds(self) -> tuple[str, ...]:
        """Return the names of the virtual devices.

        Raises:
            SdkError: The emulator does not tell.
        """
        try:
            listed = subprocess.run(
                [str(self.emulator), "-list-avds"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=LIST_SECONDS,
                check=True,
                text=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SdkError(
                f"`{self.emulator} -list-avds` failed: {error}; reinstall the emulator: {INSTALL}"
            ) from error
        # Some versions print notes before the names; a name has no space.
        return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip() and " " not in line.strip())

    def check_avd(self, name: str) -> None:
        """Check that the virtual device `name` exists.

        Raises:
            SdkError: It does not; the message names the nearest ones, or says how to make one.
        """
        found = self.avds()
        if not found:
            raise SdkError(f"there is no virtual device on this computer: {CREATE}")
        if name not in found:
            raise SdkError(f"{unknown_name('AVD', name, found)} {CREATE}")


def find_sdk() -> Sdk:
    """Return the SDK that the environment names, or the one in its usual place.

    Raises:
        SdkError: There is none, or it has no emulator.
    """
    named = [Path(os.environ[variable]) for variable in VARIABLES if os.environ.get(variable)]
    for root in named or _usual_places():
        emulator = root / "emulator" / _executable("emulator")
        if os.access(emulator, os.X_OK):
            return Sdk(root, emulator)
    on_path = None if named else shutil.which("emulator")
    if on_path:
        emulator = Path(on_path).resolve()
        return Sdk(emulator.parent.parent, emulator)
    looked = ", ".join(str(root) for root in named or _usual_places())
    raise SdkError(f"no Android emulator found (looked in {looked}): {INSTALL}")


def has_acceleration() -> bool:
    """Return whether emulators run at a usable speed here: on Linux, whether KVM may be used."""
    return sys.platform != "linux" or os.access("/dev/kvm", os.R_OK | os.W_OK)


def _usual_places() -> list[Path]:
    home = Path.home()
    return [
        home / "Android" / "Sdk",
        home / "Library" / "Android" / "sdk",
        home / "AppData" / "Local" / "Android" / "Sdk",
    ]


def _executable(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name
