"""A phone that answers as slowly as a real one: the simulated phone plus time slept, drawn from a heavy tail.

`EnvSpec(id="benchmarks.slow_phone:SlowPhone-v0", device="slow:SEED:MEDIAN_MS:SIGMA")` describes one. Its `info` has
`device_seconds`: what the device took for the command. Used by `benchmarks.collection`; the sleep stands for a
device at work, which costs the machine that collects nothing.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np

from android_env_gym.actions import Action
from android_env_gym.env import AndroidTaskEnv, Observation
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig

RESET_FACTOR = 5.0
"""How much longer than an action it takes to bring a device to the start of an episode."""


class SlowPhone(SimPhone):
    """Every action takes a lognormal time, every reset `RESET_FACTOR` times one; `seed` determines the sequence.

    Attributes:
        device_seconds: Time slept since the phone was made.
    """

    def __init__(self, config: DeviceConfig | None, seed: int, median: float, sigma: float) -> None:
        super().__init__(config)
        self.device_seconds = 0.0
        self._rng = np.random.default_rng(seed)
        self._median, self._sigma = median, sigma

    def perform(self, action: Action) -> None:
        """Perform `action` and take the device's time."""
        super().perform(action)
        self._take(1.0)

    def reset(self) -> None:
        """Go to the start and take the device's time."""
        super().reset()
        self._take(RESET_FACTOR)

    def _take(self, factor: float) -> None:
        seconds = factor * self._median * float(self._rng.lognormal(sigma=self._sigma))
        time.sleep(seconds)
        self.device_seconds += seconds


class DeviceSeconds(gym.Wrapper[Observation, Any, Observation, Any]):
    """Adds `device_seconds`, the device's time for this command, to `info`."""

    def __init__(self, env: AndroidTaskEnv, phone: SlowPhone) -> None:
        super().__init__(env)
        self._phone = phone

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see `AndroidTaskEnv.reset`."""
        before = self._phone.device_seconds
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, "device_seconds": self._phone.device_seconds - before}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform `action`; see `AndroidTaskEnv.step`."""
        before = self._phone.device_seconds
        observation, reward, terminated, truncated, info = self.env.step(action)
        info = {**info, "device_seconds": self._phone.device_seconds - before}
        return observation, float(reward), terminated, truncated, info


def device_name(seed: int, median_ms: float, sigma: float) -> str:
    """Return the name that `make_slow_env` understands."""
    return f"slow:{seed}:{median_ms}:{sigma}"


def make_slow_env(device: str, **arguments: Any) -> DeviceSeconds:
    """Entry point of `SlowPhone-v0`: the arguments of `AndroidTaskEnv`, with a `device_name`."""
    _, seed, median_ms, sigma = device.split(":")
    phone = SlowPhone(arguments.get("device_config"), int(seed), float(median_ms) / 1000, float(sigma))
    return DeviceSeconds(AndroidTaskEnv(device=phone, **arguments), phone)


gym.register("SlowPhone-v0", entry_point=make_slow_env, max_episode_steps=None)
