"""uiautomator2's methods on the device as a whole: touches, keys, screen, hierarchy, clipboard, toasts.

Invariant: a touch, a gesture or a key is one event of the phone, as an agent's action is; looking costs no time.
`UiAutomatorServer` holds the phone's lock around every call.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import cv2
import msgspec

from android_env_gym.phone.adbd.hierarchy import DEFAULT_DEPTH, to_xml, windows
from android_env_gym.phone.adbd.keycodes import NAMES
from android_env_gym.phone.adbd.rpc import Overload, overload
from android_env_gym.phone.adbd.served import EVENT_S, ServedPhone
from android_env_gym.phone.state import PutSetting, ShowShade, Toast

STEP_MS = 5  # one step of a swipe
SLOP_DP = 8.0
DOWN, UP, MOVE = 0, 1, 2  # MotionEvent.ACTION_*
META_SHIFT, META_CTRL = 0xC1, 0x7000  # KeyEvent.META_SHIFT_MASK, META_CTRL_MASK
_KEYS = {
    "home": "HOME", "back": "BACK", "left": "DPAD_LEFT", "right": "DPAD_RIGHT", "up": "DPAD_UP", "down": "DPAD_DOWN",
    "center": "DPAD_CENTER", "menu": "MENU", "search": "SEARCH", "enter": "ENTER", "delete": "DEL", "del": "DEL",
    "recent": "APP_SWITCH", "volume_up": "VOLUME_UP", "volume_down": "VOLUME_DOWN", "volume_mute": "VOLUME_MUTE",
    "camera": "CAMERA", "power": "POWER",
}  # fmt: skip
_TURNS = {"left": 1, "l": 1, "right": 3, "r": 3, "natural": 0, "n": 0}


class _Touch(msgspec.Struct):
    """The finger that is down: where it went down, when, and where it is."""

    start: tuple[int, int]
    since: float
    at: tuple[int, int]


class DeviceMethods:
    """The methods that need no selector.

    Args:
        served: The phone.
        clock: Seconds that tell how long a finger that `injectInputEvent` put down stays.
    """

    def __init__(self, served: ServedPhone, clock: Callable[[], float] = time.monotonic) -> None:
        self._served = served
        self._clock = clock
        self._touch: _Touch | None = None
        self._toast = ""
        self._toast_until = 0
        self._clip_set = False

    def methods(self) -> dict[str, tuple[Overload, ...]]:
        """Return the signatures by method name."""
        return {
            "ping": (overload("", lambda: "pong"),),
            "deviceInfo": (overload("", self.device_info),),
            "click": (overload("int int", self.click), overload("int int int", self.click)),
            "swipe": (overload("int int int int int", self.swipe),),
            "drag": (overload("int int int int int", self.swipe),),
            "swipePoints": (overload("ints int", self.swipe_points),),
            "injectInputEvent": (overload("int float float int", self.inject),),
            "pressKey": (overload("text", self.press_key),),
            "pressKeyCode": (overload("int", self.press_code), overload("int int", self.press_code)),
            "dumpWindowHierarchy": (
                overload("bool", self.dump),
                overload("bool int", self.dump),
                overload("bool int bool", self.dump),
            ),
            "takeScreenshot": (overload("float int", self.screenshot),),
            "wakeUp": (overload("", self._served.wake),),
            "sleep": (overload("", self._served.sleep),),
            "isScreenOn": (overload("", lambda: self._served.screen_on),),
            "setOrientation": (overload("text", self.set_orientation),),
            "freezeRotation": (overload("bool", self.freeze_rotation),),
            "openNotification": (overload("", lambda: self._open_panel("notifications")),),
            "openQuickSettings": (overload("", lambda: self._open_panel("quick")),),
            "setClipboard": (overload("text text", self.set_clipboard),),
            "getClipboard": (overload("", self.clipboard),),
            "pasteClipboard": (overload("", lambda: self._served.chord(("CTRL_LEFT", "V"))),),
            "clearInputText": (overload("", self.clear_input),),
            "makeToast": (overload("text float", self.make_toast),),
            "getLastToast": (overload("", self.last_toast),),
            "clearLastToast": (overload("", self.clear_toast),),
            "getLastTraversedText": (overload("", lambda: None),),
            "clearLastTraversedText": (overload("", lambda: None),),
            "waitForIdle": (overload("int", lambda timeout: None),),
        }

    def device_info(self) -> dict[str, Any]:
        """Describe the device as `d.info` shows it."""
        served = self._served
        (width, height), density = served.size, served.state.config.density
        return {
            "currentPackageName": windows(served)[0].package,
            "displayHeight": height,
            "displayRotation": served.orientation,
            "displaySizeDpX": round(width / density),
            "displaySizeDpY": round(height / density),
            "displayWidth": width,
            "naturalOrientation": served.orientation in (0, 2),
            "productName": served.properties["ro.product.name"],
            "screenOn": served.screen_on,
            "sdkInt": int(served.properties["ro.build.version.sdk"]),
        }

    # --- touches and keys ---

    def click(self, x: int, y: int, ms: int = 100) -> bool:
        """Hold a finger on the pixel for `ms`."""
        if x < 0 or y < 0:
            return False
        self._served.long_press(x, y, ms)
        return True

    def swipe(self, x1: int, y1: int, x2: int, y2: int, steps: int) -> bool:
        """Move a finger between two pixels."""
        self._served.swipe(x1, y1, x2, y2, max(steps, 1) * STEP_MS)
        return True

    def swipe_points(self, points: list[int], steps: int) -> bool:
        """Move a finger along pixels `[x, y, x, y, ...]`; the phone sees where it went down and where it left."""
        if len(points) < 2:
            return False
        last = len(points) // 2 * 2
        duration = max(steps, 1) * STEP_MS * max(last // 2 - 1, 1)
        self._served.swipe(points[0], points[1], points[last - 2], points[last - 1], duration)
        return True

    def inject(self, action: int, x: float, y: float, meta: int) -> bool:
        """Put one finger down, move it, lift it: lifting it makes the tap, the long press or the swipe."""
        at = (int(x), int(y))
        if action == DOWN:
            self._touch = _Touch(at, self._clock(), at)
            return True
        if self._touch is None or action not in (UP, MOVE):
            return False
        self._touch.at = at
        if action == UP:
            self._lift(self._touch)
        return True

    def _lift(self, touch: _Touch) -> None:
        self._touch = None
        (x1, y1), (x2, y2) = touch.start, touch.at
        held_ms = int((self._clock() - touch.since) * 1000)
        moved = max(abs(x2 - x1), abs(y2 - y1)) >= SLOP_DP * self._served.state.config.density
        if moved:
            self._served.swipe(x1, y1, x2, y2, held_ms)
        else:
            self._served.long_press(x1, y1, held_ms)

    def press_key(self, name: str | None) -> bool:
        """Press a key by uiautomator's name for it; an unknown name presses nothing."""
        key = _KEYS.get((name or "").lower())
        if key is not None:
            self._served.key(key)
        return key is not None

    def press_code(self, code: int, meta: int = 0) -> bool:
        """Press a key by its code, with Ctrl or Shift held if `meta` says so."""
        held = "CTRL_LEFT" if meta & META_CTRL else "SHIFT_LEFT" if meta & META_SHIFT else ""
        try:
            if held and code in NAMES:
                self._served.chord((held, NAMES[code]))
            else:
                self._served.key(code)
        except KeyError:
            return False
        return True

    def clear_input(self) -> None:
        """Empty the focused field with Ctrl+A and Delete."""
        self._served.chord(("CTRL_LEFT", "A"))
        self._served.key("DEL")

    # --- screen ---

    def dump(self, compressed: bool, depth: int = DEFAULT_DEPTH, active_only: bool = False) -> str:
        """Return the hierarchy as XML."""
        roots = windows(self._served)
        rotation = self._served.orientation
        return to_xml(roots[:1] if active_only else roots, rotation, compressed=compressed, max_depth=depth)

    def screenshot(self, scale: float, quality: int) -> str | None:
        """Return the screen as JPEG in base64; like the real server, it does not scale."""
        bgr = cv2.cvtColor(self._served.frame(), cv2.COLOR_RGB2BGR)
        good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, min(max(quality, 0), 100)])
        return base64.encodebytes(data.tobytes()).decode() if good else None

    def set_orientation(self, direction: str | None) -> None:
        """Turn the screen left, right or upright, and keep it so; another word changes nothing."""
        turns = _TURNS.get((direction or "").lower())
        if turns is not None:
            self._served.orientation = turns
            self.freeze_rotation(True)

    def freeze_rotation(self, freeze: bool) -> None:
        """Switch "Auto-rotate" off or on."""
        self._served.handle(PutSetting("auto_rotate", not freeze))

    def _open_panel(self, panel: str) -> bool:
        if self._served.screen_on:
            self._served.handle(ShowShade(panel))
        self._served.wait(EVENT_S)
        return self._served.state.system.shade == panel

    # --- clipboard and toasts ---

    def set_clipboard(self, label: str | None, text: str | None) -> None:
        """Put `text` on the clipboard."""
        self._served.clipboard = text or ""
        self._clip_set = True

    def clipboard(self) -> str | None:
        """Return the text on the clipboard, None if nothing was ever copied."""
        text = self._served.clipboard
        return text if text or self._clip_set else None

    def make_toast(self, text: str | None, milliseconds: float) -> bool:
        """Show a toast."""
        self._served.handle(Toast(text or ""))
        return True

    def observe(self) -> None:
        """Remember the toast that is shown, if any; called after every request."""
        system = self._served.state.system
        if system.toast and system.toast_until != self._toast_until:
            self._toast, self._toast_until = system.toast, system.toast_until

    def last_toast(self) -> str | None:
        """Return the last toast seen since `clear_toast`, None if there was none."""
        self.observe()
        return self._toast or None

    def clear_toast(self) -> None:
        """Forget the last toast."""
        self.observe()
        self._toast = ""
