"""From a device's name to a device: "sim", "adb:SERIAL", "emulator:AVD". Called by `AndroidTaskEnv` and trainers.

Nothing is connected or started here: a device that is away is a failed reset of its own, not the end of all others.
"""

from __future__ import annotations

from android_env_gym.devices.base import Device
from android_env_gym.devices.config import AdbConfig
from android_env_gym.errors import unknown_name
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig

KINDS: tuple[str, ...] = ("sim", "adb", "emulator")


class DeviceUnavailableError(ValueError):
    """A device that cannot be driven here; the message says what is missing and what to do."""


def make_device(spec: str, config: DeviceConfig | None = None, adb: AdbConfig | None = None) -> Device:
    """Return the device that `spec` names; `config` builds the embedded phone, `adb` drives the others.

    Raises:
        UnknownNameError: No device kind has this name; the message names the nearest ones.
        DeviceUnavailableError: The name lacks its serial number or AVD, or there is no Android SDK or no such AVD.
        ValueError: The settings name a hook that does not exist.
    """
    check_device(spec)
    kind, _, name = spec.partition(":")
    if kind == "sim":
        return SimPhone(config)
    if kind == "adb":
        from android_env_gym.devices.adb import AdbDevice  # its libraries take a while to import

        return AdbDevice(name, config=adb)
    from android_env_gym.devices.fleet import EmulatorDevice, EmulatorFleet
    from android_env_gym.devices.sdk import find_sdk

    return EmulatorDevice(EmulatorFleet(find_sdk(), name, config=adb))


def check_device(spec: str) -> None:
    """Check what can be known of a device without reaching for it: its name, and for emulators the SDK and the AVD.

    Raises:
        UnknownNameError, DeviceUnavailableError: As `make_device`.
    """
    kind, _, name = spec.partition(":")
    if kind not in KINDS:
        raise unknown_name("device", kind, KINDS)
    if kind == "sim" and name:
        raise unknown_name("device", spec, KINDS)
    if kind == "adb" and not name:
        raise DeviceUnavailableError(
            "device 'adb': which one? Write adb:SERIAL; `distrl-train devices` lists what is attached."
        )
    if kind == "emulator":
        from android_env_gym.devices.sdk import SdkError, find_sdk

        try:
            find_sdk().check_avd(name)
        except SdkError as error:
            raise DeviceUnavailableError(f"device {spec!r}: {error}") from error


def is_blocking(spec: str) -> bool:
    """Return whether a step of this device waits for something outside this process: it needs a worker of its own."""
    return spec.partition(":")[0] in ("adb", "emulator")


def split_devices(specs: str, adb: AdbConfig | None = None) -> tuple[str, ...]:
    """Return the devices of a comma-separated list, e.g. "adb:R58M12ABCDE,adb:192.168.1.5:5555", driven as `adb` says.

    Raises:
        DeviceUnavailableError: The list is empty, or names a device on a cable or the network twice: nobody shares a
            screen; or a writable AVD: its instances would share one data folder.
    """
    names = tuple(name.strip() for name in specs.split(",") if name.strip())
    alone = "adb:" if (adb or AdbConfig()).emulator.read_only else ("adb:", "emulator:")
    twice = sorted({name for name in names if name.startswith(alone) and names.count(name) > 1})
    if not names or twice:
        raise DeviceUnavailableError(
            f"devices: got {specs!r}, expected different devices separated by commas{_named(twice)}"
        )
    return names


def _named(twice: list[str]) -> str:
    said = f"; given twice: {', '.join(twice)}" if twice else ""
    if any(name.startswith("emulator:") for name in twice):
        said += "; writable instances would share one data folder: set emulator.read_only, or name different AVDs"
    return said
