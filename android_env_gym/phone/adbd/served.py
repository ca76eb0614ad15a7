"""`ServedPhone`: one embedded phone as everything behind ADB sees it: transport, shell and uiautomator2 server.

Invariant: every touch, key and text goes through `SimPhone.perform` with the action an agent would have used, one
action per event, so the same event gives the same state through ADB as through `device="sim"`. Points are device
pixels. Every method holds `lock`; callers that do several things at once hold it around them (it is re-entrant).
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import LongPress, OpenApp, PressKey, Swipe, Tap, TypeText, Wait
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.adbd import foreground, hardware_keys, kernel_files, packages
from android_env_gym.phone.adbd.apk import PREINSTALLED_APK
from android_env_gym.phone.adbd.budget import Budget
from android_env_gym.phone.adbd.files import CAPACITY_BYTES, DeviceFiles
from android_env_gym.phone.adbd.keycodes import ACTION_KEYS, CHARACTERS, SHIFTED, key_name
from android_env_gym.phone.adbd.logbuffer import LogBuffer
from android_env_gym.phone.adbd.packages import Package
from android_env_gym.phone.adbd.properties import draw_properties
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.phone import SimPhone, screen_size
from android_env_gym.phone.state import Copy, Open, Page, PhoneState
from android_env_gym.phone.system.keyboard import is_shown
from android_env_gym.phone.system.reduce import handle, stopped, with_system
from android_env_gym.phone.ui.node import Event

LONG_PRESS_MS = 500
EVENT_S = 0.4  # what an action takes; keys that no action has take as long
MAX_CHILDREN = 256
PIDS_PER_LIFE = 1_009  # no two apps that are alive get the same number
BOOT_MS = 21_700  # from power on to the home screen

Receiver = Callable[[Mapping[str, str]], tuple[int, str]]


class UndrawableError(ValueError):
    """What was asked would have led to a screen that an app cannot draw; nothing was changed."""


class ServedPhone:
    """An embedded phone with what a device has beside its screen: files, properties, log, packages, processes.

    Args:
        phone: The phone; a test may hold it as the environment's `World` at the same time.
        serial_name: The device's own serial number (`ro.serialno`), not the one ADB connects to.

    Attributes:
        lock: Held for every look at or change of the phone.
        files: The device's file system.
        log: What `logcat` prints.
        properties: What `getprop` answers.
        receivers: Broadcast action -> receiver of its extras (as texts), which returns result code and data.
        installed: Packages that were installed over ADB, by name.
        reboot_listeners: Called after `reboot`, without the lock; the transport hangs up here.
        physical_keys: Whether the phone has keys beside its screen; without them `monkey` wants `--pct-syskeys 0`.
        deaths: How often each package's process was ended.
        sleeps_for_real: Whether `sleep` lets its caller wait, as the phone's time follows the wall clock.
        size_override: What `wm size WxH` has asked for; "" as the display is. Clients read it back, nothing is resized.
        finger: Where `input motionevent DOWN` has put a finger that is still down; the gesture acts at UP.
        memory: Bytes that clients may have waiting in the phone, on stdin, in pipes and in unfinished uploads.
        children: Threads that the parts of pipelines may have, of all shells together.
        uiautomator_running: Whether uiautomator2's server process runs, so that its port answers.
    """

    def __init__(self, phone: SimPhone, serial_name: str = "embedded") -> None:
        self.lock = threading.RLock()
        self.phone = phone
        self.memory = Budget(CAPACITY_BYTES)
        self.children = Budget(MAX_CHILDREN)
        self.serial_name = serial_name
        self.files = DeviceFiles(clock=lambda: self.phone.state.now / 1000)
        self.properties: dict[str, str] = draw_properties(phone.state, serial_name)
        self.log = LogBuffer(self.lock)
        self.receivers: dict[str, Receiver] = {}
        self.installed: dict[str, Package] = {}
        self.deaths: Counter[str] = Counter()
        self.size_override = ""
        self.sleeps_for_real = False
        self.finger: tuple[int, ...] | None = None
        self.settings: dict[tuple[str, str], str] = {}
        self.granted: dict[tuple[str, str], bool] = {}
        self.input_method = packages.LATIN_IME
        self.enabled_methods: set[str] = {packages.LATIN_IME}
        self.reboot_listeners: list[Callable[[], None]] = []
        self.physical_keys = True
        self.uiautomator_running = False
        self.boots = 0
        self.boot_ms = 0
        self._png_of: NDArray[np.uint8] | None = None
        self._png = b""
        self._start()
        kernel_files.provide(self)
        for package in (*packages.APP_PACKAGES, *packages.SYSTEM_PACKAGES):
            self.files.write(package.path, PREINSTALLED_APK, parents=True)

    # --- input: the actions an agent has ---

    def tap(self, x: int, y: int) -> None:
        """Tap the pixel; a pixel beside the screen touches nothing."""
        with self.lock:
            if self._on_screen(x, y):
                self._perform(Tap(*self._unit(x, y)))

    def long_press(self, x: int, y: int, ms: int = LONG_PRESS_MS) -> None:
        """Press the pixel for `ms`; less than Android's 500 ms is a tap."""
        with self.lock:
            if ms < LONG_PRESS_MS:
                self.tap(x, y)
            elif self._on_screen(x, y):
                self._perform(LongPress(*self._unit(x, y)))

    def swipe(self, x1: int, y1: int, x2: int, y2: int, ms: int = 300) -> None:
        """Move a finger between the pixels; one that does not move presses for `ms`."""
        with self.lock:
            if (x1, y1) == (x2, y2):
                self.long_press(x1, y1, ms)
            elif self._on_screen(x1, y1):
                self._perform(Swipe(*self._unit(x1, y1), *self._unit(x2, y2)))

    def text(self, text: str) -> None:
        """Type `text` at the caret of the focused field; never presses Enter."""
        with self.lock:
            self._perform(TypeText(text))

    def key(self, name_or_code: str | int) -> None:
        """Press a key given as "KEYCODE_BACK", "back" or 4.

        Raises:
            KeyError: Android has no such key.
        """
        name = key_name(name_or_code)
        with self.lock:
            if name in ACTION_KEYS:
                self._perform(PressKey(ACTION_KEYS[name]))
            elif name in CHARACTERS:
                self._perform(TypeText(CHARACTERS[name]))
            else:
                hardware_keys.press(self, name)
                self.wait(EVENT_S)

    def chord(self, names: tuple[str, ...]) -> None:
        """Press keys together: Shift and a character, Ctrl and A, C, X or V; others press nothing.

        Raises:
            KeyError: Android has no such key.
        """
        *held, last = (key_name(name) for name in names)
        with self.lock:
            if any(name.startswith("CTRL") for name in held):
                hardware_keys.press_with_ctrl(self, last)
            elif any(name.startswith("SHIFT") for name in held) and last in CHARACTERS:
                character = CHARACTERS[last]
                self._perform(TypeText(SHIFTED.get(character, character.upper())))
                return
            self.wait(EVENT_S)

    def launch(self, package: str) -> None:
        """Bring a package's app to the front where it was left.

        Raises:
            LookupError: No app has this package name; the message names those there are.
        """
        with self.lock:
            self._perform(OpenApp(self._app(package).name))

    def open(self, page: Page) -> None:
        """Open `page` on top of its app, as an intent does; takes the time of one action."""
        with self.lock:
            self.handle(Open(page))
            self.wait(EVENT_S)

    def wait(self, seconds: float) -> None:
        """Let the phone's own time pass."""
        with self.lock:
            self._perform(Wait(seconds))

    # --- administration: takes none of the phone's time ---

    def handle(self, event: Event) -> None:
        """Let the system handle `event`, as if something on the phone had caused it."""
        with self.lock:
            self.edit(lambda state: handle(state, event))

    def edit(self, change: Callable[[PhoneState], PhoneState]) -> None:
        """Continue from `change(state)`, e.g. with other contacts."""
        with self.lock:
            self._keep(lambda: self.phone.edit(change))

    def stop(self, package: str) -> None:
        """Stop an app: its back stack is gone, its data stays. An unknown package is nothing to stop.

        Stopping what is in front shows the home screen.
        """
        found = packages.find_package(package)
        if found is not None and found.app_id:
            if found in self.running():
                self.deaths[package] += 1
            self.record("ActivityManager", f"Force stopping {package} appid={found.uid} user=0: from pid 3620")
            self.edit(lambda state: stopped(state, found.app_id))

    def clear(self, package: str) -> None:
        """Stop an app and give it the data it has on a fresh phone.

        Raises:
            LookupError: No app has this package name.
        """
        app_id = self._app(package).app_id
        with self.lock:
            self._keep(lambda: self.phone.clear_app(app_id))

    def reboot(self) -> None:
        """Restart the phone: home screen, nothing running, empty log; data and files stay; connections end."""
        with self.lock:
            self.phone.reboot()
            self.uiautomator_running = False
            self.log.clear()
            self._start()
        for callback in tuple(self.reboot_listeners):
            callback()

    def record(self, tag: str, message: str, level: str = "I", buffer: str = "main") -> None:
        """Append a message to the log, stamped with the phone's time."""
        self.log.append(self.phone.state.now, tag, message, level, buffer)

    # --- what can be seen ---

    def frame(self) -> NDArray[np.uint8]:
        """Return the screen, `(height, width, 3)` uint8 RGB, read-only; black while the screen is off."""
        with self.lock:
            return self.phone.screenshot()

    def png(self) -> bytes:
        """Return the screen as a PNG; encoded once per frame."""
        with self.lock:
            frame = self.frame()
            if frame is not self._png_of:
                bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
                good, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
                if not good:
                    raise RuntimeError(f"OpenCV could not encode a frame of shape {frame.shape} as PNG")
                self._png_of, self._png = frame, data.tobytes()
            return self._png

    def tree(self) -> tuple[UiNode, ...]:
        """Return the visible accessibility nodes with their bounds in pixels; none while the screen is off."""
        with self.lock:
            return self.phone.ui_tree()

    @property
    def state(self) -> PhoneState:
        """The phone's present state, an immutable value."""
        return self.phone.state

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the screen in pixels, as it is held now."""
        return screen_size(self.phone.state)

    def package(self) -> str:
        """Return the package whose window has the focus: the system UI while the shade is open."""
        window = self.focused_window()
        return packages.SYSTEM_UI if window == foreground.SHADE_WINDOW else window.partition("/")[0]

    def activity(self) -> str:
        """Return the fully qualified activity in front; it stays resumed below the shade."""
        return self.resumed()[1]

    def resumed(self) -> tuple[str, str]:
        """Return package and fully qualified activity that are in front, the launcher's while recents are shown."""
        return foreground.resumed(self.state)

    def component(self) -> str:
        """Return what is in front as "package/.Activity"."""
        return foreground.component(self.state)

    def focused_window(self) -> str:
        """Return the name of the window that has the focus: "package/activity" or "NotificationShade"."""
        return foreground.focused_window(self.state)

    def packages(self) -> list[Package]:
        """Return every installed package: the apps, the system's, those installed over ADB."""
        with self.lock:
            return [*packages.APP_PACKAGES, *packages.SYSTEM_PACKAGES, *self.installed.values()]

    def running(self) -> list[Package]:
        """Return the packages that have a process: the system's, the launcher, every app with a back stack."""
        with self.lock:
            alive = {"launcher", *(stack.app for stack in self.state.system.stacks)}
            apps = [item for item in packages.APP_PACKAGES if item.app_id in alive]
            keyboards = [item for item in self.installed.values() if self.input_method.startswith(item.name + "/")]
            return [*packages.SYSTEM_PACKAGES, *apps, *keyboards]

    def pid(self, package: Package) -> int:
        """Return the id of a package's process; another one after every stop."""
        return package.pid + PIDS_PER_LIFE * self.deaths[package.name]

    def keyboard_shown(self) -> bool:
        """Return whether the soft keyboard covers the lower part of the screen."""
        return is_shown(self.state.system)

    @property
    def clipboard(self) -> str:
        """The text on the clipboard."""
        return self.state.system.clipboard

    @clipboard.setter
    def clipboard(self, text: str) -> None:
        self.handle(Copy(text))

    @property
    def screen_on(self) -> bool:
        """Whether the screen is on; a dark screen ignores touches."""
        return self.state.system.screen_on

    def wake(self) -> None:
        """Switch the screen on."""
        self._switch(True)

    def sleep(self) -> None:
        """Switch the screen off."""
        self._switch(False)

    @property
    def orientation(self) -> int:
        """How the screen is turned, in quarter turns to the left from upright (`Surface.ROTATION_*`)."""
        return self.state.system.rotation

    @orientation.setter
    def orientation(self, quarter_turns: int) -> None:
        if quarter_turns not in range(4):
            raise ValueError(f"orientation: got {quarter_turns!r}, allowed are 0, 1, 2, 3 quarter turns.")
        self.edit(lambda state: with_system(state, rotation=quarter_turns))

    # --- parts ---

    def _perform(self, action: Tap | LongPress | Swipe | TypeText | PressKey | OpenApp | Wait) -> None:
        self._keep(lambda: self.phone.perform(action))

    def _keep(self, change: Callable[[], None]) -> None:
        """Change the phone; a state that cannot be drawn is undone, since no action could lead out of it."""
        before = self.phone.state
        try:
            change()
            self.phone.ui_tree()  # laid out here, drawn from the same layout when somebody looks
        except Exception as error:
            self.phone.restore(before)
            raise UndrawableError(f"undone: the phone could not show what came of it ({error!r})") from error
        self._note_changes(before)

    def _start(self) -> None:
        """Note what is new with every start of the system."""
        self.boots += 1
        self.boot_ms = self.phone.state.now - BOOT_MS
        self.boot_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.serial_name} {self.boots}")
        self.record("SystemServer", "Entered the Android system server!", buffer="system")
        self.record("boot_progress_enable_screen", str(BOOT_MS), buffer="events")

    def _note_changes(self, before: PhoneState) -> None:
        """Log what Android logs when another activity or window comes to the front."""
        now = self.phone.state
        if (old := foreground.component(before)) != (new := foreground.component(now)):
            self.record("ActivityTaskManager", f"START u0 {{act=android.intent.action.MAIN cmp={new}}} from uid 2000")
            self.record("ActivityTaskManager", f"Displayed {new} for user 0: +118ms")
            self.record("wm_set_resumed_activity", f"[0,{new},resumeTopActivity]", buffer="events")
            self.record(
                "wm_pause_activity", f"[0,{foreground.window_token(old)},{old},userLeaving=true]", buffer="events"
            )
        if (window := foreground.focused_window(now)) != foreground.focused_window(before):
            token = foreground.window_token(window)
            self.record(
                "input_focus", f"[Focus entering {token:x} {window} (server),reason=NO_WINDOW]", buffer="events"
            )

    def _switch(self, on: bool) -> None:
        if on != self.screen_on:
            self.record("PowerManagerService", "Waking up from Asleep" if on else "Going to sleep due to power_button")
            self.edit(lambda state: with_system(state, screen_on=on))

    def _unit(self, x: int, y: int) -> tuple[float, float]:
        width, height = self.size
        return (min(max(x, 0), width - 1) + 0.5) / width, (min(max(y, 0), height - 1) + 0.5) / height

    def _on_screen(self, x: int, y: int) -> bool:
        width, height = self.size
        return 0 <= x < width and 0 <= y < height

    def _app(self, package: str) -> Package:
        found = packages.find_package(package)
        if found is None or not found.app_id:
            names = ", ".join(app.package for app in APP_BY_ID.values())
            raise LookupError(f"no app has the package name {package!r}; installed: {names}")
        return found
