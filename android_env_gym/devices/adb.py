"""`AdbDevice`: a phone behind ADB, on a cable, on the network or emulated, as a `Device`.

adbutils carries the bytes, uiautomator2 injects input and reads the hierarchy. Invariants: an action is sent at most
once, exactly as typed, and text never reaches a shell unencoded; whatever goes wrong below is a `DeviceFailure` within
the bounds of `AdbConfig`; no frame is returned that the device did not send whole. Callers: `AndroidTaskEnv`, `fleet`.
"""

from __future__ import annotations

import base64
import logging
import time
import unicodedata
from collections.abc import Callable, Sequence

from android_env_gym.actions import (
    Action,
    ActionError,
    Finish,
    Key,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)
from android_env_gym.devices.automation import RpcError
from android_env_gym.devices.base import DeviceFailure, DeviceInfo, UiNode
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.connection import Connection
from android_env_gym.devices.console import load_snapshot
from android_env_gym.devices.frames import Frame, checked_png, decode, is_black
from android_env_gym.devices.launching import find_package
from android_env_gym.devices.loan import Claim, Loan
from android_env_gym.devices.settle import settle
from android_env_gym.devices.stream import CommandError, ShellStream
from android_env_gym.devices.transport import BoundedAdb, BoundedClient, Bounds, await_device
from android_env_gym.devices.ui_xml import parse_dump
from android_env_gym.named import load_named

logger = logging.getLogger(__name__)

KEY_CODES: dict[Key, int] = {"back": 4, "home": 3, "recents": 187, "enter": 66, "delete": 67}
WAKE_CODE = 224
LONG_PRESS_MS = 800
SWIPE_STEPS = 80  # uiautomator moves the finger every 5 ms
FRAME_ATTEMPTS = 4
FRESH_SECONDS = 0.2
GIVE_BACK_SECONDS = 3.0
MAX_TYPED = 4000
MAX_LOGGED = 60
DUMP_DEPTH = 50
LAUNCH_FLAGS = "0x10200000"  # NEW_TASK | RESET_TASK_IF_NEEDED: what a tap on the icon sends
HOME = KEY_CODES["home"]


class AdbDevice:
    """The device `serial`; nothing is connected before the first use, and again after every loss.

    Args:
        serial: As `adb devices` prints it, e.g. "R58M12ABCDE", "emulator-5554", "192.168.1.5:5555".
        config: How it is driven and reset.
    """

    def __init__(self, serial: str, *, config: AdbConfig | None = None) -> None:
        self.serial = serial
        self.config = config or AdbConfig()
        self.unsettled = 0
        self._hook: Callable[[AdbDevice], None] | None = (
            load_named("hook", self.config.hook) if self.config.hook else None
        )
        self._bounds = Bounds(serial, self.config.command_seconds)
        self._client = BoundedClient(self.config.command_seconds)
        self._claim = Claim(serial)
        self._loan = Loan(serial)
        self._connection: Connection | None = None
        self._boot_id = ""
        self._png = b""
        self._frame: Frame | None = None
        self._looked_at = -float("inf")

    # --- Device ---

    def screenshot(self) -> Frame:
        """Return the screen, RGB `(height, width, 3)`, read-only; the same object while nothing changed.

        Raises:
            DeviceFailure: No good frame within the bounds.
        """
        if self._frame is not None and time.monotonic() - self._looked_at < FRESH_SECONDS:
            self._looked_at = -float("inf")  # good for one call: what the screen came to rest at
            return self._frame
        with self._step():
            return self._look()

    def perform(self, action: Action) -> None:
        """Perform one action and return when the screen has settled.

        Raises:
            ActionError: `Finish`, or text that cannot be typed exactly.
            DeviceFailure: The device did not do it, or it is not known whether it did.
        """
        patience = self.config.step_seconds + (action.seconds if isinstance(action, Wait) else 0.0)
        with self._step(patience):
            before = self._frame
            self._looked_at = -float("inf")
            self._send(action)
            self._settle(before)

    def ui_tree(self) -> tuple[UiNode, ...]:
        """Return the visible accessibility nodes, parents before children.

        Raises:
            DeviceFailure: The device does not tell.
        """
        with self._step():
            xml = self._again(lambda: self._connected().automation.call("dumpWindowHierarchy", False, DUMP_DEPTH))
            return parse_dump(str(xml), self._size())

    def reset(self) -> None:
        """Wake and unlock the device, bring it to where an episode starts (`AdbConfig.reset`), show the home screen.

        Raises:
            DeviceFailure: It could not be brought there.
        """
        with self._step(self.config.reset_seconds):
            if self.config.reset == "snapshot":
                self._disconnect()
                load_snapshot(self.serial, self.config.snapshot, self._bounds)
            connection = self._connected(new_episode=True)
            connection.wake_and_unlock(WAKE_CODE)
            for package in self.config.packages:
                self._stop_or_clear(connection, package)
            self._hold(connection)
            self._call("pressKeyCode", HOME)
            self._call_hook()
            self._settle(None)
            self._looked_at = -float("inf")

    def info(self) -> DeviceInfo:
        """Describe the device; its size is (0, 0) and its model empty as long as it was never reached."""
        size = (0, 0) if self._frame is None else (self._frame.shape[1], self._frame.shape[0])
        return DeviceInfo("adb", self.serial, size, self._connection.model if self._connection else "")

    def close(self) -> None:
        """Give the device back as it was: its own keyboard, its own rotation; may be called twice."""
        if self._loan.taken:
            try:
                with self._bounds.within(self.config.command_seconds):
                    self._give_back()
            except DeviceFailure as failure:
                logger.warning("could not give %s back as it was: %s", self.serial, failure)
        self._disconnect()
        self._claim.release()

    # --- beyond `Device`: for hooks, the fleet and tests ---

    def shell(self, words: Sequence[str]) -> str:
        """Run one command on the device and return what it prints; each word reaches it exactly as given.

        Raises:
            CommandError: Its status is not 0.
            DeviceFailure: The device does not answer.
        """
        with self._step():
            return self._connected().shell.check(words)

    def launch(self, package: str) -> None:
        """Bring an app to the front, where it was left.

        Raises:
            CommandError: It is not installed, or has no icon.
            DeviceFailure: The device does not answer.
        """
        with self._step():
            self._launch(self._connected(), package)

    def stop(self, package: str) -> None:
        """End an app; errors as for `launch`."""
        self.shell(["am", "force-stop", package])

    def clear(self, package: str) -> None:
        """End an app and delete its data; errors as for `launch`."""
        self.shell(["pm", "clear", package])

    # --- actions ---

    def _send(self, action: Action) -> None:
        match action:
            case Tap(x, y):
                self._call("click", *self._pixel(x, y))
            case LongPress(x, y):
                self._call("click", *self._pixel(x, y), LONG_PRESS_MS)
            case Swipe(x1, y1, x2, y2):
                self._call("swipe", *self._pixel(x1, y1), *self._pixel(x2, y2), SWIPE_STEPS)
            case TypeText(text):
                self._type(text)
            case PressKey(key):
                self._call("pressKeyCode", KEY_CODES[key])
            case OpenApp(app):
                self._open(app)
            case Wait(seconds):
                connection = self._connected()
                connection.shell.run(["sleep", f"{seconds}"], self.config.command_seconds + seconds)
            case Finish():
                raise ActionError("Finish ends an episode; no device performs it")

    def _call(self, method: str, *parameters: object) -> None:
        """Inject input; never twice, because the device may have seen it."""
        try:
            self._connected().automation.call(method, *parameters)
        except RpcError as error:
            raise DeviceFailure("crashed", str(error)) from error

    def _type(self, text: str) -> None:
        check_typable(text)
        if not text:
            return
        if self.config.text == "clipboard":
            self._call("setClipboard", None, text)
            self._call("pasteClipboard")
        else:
            self._connected().broadcast("ADB_KEYBOARD_INPUT_TEXT", base64.b64encode(text.encode()).decode())

    def _open(self, app: str) -> None:
        connection = self._connected()
        package = find_package(app, connection.packages(), self.config.apps)
        if package is None:  # installed a moment ago, perhaps
            package = find_package(app, connection.packages(anew=True), self.config.apps)
        if package is None:
            logger.warning("%s: no app %r is installed; opening it does nothing", self.serial, app[:MAX_LOGGED])
            return
        try:
            self._launch(connection, package)
        except CommandError as error:
            logger.warning("%s: opening %r did nothing: %s", self.serial, app[:MAX_LOGGED], error)

    def _launch(self, connection: Connection, package: str) -> None:
        activity = connection.launcher_activity(package)
        action, category = "android.intent.action.MAIN", "android.intent.category.LAUNCHER"
        # -W waits until the app is drawn, so that the launcher is not taken for a screen at rest.
        connection.shell.check(["am", "start", "-W", "-a", action, "-c", category, "-f", LAUNCH_FLAGS, "-n", activity])

    def _stop_or_clear(self, connection: Connection, package: str) -> None:
        words = ["pm", "clear", package] if self.config.reset == "clear" else ["am", "force-stop", package]
        try:
            connection.shell.check(words)
        except CommandError as error:
            raise DeviceFailure("reset", str(error)) from error

    def _hold(self, connection: Connection) -> None:
        if self.config.stay_awake:
            connection.shell.run(["svc", "power", "stayon", "true"])
        if self.config.rotation != "free":
            self._call("setOrientation", self.config.rotation)

    def _call_hook(self) -> None:
        if self._hook is not None:
            try:
                self._hook(self)
            except CommandError as error:
                raise DeviceFailure("reset", f"the hook {self.config.hook!r} failed: {error}") from error

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        width, height = self._size()
        return min(int(x * width), width - 1), min(int(y * height), height - 1)

    def _size(self) -> tuple[int, int]:
        frame = self._frame if self._frame is not None else self._look()
        return frame.shape[1], frame.shape[0]

    # --- looking ---

    def _settle(self, before: Frame | None) -> None:
        events = self._connected().events
        log = events.log if events is not None and events.alive else None
        rest = None if log is None else lambda: log.at_rest(self.config.settle)
        settled = settle(self._look, before, self.config.settle, rest)
        self._looked_at = time.monotonic()
        self.unsettled += not settled.at_rest

    def _look(self) -> Frame:
        """Return the screen as it is now; a bad frame or a lost connection is tried again, within the bounds."""
        for attempt in range(1, FRAME_ATTEMPTS + 1):
            try:
                return self._capture()
            except DeviceFailure as failure:
                if attempt == FRAME_ATTEMPTS or failure.kind == "crashed":
                    raise
                logger.info("screenshot %d of at most %d failed: %s", attempt, FRAME_ATTEMPTS, failure)
                if failure.kind != "bad_frame":
                    self._disconnect()
                self._bounds.pause()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _capture(self) -> Frame:
        connection = self._connected()
        output, _ = connection.shell.run(["screencap", "-p"])
        png = checked_png(output, self.serial)
        if self._frame is not None and png == self._png:
            return self._frame
        frame = decode(png, self.serial)
        if is_black(frame):
            connection.shell.run(["input", "keyevent", str(WAKE_CODE)])
            raise DeviceFailure("bad_frame", f"{self.serial}: the screenshot is black: the screen is off or protected")
        self._png, self._frame = png, frame
        return frame

    def _again(self, ask: Callable[[], object]) -> object:
        """Return what `ask` returns, asked once more over a new connection if it was lost; for questions only."""
        try:
            return ask()
        except RpcError as error:
            raise DeviceFailure("crashed", str(error)) from error
        except DeviceFailure as failure:
            if failure.kind != "lost":
                raise
            self._disconnect()
            return ask()

    # --- the connection ---

    def _step(self, seconds: float | None = None) -> _Step:
        return _Step(self, self._bounds, self.config.step_seconds if seconds is None else seconds)

    def _connected(self, *, new_episode: bool = False) -> Connection:
        """Return the connection, made anew if it was lost; a phone that rebooted during an episode has failed."""
        if self._connection is None:
            self._claim.take()
            self._connection = Connection(self._client, self.serial, self.config, self._bounds, self._loan)
        if new_episode:
            self._boot_id = self._connection.boot_id
        elif self._boot_id and self._connection.boot_id != self._boot_id:
            raise DeviceFailure("crashed", f"{self.serial} rebooted during the episode")
        return self._connection

    def _give_back(self) -> None:
        """Put back what was changed; over a connection of its own where there is none."""
        if self._connection is not None:
            self._loan.give_back(self._connection.shell)
            return
        await_device(self._client, self.serial, self._bounds, GIVE_BACK_SECONDS)
        shell = ShellStream(BoundedAdb(self._client, self.serial, self._bounds))
        try:
            self._loan.give_back(shell)
        finally:
            shell.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Step:
    """One call from outside: bounded in time, and nothing half-open is left behind by a failure."""

    def __init__(self, device: AdbDevice, bounds: Bounds, seconds: float) -> None:
        self._device = device
        self._within = bounds.within(seconds)

    def __enter__(self) -> None:
        self._within.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._within.__exit__(None, None, None)
        if isinstance(error, DeviceFailure) and error.kind != "bad_frame":
            self._device._disconnect()


def check_typable(text: str) -> None:
    """Check that `text` can be typed exactly as it is.

    Raises:
        ActionError: It is too long, or holds a control character (a line break is `PressKey("enter")`) or half a pair.
    """
    if len(text) > MAX_TYPED:
        raise ActionError(f"text: got {len(text)} characters, a device types at most {MAX_TYPED} at once.")
    bad = next((char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        hint = 'press the key "enter" for a line break' if bad in "\r\n" else "control characters cannot be typed"
        raise ActionError(f"text: got the character {bad!r} (U+{ord(bad):04X}); {hint}.")
