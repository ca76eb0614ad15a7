"""From a device's name to a device: "sim", "adb:SERIAL", "emulator:AVD". Called by `AndroidTaskEnv`."""

from __future__ import annotations

from android_env_gym.devices.base import Device
from android_env_gym.errors import unknown_name
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig

KINDS: tuple[str, ...] = ("sim",)
PLANNED_KINDS: tuple[str, ...] = ("adb", "emulator")


class DeviceUnavailableError(ValueError):
    """A kind of device that this version of the package cannot drive."""


def make_device(spec: str, config: DeviceConfig | None = None) -> Device:
    """Return the device that `spec` names; `config` builds the embedded phone.

    Raises:
        UnknownNameError: No device kind has this name; the message names the nearest ones.
        DeviceUnavailableError: A kind of device that is not available in this version.
    """
    kind = spec.partition(":")[0]
    if kind in PLANNED_KINDS:
        raise DeviceUnavailableError(
            f"device {spec!r}: {kind} devices are not available in this version; available: {', '.join(KINDS)} "
            "(the embedded phone), or pass your own object with the methods of android_env_gym.devices.base.Device."
        )
    if spec != "sim":
        raise unknown_name("device", spec, KINDS)
    return SimPhone(config)
