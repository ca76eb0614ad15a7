"""The emulator fleet on a scripted `emulator`, which serves the embedded phone: starts, snapshots, crashes, hangs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from android_env_gym.actions import OpenApp, PressKey
from android_env_gym.devices import emulator as emulators
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import AdbConfig, EmulatorConfig, SettleConfig
from android_env_gym.devices.fleet import EmulatorDevice, EmulatorFleet
from android_env_gym.devices.make import make_device
from android_env_gym.devices.sdk import Sdk, find_sdk

REPOSITORY = Path(__file__).resolve().parents[2]
AVD = "Tiny_API_35"
QUICK = AdbConfig(
    reset="snapshot",
    snapshot="start",
    settle=SettleConfig(react_seconds=0.0, quiet_seconds=0.0),
    emulator=EmulatorConfig(boot_seconds=90.0, stop_seconds=5.0, backoff_seconds=0.05, quarantine_after=3),
)


def with_emulator(**changes) -> AdbConfig:
    return msgspec.structs.replace(QUICK, emulator=msgspec.structs.replace(QUICK.emulator, **changes))


@pytest.fixture
def sdk(tmp_path, monkeypatch, adb_host) -> Sdk:
    """A fake SDK whose emulator is the stub; nothing that it started is left after the test."""
    script = (Path(__file__).parent / "emulator_stub.py").read_text(encoding="utf-8")
    path = tmp_path / "sdk" / "emulator" / "emulator"
    path.parent.mkdir(parents=True)
    path.write_text(script.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1), encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(emulators, "CONSOLE_SECONDS", 2.0)
    yield find_sdk()
    assert not [pid for pid, _ in starts(tmp_path) if psutil.pid_exists(pid)], "an emulator was left behind"


def starts(tmp_path: Path) -> list[tuple[int, str]]:
    """Return process id and arguments of every start."""
    path = tmp_path / "sdk" / "starts.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]


def order_faults(tmp_path: Path, *faults: str) -> None:
    (tmp_path / "sdk" / "faults.txt").write_text("".join(f"{fault}\n" for fault in faults), encoding="utf-8")


@pytest.mark.slow
def test_instances_share_an_avd_and_go_back_to_their_snapshot_for_every_episode(sdk, tmp_path):
    with EmulatorFleet(sdk, AVD, 2, config=QUICK, folder=tmp_path / "run") as fleet:
        assert fleet.start() == {}
        devices = [EmulatorDevice(fleet, index) for index in range(2)]
        for device in devices:
            device.reset()
            at_start = device.screenshot()
            device.perform(OpenApp("Settings"))
            assert not np.array_equal(device.screenshot(), at_start)
            device.reset()
            assert np.array_equal(device.screenshot(), at_start)
        kinds = {device.info().kind for device in devices}
        serials = {device.info().serial for device in devices}
        assert kinds == {"emulator"} and len(serials) == 2
        assert [slot.starts for slot in fleet.slots] == [1, 1]
        for device in devices:
            device.close()
            device.close()
    arguments = [line for _, line in starts(tmp_path)]
    assert all(f"-avd {AVD}" in line and "-read-only" in line and "-no-window" in line for line in arguments)
    assert not list((tmp_path / "run").glob("*.json"))


@pytest.mark.slow
def test_an_emulator_that_ends_at_once_is_tried_again_and_its_words_are_passed_on(sdk, tmp_path):
    order_faults(tmp_path, "exit", "exit", "exit")
    device = EmulatorDevice(EmulatorFleet(sdk, AVD, config=QUICK, folder=tmp_path / "run"))
    for _ in range(3):
        with pytest.raises(DeviceFailure, match="exit code 1; it said: PANIC: Cannot find AVD system path") as caught:
            device.reset()
        assert caught.value.kind == "crashed"
    started = time.monotonic()
    with pytest.raises(DeviceFailure, match="in quarantine after 3 failures in a row"):
        device.reset()
    assert time.monotonic() - started < 1.0 and len(starts(tmp_path)) == 3
    device.close()


@pytest.mark.slow
def test_an_emulator_that_never_boots_is_given_up_in_time_and_the_next_one_is_used(sdk, tmp_path):
    order_faults(tmp_path, "never", "slow:1")
    config = with_emulator(boot_seconds=25.0)
    device = EmulatorDevice(EmulatorFleet(sdk, AVD, config=config, folder=tmp_path / "run"))
    with pytest.raises(DeviceFailure, match="not ready after 25 s: it has not finished booting") as caught:
        device.reset()
    assert caught.value.kind == "timeout"
    device.reset()
    assert device.screenshot().shape == (1200, 540, 3)
    device.close()


@pytest.mark.slow
def test_crashes_and_hangs_cost_an_episode_and_not_the_run(sdk, tmp_path):
    order_faults(tmp_path, "", "hang", "")
    device = EmulatorDevice(EmulatorFleet(sdk, AVD, config=QUICK, folder=tmp_path / "run"))
    device.reset()
    psutil.Process(starts(tmp_path)[0][0]).kill()
    with pytest.raises(DeviceFailure) as caught:
        for _ in range(20):
            device.perform(PressKey("home"))
    assert caught.value.kind == "crashed" and "ended with exit code -9" in str(caught.value)
    device.reset()  # the second start; it stops answering when it is next asked for a sign of life
    assert device.screenshot().shape == (1200, 540, 3)
    device.reset()
    assert device.screenshot().shape == (1200, 540, 3) and len(starts(tmp_path)) == 3
    device.close()


@pytest.mark.slow
def test_an_emulator_is_started_anew_after_so_many_episodes_and_by_its_name(sdk, tmp_path, monkeypatch):
    monkeypatch.setattr("android_env_gym.devices.fleet.FOLDER", tmp_path / "run")
    device = make_device(
        f"emulator:{AVD}", adb=with_emulator(restart_every=1, read_only=False, data_root=str(tmp_path))
    )
    device.reset()
    device.reset()
    device.close()
    arguments = [line for _, line in starts(tmp_path)]
    assert len(arguments) == 2
    assert all("-read-only" not in line and f"-datadir {tmp_path / AVD}-0" in line for line in arguments)
