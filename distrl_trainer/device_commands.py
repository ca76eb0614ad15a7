"""The command `devices`: which phones are attached, whether each can be used, and why not. Costs no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import msgspec
from rich.table import Table

from android_env_gym.devices.health import Health, list_devices
from android_env_gym.devices.sdk import SdkError, find_sdk
from distrl_trainer.live import make_console


def devices(arguments: argparse.Namespace) -> int:
    """Print what is attached: `distrl-train devices`."""
    found = list_devices()
    avds, remark = _virtual_devices()
    if arguments.json:
        report = {"devices": found, "usable": sum(item.usable for item in found), "avds": avds, "emulator": remark}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return 0
    console = make_console()
    if found:
        console.print(_rows(found))
    else:
        console.print("no device is attached: plug one in with USB debugging on, or `adb connect HOST:PORT`")
    console.print(f"emulators: {', '.join(f'emulator:{name}' for name in avds) or remark}", markup=False)
    return 0


def _virtual_devices() -> tuple[Sequence[str], str]:
    """Return the AVDs, and why there is none."""
    try:
        avds = find_sdk().avds()
    except SdkError as error:
        return (), str(error)
    return avds, "" if avds else "there is an SDK, but no virtual device in it"


def _rows(found: Sequence[Health]) -> Table:
    rows = Table("device", "state", "usable", "model", "Android", "screen", "screenshot", "remark", title="Devices")
    for item in found:
        size = f"{item.size[0]}x{item.size[1]}" if item.size[0] else ""
        taken = f"{item.screenshot_ms:.0f} ms" if item.screenshot_ms else ""
        usable = "yes" if item.usable else "no"
        rows.add_row(item.device, item.state, usable, item.model, item.android, size, taken, item.reason)
    return rows
