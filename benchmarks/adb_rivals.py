"""What drives a phone in `adb_speed`: this package's environment, and straightforward uses of the two libraries.

Each takes the same typed actions, in the way its library documents, and gives back a frame and the observation of
448x224 made from it. Straightforward uses differ in how they wait for the screen: not at all, a second, or until two
screenshots agree. Typing is left out: the libraries' own routes leave other things on the screen than the text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import adbutils
import numpy as np
import uiautomator2
from numpy.typing import NDArray

from android_env_gym.actions import Action, OpenApp, PressKey, Swipe, Tap
from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.base import UiNode
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.phone.adbd.packages import APP_PACKAGES
from android_env_gym.phone.phone import SimPhone
from android_env_gym.rendering import observe
from android_env_gym.tasks.instruction_lists import Line
from android_env_gym.tasks.instructions import InstructionFile

Frame = NDArray[np.uint8]

OURS = "environment"
SLEEP_SECONDS = 1.0
MAX_SECONDS = 4.0
SCREEN = (448, 224)
SWIPE_SECONDS = 0.4
LIBRARIES = ("adbutils", "uiautomator2")
WAITS = ("not_waiting", "sleeping_1s", "two_alike")


class Rival(Protocol):
    """Something that drives a phone."""

    def reset(self) -> None:
        """Get ready for a block of actions; not timed."""
        ...

    def step(self, action: Action) -> Frame:
        """Perform one action and return the observation after it, `SCREEN` + (3,)."""
        ...

    @property
    def frame(self) -> Frame:
        """The full frame that the last observation was made from."""
        ...

    def close(self) -> None:
        """Let go of the phone."""
        ...


class Never:
    """A judge that has nothing to say, so that the environment alone is measured."""

    needs_world = False

    def judge(self, evidence: Evidence) -> Verdict:
        """Return no success."""
        return Verdict(False)


class Environment:
    """`AndroidTaskEnv` on an `AdbDevice`, as it comes: default settings."""

    def __init__(self, serial: str) -> None:
        self.device = AdbDevice(serial)
        item = InstructionFile("benchmark", {"train": (Line("0", "use the phone"),)})
        self._env = AndroidTaskEnv(device=self.device, suite=[item], judge=Never(), max_steps=10**9, screen=SCREEN)

    def reset(self) -> None:
        """Start an episode."""
        self._env.reset()

    def step(self, action: Action) -> Frame:
        """Take a step.

        Raises:
            RuntimeError: The environment ended the episode, so what was measured is no step.
        """
        observation, _, terminated, truncated, info = self._env.step(action)
        if terminated or truncated:
            raise RuntimeError(f"the episode ended at {action}: {info['failure']}")
        return observation["screenshot"]

    @property
    def frame(self) -> Frame:
        """The device's frame."""
        return self._env.frame

    def close(self) -> None:
        """Close the environment and its device."""
        self._env.close()
        self.device.close()


class Plain:
    """A straightforward use: act, wait, take a screenshot.

    Args:
        act: Performs an action.
        shoot: Takes a screenshot, RGB.
        wait: One of `WAITS`.
    """

    def __init__(self, act: Callable[[Action], None], shoot: Callable[[], Frame], wait: str) -> None:
        self._act, self._shoot, self._wait = act, shoot, wait
        self.frame: Frame = np.zeros((1, 1, 3), np.uint8)

    def reset(self) -> None:
        """Nothing to do."""

    def step(self, action: Action) -> Frame:
        """Act, wait, look."""
        self._act(action)
        if self._wait == "sleeping_1s":
            time.sleep(SLEEP_SECONDS)
        self.frame = self._two_alike() if self._wait == "two_alike" else self._shoot()
        return observe(self.frame, SCREEN)

    def close(self) -> None:
        """Nothing to do: the libraries hold nothing that needs it."""

    def _two_alike(self) -> Frame:
        deadline = time.monotonic() + MAX_SECONDS
        last = self._shoot()
        while True:
            frame = self._shoot()
            if np.array_equal(frame, last) or time.monotonic() > deadline:
                return frame
            last = frame


class PlainAdbutils:
    """The calls of adbutils' README."""

    def __init__(self, serial: str) -> None:
        self.device = adbutils.AdbClient().device(serial)
        self._size = self.device.window_size()

    def act(self, action: Action) -> None:
        """Perform one of the actions of `draw_actions`."""
        width, height = self._size
        match action:
            case Tap(x, y):
                self.device.click(int(x * width), int(y * height))
            case Swipe(x1, y1, x2, y2):
                ends = (int(x1 * width), int(y1 * height), int(x2 * width), int(y2 * height))
                self.device.swipe(*ends, SWIPE_SECONDS)
            case PressKey(key):
                self.device.keyevent(key.upper())
            case OpenApp(package):
                self.device.app_start(package)
            case _:
                raise ValueError(f"not in the mix of actions: {action}")

    def shoot(self) -> Frame:
        """Return a screenshot as an array."""
        return np.asarray(self.device.screenshot(error_ok=False))


class PlainUiautomator2:
    """The calls of uiautomator2's README; its screenshots are JPEGs."""

    def __init__(self, serial: str) -> None:
        self.device = uiautomator2.connect(adbutils.AdbClient().device(serial))
        self._size = self.device.window_size()

    def act(self, action: Action) -> None:
        """Perform one of the actions of `draw_actions`."""
        width, height = self._size
        match action:
            case Tap(x, y):
                self.device.click(int(x * width), int(y * height))
            case Swipe(x1, y1, x2, y2):
                ends = (int(x1 * width), int(y1 * height), int(x2 * width), int(y2 * height))
                self.device.swipe(*ends, duration=SWIPE_SECONDS)
            case PressKey(key):
                self.device.press(key)
            case OpenApp(package):
                self.device.app_start(package)
            case _:
                raise ValueError(f"not in the mix of actions: {action}")

    def shoot(self) -> Frame:
        """Return a screenshot as an array."""
        return np.asarray(self.device.screenshot())


def rival_names() -> list[str]:
    """Return the names of all that compete, this package's first."""
    return [OURS, *(f"{library}_{wait}" for library in LIBRARIES for wait in WAITS)]


def make_rival(name: str, serial: str) -> Rival:
    """Return the rival `name` on the phone `serial`, connected to."""
    if name == OURS:
        return Environment(serial)
    library, _, wait = name.partition("_")
    plain = PlainAdbutils(serial) if library == "adbutils" else PlainUiautomator2(serial)
    return Plain(plain.act, plain.shoot, wait)


def draw_actions(rng: np.random.Generator, phone: SimPhone, count: int) -> Iterator[Action]:
    """Yield `count` actions as an agent takes them, mostly taps on what can be tapped; they change `phone`."""
    for _ in range(count):
        action = _draw(rng, phone)
        phone.perform(action)
        yield action


def _draw(rng: np.random.Generator, phone: SimPhone) -> Action:
    kind = rng.random()
    if kind < 0.12:
        return Swipe(0.5, 0.75, 0.5, 0.35)
    if kind < 0.24:
        return PressKey("back")
    if kind < 0.28:
        return PressKey("home")
    targets = [node for node in phone.ui_tree() if node.clickable and node.enabled]
    if kind < 0.36 or not targets:
        return OpenApp(APP_PACKAGES[int(rng.integers(len(APP_PACKAGES)))].name)
    return _tap_on(targets[int(rng.integers(len(targets)))], *phone.info().size)


def _tap_on(node: UiNode, width: int, height: int) -> Tap:
    left, top, right, bottom = node.bounds
    return Tap((left + right) / 2 / width, (top + bottom) / 2 / height)
