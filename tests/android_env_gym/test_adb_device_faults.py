"""What `AdbDevice` and the environment make of trouble: a good frame or a typed failure, in time; then they go on."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
from device_fakes import BOUNDED, Attached, attach

from android_env_gym import vector_worker
from android_env_gym.actions import Finish, OpenApp, PressKey, Tap, TypeText
from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.health import absent_devices, list_devices
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.errors import ResetError
from android_env_gym.phone.adbd.device_settings import get_setting
from android_env_gym.phone.adbd.faults import KINDS
from android_env_gym.tasks.suites import suite
from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset

# Of one fault: longer than any bound, so that nobody gets by with waiting.
LONG = 60.0
SLACK = 15.0
OPERATIONS = {
    "screenshot": lambda device: device.screenshot(),
    "tap": lambda device: device.perform(Tap(0.5, 0.3)),
    "text": lambda device: device.perform(TypeText("zwölf ✓")),
    "open": lambda device: device.perform(OpenApp("Settings")),
    "tree": lambda device: device.ui_tree(),
    "reset": lambda device: device.reset(),
}
MATCHES = {"screenshot": "screencap", "tap": "click", "text": "broadcast", "open": "am start", "tree": "dumpWindow"}


@pytest.fixture
def attached(adb_host):
    with attach(adb_host, BOUNDED) as found:
        found.device.reset()
        yield found
        found.server.faults.clear()


def happens(attached: Attached, operation: str) -> DeviceFailure | None:
    """Do it; return the failure. It must end in time, and a frame it leaves must be the phone's."""
    device, config = attached.device, attached.device.config
    bound = config.reset_seconds if operation == "reset" else config.step_seconds
    started = time.monotonic()
    try:
        OPERATIONS[operation](device)
        frame = device.screenshot()
    except DeviceFailure as failure:
        assert time.monotonic() - started < bound + SLACK
        assert attached.serial in str(failure) and failure.kind in ("lost", "timeout", "bad_frame", "crashed", "reset")
        return failure
    assert time.monotonic() - started < 2 * bound + SLACK
    assert np.array_equal(frame, attached.phone.screenshot())
    return None


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_in_each_operation_is_survived_or_a_typed_failure(attached, kind, operation, moment):
    if kind in ("truncate_png", "black_frame") and moment == "after":
        pytest.skip("a picture is spoiled while it is sent")
    seconds = LONG if kind == "stall" else 0.5
    attached.server.faults.inject(kind, seconds=seconds, match=MATCHES.get(operation, ""), moment=moment)
    happens(attached, operation)
    attached.server.faults.clear()
    attached.device.reset()
    assert np.array_equal(attached.device.screenshot(), attached.phone.screenshot())


@pytest.mark.parametrize("kind", ["truncate_png", "black_frame"])
def test_a_bad_picture_is_taken_again(attached, kind):
    attached.served.launch("com.android.settings")
    attached.server.faults.inject(kind, times=2, match="screencap")
    assert np.array_equal(attached.device.screenshot(), attached.phone.screenshot())
    assert attached.server.faults.struck[kind] == 2


@pytest.mark.parametrize("kind", ["truncate_png", "black_frame"])
def test_pictures_that_stay_bad_are_a_failure_and_never_a_frame(attached, kind):
    attached.served.launch("com.android.settings")
    attached.server.faults.inject(kind, times=99, match="screencap")
    with pytest.raises(DeviceFailure) as caught:
        attached.device.screenshot()
    assert caught.value.kind == "bad_frame"


def test_a_dropped_connection_is_made_again_for_a_look(attached):
    attached.served.launch("com.android.settings")
    attached.server.faults.inject("drop", match="screencap")
    assert np.array_equal(attached.device.screenshot(), attached.phone.screenshot())
    assert attached.server.faults.struck["drop"] == 1


def test_input_is_never_sent_twice(attached):
    attached.device.perform(OpenApp("Contacts"))
    attached.device.perform(Tap(0.5, 0.09))
    assert attached.phone.state.system.focus
    attached.server.faults.inject("drop", match="ADB_KEYBOARD_INPUT_TEXT", moment="after")
    with pytest.raises(DeviceFailure) as caught:
        attached.device.perform(TypeText("once"))
    assert caught.value.kind in ("lost", "timeout")
    state = attached.phone.state.system
    assert dict(state.stacks[-1].pages[-1].fields)[state.focus] == "once"


def test_a_reboot_ends_the_episode_and_the_next_one_starts(attached):
    attached.device.perform(OpenApp("Settings"))
    attached.server.faults.inject("reboot", seconds=0.2, match="screencap")
    with pytest.raises(DeviceFailure, match="rebooted during the episode") as caught:
        attached.device.screenshot()
        attached.device.screenshot()
    assert caught.value.kind == "crashed"
    attached.device.reset()
    assert np.array_equal(attached.device.screenshot(), attached.phone.screenshot())


def test_a_phone_that_is_gone_is_named_in_time(adb_host):
    config = AdbConfig(connect_seconds=1.0, reset_seconds=5.0)
    device = AdbDevice("127.0.0.1:9", config=config)
    started = time.monotonic()
    with pytest.raises(DeviceFailure, match="did not appear within 1 s") as caught:
        device.reset()
    assert caught.value.kind == "lost" and time.monotonic() - started < 5.0 + SLACK
    adb_host.run("disconnect", "127.0.0.1:9")


def test_an_adb_server_that_hangs_is_a_failure_in_time(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(silent.getsockname()[1]))
        device = AdbDevice("R5", config=AdbConfig(connect_seconds=1.0, command_seconds=1.0, step_seconds=2.0))
        for operation in (device.screenshot, lambda: list_devices(1.0), lambda: absent_devices(["R5"], 1.0)):
            started = time.monotonic()
            with pytest.raises(DeviceFailure) as caught:
                operation()
            assert caught.value.kind == "timeout" and time.monotonic() - started < SLACK
        assert "ANDROID_ADB_SERVER_PORT" in str(caught.value), "the last one lists devices: what to do is said"


@pytest.mark.slow
def test_the_environment_ends_an_episode_by_a_failure_and_goes_on(adb_host):
    with attach(adb_host, msgspec.structs.replace(BOUNDED, connect_seconds=4.0)) as found:
        item = suite("starter")[0]
        split = item.splits()[0]
        env = AndroidTaskEnv(device=found.device, suite=[item], split=split, world=found.phone)
        first, _ = env.reset(seed=1)
        found.server.faults.inject("stall", seconds=LONG, times=50)
        observation, reward, terminated, truncated, info = env.step(PressKey("home"))
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert info["reward_valid"] is False and info["failure"]["kind"] in ("timeout", "lost")
        assert found.serial in info["failure"]["message"]
        assert np.array_equal(observation["screenshot"], first["screenshot"])
        found.server.faults.clear()
        env.reset(seed=1)
        assert env.step(Finish())[4]["reward_valid"] is True
        found.server.die(LONG)
        with pytest.raises(ResetError) as caught:
            env.reset(seed=1)
        assert caught.value.attempts == 3


def test_a_phone_is_given_back_though_its_worker_is_closed_in_the_middle_of_a_step(adb_host, monkeypatch, tmp_path):
    monkeypatch.setattr(vector_worker, "CLOSE_SECONDS", 0.2)
    (tmp_path / "tasks.txt").write_text("Open the clock\n")
    with attach(adb_host) as found:
        before = lent(found)
        wanted = {"suite": f"instructions:{tmp_path / 'tasks.txt'}", "judge_at": "finish"}
        spec = EnvSpec(device=f"adb:{found.serial}", judge="vlm:m@http://127.0.0.1:1/v1", adb=BOUNDED, **wanted)
        pool = AsyncEnvPool([spec], workers=1)
        pool.send([Reset()], [0])
        assert not pool.recv()[0].truncated and lent(found) != before
        found.server.faults.inject("stall", seconds=2.0, match="pressKey")
        pool.send([PressKey("home")], [0])
        while not found.server.faults.struck["stall"]:
            time.sleep(0.01)
        pool.close()
        assert lent(found) == before


def test_a_phone_whose_run_was_killed_is_given_back_by_the_next_one(adb_host):
    code = (
        "import os, sys; from android_env_gym.devices.adb import AdbConfig, AdbDevice\n"
        "AdbDevice(sys.argv[1], config=AdbConfig(rotation='left')).reset(); os.kill(os.getpid(), 9)"
    )
    with attach(adb_host) as found:
        before = lent(found)
        killed = subprocess.run([sys.executable, "-c", code, found.serial], capture_output=True)
        changed = [now for now, old in zip(lent(found), before, strict=True) if now != old]
        assert killed.returncode == -9 and len(changed) == 3
        found.device.reset()
        found.device.close()
        assert lent(found) == before


def lent(found: Attached) -> list[str | None]:
    """Return what a run changes on the phone and puts back, as the phone has it now."""
    names = (("global", "stay_on_while_plugged_in"), ("system", "accelerometer_rotation"), ("system", "user_rotation"))
    return [found.served.input_method, *(get_setting(found.served, name) for name in names)]
