"""Which devices are attached, whether each can be used, and why not. Behind `distrl-train devices`.

Invariant: looking changes nothing on a device, and a device that hangs costs no more than `seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.connection import LOCKED, unreadiness
from android_env_gym.devices.frames import checked_png, decode
from android_env_gym.devices.stream import ShellStream
from android_env_gym.devices.transport import (
    STATES,
    BoundedAdb,
    BoundedClient,
    Bounds,
    as_failures,
    attached,
    await_device,
)

MIN_SDK = 24


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One attached device.

    Attributes:
        device: Its name for `AndroidTaskEnv`, "adb:SERIAL".
        state: What the adb server says.
        usable: Whether an episode can be played on it.
        reason: Why not, and what to do; or a remark.
        model: Maker's name, "" if it did not answer.
        android: Version of Android.
        size: (width, height) in pixels, (0, 0) if there was no screenshot.
        screenshot_ms: How long a screenshot takes.
    """

    device: str
    state: str
    usable: bool
    reason: str = ""
    model: str = ""
    android: str = ""
    size: tuple[int, int] = (0, 0)
    screenshot_ms: float = 0.0


def list_devices(seconds: float = 15.0) -> list[Health]:
    """Return the health of every attached device, in the order of their serial numbers.

    Raises:
        DeviceFailure: There is no adb server and none can be started.
    """
    client = BoundedClient(seconds)
    found = sorted(_ask_server(client).items())
    if not found:
        return []
    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        return list(pool.map(lambda item: check_device(client, *item, seconds=seconds), found))


def absent_devices(serials: Sequence[str], seconds: float = 10.0) -> dict[str, str]:
    """Return why each of `serials` that is not online is not; those on the network are connected to first.

    Raises:
        DeviceFailure: There is no adb server and none can be started.
    """

    def look(serial: str) -> str:
        try:
            await_device(BoundedClient(seconds), serial, Bounds(serial, seconds), seconds)
        except DeviceFailure as failure:
            return str(failure)
        return ""

    _ask_server(BoundedClient(seconds))
    with ThreadPoolExecutor(max_workers=max(1, len(serials))) as pool:
        reasons = dict(zip(serials, pool.map(look, serials), strict=True))
    return {serial: reason for serial, reason in reasons.items() if reason}


def _ask_server(client: BoundedClient) -> dict[str, str]:
    """Return the state of every device by serial; the server, which is started if there is none."""
    place = f"{client.host}:{client.port}"
    try:
        with as_failures(f"adb server {place}", "listing devices"):
            states = attached(client)
            client.server_version()
    except DeviceFailure as failure:
        advice = "does something else use that port? ANDROID_ADB_SERVER_PORT names another; `adb devices` must work"
        raise DeviceFailure(failure.kind, f"{failure}; {advice}") from failure
    return states


def check_device(client: BoundedClient, serial: str, state: str, *, seconds: float = 15.0) -> Health:
    """Return the health of one device in adb's `state`."""
    name = f"adb:{serial}"
    if state != "device":
        return Health(device=name, state=state, usable=False, reason=STATES.get(state, "replug it"))
    bounds = Bounds(serial, seconds)
    try:
        with bounds.within(seconds):
            shell = ShellStream(BoundedAdb(client, serial, bounds))
            try:
                return _examined(shell, Health(device=name, state=state, usable=False))
            finally:
                shell.close()
    except DeviceFailure as failure:
        return Health(device=name, state=state, usable=False, reason=str(failure))


def _examined(shell: ShellStream, health: Health) -> Health:
    model, android, sdk = (
        shell.text(["getprop", name])
        for name in ("ro.product.model", "ro.build.version.release", "ro.build.version.sdk")
    )
    health = msgspec.structs.replace(health, model=model, android=android)
    if not sdk.isdigit() or int(sdk) < MIN_SDK:
        return msgspec.structs.replace(
            health, reason=f"its API level is {sdk or 'unknown'}, needed is {MIN_SDK} or more"
        )
    if missing := unreadiness(shell):
        return msgspec.structs.replace(health, reason=missing)
    started = time.monotonic()
    output, _ = shell.run(["screencap", "-p"])
    taken = (time.monotonic() - started) * 1000
    frame = decode(checked_png(output, health.device), health.device)
    locked = LOCKED.search(shell.text(["dumpsys", "window"])) is not None
    remark = "its screen is locked: fine without a PIN, pattern or password" if locked else ""
    size = (frame.shape[1], frame.shape[0])
    return msgspec.structs.replace(health, usable=True, reason=remark, size=size, screenshot_ms=round(taken, 1))
