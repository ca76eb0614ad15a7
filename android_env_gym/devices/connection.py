"""`Connection`: everything that is open towards one device at one time, and what was learned about it on the way.

Made anew after every loss. Invariant: a connection exists only to a device that is ready: booted, its user unlocked, a
window in focus. Caller: `adb.AdbDevice`.
"""

from __future__ import annotations

import logging
import re

from android_env_gym.devices.automation import Automation
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.loan import Loan
from android_env_gym.devices.settle import EventWatch
from android_env_gym.devices.stream import CommandError, ShellStream
from android_env_gym.devices.transport import BoundedAdb, BoundedClient, Bounds, await_device

logger = logging.getLogger(__name__)

UNLOCK_ATTEMPTS = 5
_FOCUS = re.compile(r"mCurrentFocus=Window\{")
LOCKED = re.compile(r"mDreamingLockscreen=true|isKeyguardShowing=true|mShowingLockscreen=true")


class Connection:
    """An open connection to `serial`.

    Attributes:
        shell: Runs commands.
        automation: Injects input and reads the hierarchy.
        events: Follows the event log; None where the device has none to follow.
        model: Maker's name of the device.
        boot_id: Differs after every start of the device.

    Raises:
        DeviceFailure: The device is not there, or not ready in time.
    """

    def __init__(self, client: BoundedClient, serial: str, config: AdbConfig, bounds: Bounds, loan: Loan) -> None:
        self.serial = serial
        self._bounds = bounds
        self._packages: frozenset[str] = frozenset()
        self._activities: dict[str, str] = {}
        self.events: EventWatch | None = None
        self.automation: Automation
        await_device(client, serial, bounds, config.connect_seconds)
        self._adb = BoundedAdb(client, serial, bounds)
        self.shell = ShellStream(self._adb)
        try:
            self._await_ready(config.connect_seconds)
            self.model = self.shell.text(["getprop", "ro.product.model"])
            self.boot_id = self.shell.text(["cat", "/proc/sys/kernel/random/boot_id"])
            if config.settle.events:
                self.events = self._follow_events()
            self.automation = Automation(self._adb)
            loan.take(self.shell)
            if config.text == "ime":
                self.automation.use_input_method()
        except BaseException:
            self.close()
            raise

    def packages(self, *, anew: bool = False) -> frozenset[str]:
        """Return the packages that are installed; what was asked before is not asked again, unless `anew`."""
        if anew or not self._packages:
            lines = self.shell.text(["pm", "list", "packages"]).splitlines()
            self._packages = frozenset(line.removeprefix("package:").strip() for line in lines)
        return self._packages

    def launcher_activity(self, package: str) -> str:
        """Return what the launcher would start for `package`, "package/.Activity".

        Raises:
            CommandError: The package is not installed, or has no icon.
        """
        if package not in self._activities:
            category = "android.intent.category.LAUNCHER"
            said = self.shell.text(["cmd", "package", "resolve-activity", "--brief", "-c", category, package])
            name = said.splitlines()[-1].strip() if said else ""
            if not name.startswith(f"{package}/"):
                raise CommandError(f"{self.serial}: the package {package!r} has nothing to open: {said!r}")
            self._activities[package] = name
        return self._activities[package]

    def broadcast(self, action: str, text: str) -> None:
        """Hand `text`, already encoded, to the keyboard.

        Raises:
            DeviceFailure: The keyboard is not there to take it.
        """
        said = self.shell.text(["am", "broadcast", "-a", action, "--es", "text", text])
        if "result=-1" not in said:
            raise DeviceFailure("crashed", f"{self.serial}: the keyboard did not take {action}: {said[-200:]!r}")

    def wake_and_unlock(self, wake_code: int) -> None:
        """Switch the screen on and leave the lock screen.

        Raises:
            DeviceFailure: It stays locked: it has a PIN, pattern or password.
        """
        self.shell.run(["input", "keyevent", str(wake_code)])
        for _ in range(UNLOCK_ATTEMPTS):
            if LOCKED.search(self.shell.text(["dumpsys", "window"])) is None:
                return
            self.shell.run(["wm", "dismiss-keyguard"])
            self._bounds.pause()
        raise DeviceFailure(
            "reset", f"{self.serial} stays locked: remove its PIN, pattern or password for the time of the run"
        )

    def close(self) -> None:
        """Close everything; may be called twice."""
        self.shell.close()
        if self.events is not None:
            self.events.close()
        if hasattr(self, "automation"):
            self.automation.close()

    def _follow_events(self) -> EventWatch | None:
        try:
            return EventWatch(self._adb)
        except DeviceFailure as failure:
            logger.warning("screens of %s settle by frames alone: %s", self.serial, failure)
            return None

    def _await_ready(self, seconds: float) -> None:
        """Return when Android is up: `boot_completed` comes first and is not enough."""
        missing = "no answer"
        try:
            with self._bounds.within(seconds):
                while missing := unreadiness(self.shell):
                    self._bounds.pause()
        except DeviceFailure as failure:
            if failure.kind == "timeout":
                raise DeviceFailure(
                    "timeout", f"{self.serial} is not ready after {seconds:.0f} s: {missing}"
                ) from failure
            raise


def unreadiness(shell: ShellStream) -> str:
    """Return what a device still lacks to be used, "" if it is ready.

    Raises:
        DeviceFailure: It does not answer.
    """
    if shell.text(["getprop", "sys.boot_completed"]) != "1":
        return "it has not finished booting"
    unlocked = shell.text(["getprop", "sys.user.0.ce_available"]) == "true"
    if not unlocked and "RUNNING_UNLOCKED" not in shell.text(["am", "get-started-user-state", "0"]):
        return "its user is locked: unlock it once after the start"
    if _FOCUS.search(shell.text(["dumpsys", "window"])) is None:
        return "no window has the focus"
    return ""
