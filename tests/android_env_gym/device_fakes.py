"""A served phone for the tests of `AdbDevice`: what ADB sees, and the phone behind it to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.config import AdbConfig, SettleConfig
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone

SETTLE = SettleConfig(react_seconds=0.0, quiet_seconds=0.0)
QUICK = AdbConfig(settle=SETTLE)
# Small bounds for tests of faults: a device that hangs must not make the test hang.
BOUNDED = AdbConfig(settle=SETTLE, connect_seconds=10.0, command_seconds=3.0, step_seconds=8.0, reset_seconds=30.0)


class Attached:
    """A served phone and the device that drives it."""

    def __init__(self, server: AdbServer, phone: SimPhone, config: AdbConfig) -> None:
        self.server = server
        self.served = server.served
        self.phone = phone
        self.serial = server.serial
        self.device = AdbDevice(server.serial, config=config)


@contextmanager
def attach(adb_host, config: AdbConfig = QUICK, seed: int = 1) -> Iterator[Attached]:
    """Serve a phone over ADB; nothing of it is left afterwards."""
    phone = SimPhone(seed=seed)
    with AdbServer(ServedPhone(phone)) as server:
        attached = Attached(server, phone, config)
        try:
            yield attached
        finally:
            attached.device.close()
            adb_host.run("disconnect", server.serial)
