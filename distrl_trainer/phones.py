"""From settings to phones: the `EnvSpec`s of a run and the pool they step in.

Invariant: an embedded phone steps in the caller's process, every other device in a worker process of its own, because
it blocks. Callers: `evaluation`, `rl_phase`, `train_command`, `play_commands`.
"""

from __future__ import annotations

import logging

from android_env_gym.devices.make import check_device, is_blocking, split_devices
from android_env_gym.errors import NeedsWorldError
from android_env_gym.judges.make import check_judge
from android_env_gym.tasks.suites import suite
from android_env_gym.vector import AsyncEnvPool, EnvSpec
from distrl_trainer.config import EnvConfig

logger = logging.getLogger(__name__)


class PhonesError(ValueError):
    """None of the devices named can be used; the message says why for each."""


def check_playable(env: EnvConfig) -> None:
    """Check that the devices exist as far as names tell, and go with suite and judge, before a worker finds out.

    Raises:
        DeviceUnavailableError: A device's name is malformed or given twice; or no Android SDK, or no such AVD.
        JudgeError: The judge compares states, and the suite is of instruction files.
        NeedsWorldError: The suite's tasks are prepared in the phone's state, and the device is a real one.
        UnknownNameError: There is no such suite, or no such kind of device.
    """
    templates = suite(env.suite)
    check_judge(env.judge, templates)
    devices = split_devices(env.device, env.adb)
    for device in dict.fromkeys(devices):
        check_device(device)
        if is_blocking(device) and any(item.needs_world for item in templates):
            raise NeedsWorldError("suite and judge" if env.judge == "state" else "suite", device)


def env_spec(env: EnvConfig, split: str) -> EnvSpec:
    """Return the phone that `env` describes, with tasks of `split`; of several devices the first."""
    return _spec(env, split, env.device if "," not in env.device else split_devices(env.device, env.adb)[0])


def env_specs(env: EnvConfig, split: str, count: int) -> list[EnvSpec]:
    """Return the phones that `env` describes: `count` embedded ones, or each device that it names.

    Raises:
        DeviceUnavailableError: A device on a cable or the network, or a writable AVD, is named twice.
    """
    names = split_devices(env.device, env.adb)
    if len(names) == 1 and not is_blocking(names[0]):
        return [_spec(env, split, names[0])] * count
    return [_spec(env, split, name) for name in names]


def workers_for(specs: list[EnvSpec]) -> int:
    """Return how many worker processes a pool of these phones needs: 0, or one per phone."""
    return len(specs) if any(is_blocking(spec.device) for spec in specs) else 0


def open_pool(env: EnvConfig, split: str, count: int) -> AsyncEnvPool:
    """Return the pool of `env_specs`, open. Devices that are away are left out, as long as one is there.

    Raises:
        PhonesError: None of the devices can be used.
        WorkerError: A worker could not make its environment.
    """
    specs = env_specs(env, split, count)
    missing = _missing([spec.device for spec in specs])
    present = [spec for spec in specs if spec.device not in missing]
    if not present:
        raise PhonesError("; ".join(missing.values()))
    for reason in missing.values():
        logger.warning("going on without it: %s", reason)
    return AsyncEnvPool(present, workers=workers_for(present), step_timeout=env.step_timeout)


def _missing(names: list[str]) -> dict[str, str]:
    """Return why each device that is not attached cannot be used."""
    serials = [name.removeprefix("adb:") for name in names if name.startswith("adb:")]
    if not serials:
        return {}
    from android_env_gym.devices.health import absent_devices  # its libraries take a while to import

    return {f"adb:{serial}": reason for serial, reason in absent_devices(serials).items()}


def _spec(env: EnvConfig, split: str, device: str) -> EnvSpec:
    return EnvSpec(
        device=device,
        suite=env.suite,
        split=split,
        judge=env.judge,
        judge_at=env.judge_at,
        side_effects=env.side_effects,
        max_steps=env.max_steps,
        screen=env.screen,
        adb=env.adb if is_blocking(device) else None,
    )
