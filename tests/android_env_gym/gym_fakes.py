"""A phone, a template and a judge small enough to steer every branch of the environment from a test."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator

import gymnasium
import msgspec
import numpy as np

from android_env_gym.actions import Action, Tap
from android_env_gym.devices.base import DeviceFailure, DeviceInfo, UiNode
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.judges.base import Evidence, Verdict
from android_env_gym.phone.state import DeviceConfig, PhoneState
from android_env_gym.phone.world.boot import boot
from android_env_gym.tasks.base import Goal, TaskTemplate

WIN = Tap(0.1, 0.5)  # turns Wi-Fi off, which is the goal
STRAY = Tap(0.9, 0.5)  # turns NFC off, which is a side effect
HANG = Tap(0.5, 0.1)
DIE = Tap(0.5, 0.9)
BUG = Tap(0.5, 0.5)


class WifiOff(TaskTemplate):
    """Turn Wi-Fi off."""

    id = "fake.wifi_off"
    apps = ()
    phrasings = ("Turn Wi-Fi off, {n} «now»",)
    goals = 1000
    oracle_steps = 1

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        return {"n": int(rng.integers(1000))}

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        return not now.system.settings.wifi

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        return ("system.settings.wifi",)

    def oracle(self, pilot, goal: Goal) -> Iterator[Action]:
        yield WIN


class WifiOffAtFinish(WifiOff):
    """The same, judged at Finish."""

    id = "fake.wifi_off_at_finish"
    judge_at = "finish"


class WifiJudge:
    """Success is Wi-Fi off; `verdicts` are given first, where there are any."""

    needs_world = True

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = deque(verdicts)

    def judge(self, evidence: Evidence) -> Verdict:
        assert len(evidence.frames) == len(evidence.actions) + 1
        if self.verdicts:
            return self.verdicts.popleft()
        assert evidence.now is not None
        return Verdict(not evidence.now.system.settings.wifi, reason="looked at Wi-Fi")


class FakePhone:
    """A `Device` and `World` with two switches; `faults` are raised by the next calls of the named methods."""

    def __init__(self, faults: dict[str, list[DeviceFailure]] | None = None) -> None:
        self._state = boot(DeviceConfig(), 0)
        self._frame = np.zeros((1200, 540, 3), np.uint8)
        self.faults = faults or {}
        self.closed = 0
        self.performed: list[Action] = []

    @property
    def state(self) -> PhoneState:
        return self._state

    def snapshot(self) -> PhoneState:
        return self._state

    def restore(self, snapshot: PhoneState) -> None:
        self._state = snapshot

    def apply_setup(self, state: PhoneState) -> None:
        self._state = state
        self._draw()

    def screenshot(self) -> np.ndarray:
        self._fault("screenshot")
        return self._frame

    def perform(self, action: Action) -> None:
        self._fault("perform")
        self.performed.append(action)
        if action == HANG:
            threading.Event().wait()
        if action == DIE:
            os._exit(7)
        if action == BUG:
            raise ZeroDivisionError("a bug in the device")
        if action in (WIN, STRAY):
            name = "wifi" if action == WIN else "nfc"
            settings = msgspec.structs.replace(self._state.system.settings, **{name: False})
            system = msgspec.structs.replace(self._state.system, settings=settings)
            self._state = msgspec.structs.replace(self._state, system=system, now=self._state.now + 400)
            self._draw()

    def ui_tree(self) -> tuple[UiNode, ...]:
        return ()

    def reset(self) -> None:
        self._fault("reset")

    def info(self) -> DeviceInfo:
        return DeviceInfo("fake", "fake", (540, 1200))

    def close(self) -> None:
        self.closed += 1

    def _fault(self, method: str) -> None:
        if self.faults.get(method):
            raise self.faults[method].pop(0)

    def _draw(self) -> None:
        settings = self._state.system.settings
        self._frame = np.full((1200, 540, 3), 100 + 50 * settings.wifi + 20 * settings.nfc, np.uint8)


class Blind:
    """The part of a `FakePhone` that a real device would have: no `World`."""

    def __init__(self, phone: FakePhone) -> None:
        for method in ("screenshot", "perform", "ui_tree", "reset", "info", "close"):
            setattr(self, method, getattr(phone, method))


def make_env(phone: FakePhone | None = None, **arguments) -> AndroidTaskEnv:
    """Return an environment over fakes."""
    arguments = {"suite": (WifiOff(),), "judge": WifiJudge(), "device": phone or FakePhone()} | arguments
    return AndroidTaskEnv(**arguments)


def make_fake_env(render_mode: str | None = None, **arguments) -> AndroidTaskEnv:
    """Entry point of `FakePhone-v0`: takes the fields of `EnvSpec`, reads some of them."""
    if arguments["suite"] == "broken":
        raise ZeroDivisionError("no such phone")
    return make_env(split=arguments["split"], screen=arguments["screen"], max_steps=arguments["max_steps"])


gymnasium.register("FakePhone-v0", entry_point=make_fake_env)
