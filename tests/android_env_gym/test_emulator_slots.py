"""What a fleet decides: when an emulator is started, started anew, left alone. And the SDK that it needs."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import msgspec
import psutil
import pytest

from android_env_gym.devices import fleet as fleets
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import AdbConfig, EmulatorConfig
from android_env_gym.devices.console import Console, console_port, load_snapshot
from android_env_gym.devices.emulator import free_ports, reap_orphans
from android_env_gym.devices.fleet import EmulatorFleet, Slot
from android_env_gym.devices.make import DeviceUnavailableError, make_device
from android_env_gym.devices.sdk import Sdk, SdkError, find_sdk
from android_env_gym.devices.transport import Bounds

BROKEN = DeviceFailure("crashed", "it broke")


class FakeEmulator:
    """Counts; `boots` and `lives` say what `await_ready` and `check_alive` do."""

    def __init__(self, boots: bool = True) -> None:
        self.avd, self.console_port, self.serial = "Tiny", 5554, "emulator-5554"
        self.boots = boots
        self.lives = True
        self.stopped = 0

    def await_ready(self) -> None:
        if not self.boots:
            raise DeviceFailure("timeout", "not ready")

    def check_alive(self) -> None:
        if not self.lives:
            raise BROKEN

    def stop(self) -> None:
        self.stopped += 1


class Plan:
    """Starts the emulators of a list, one after the other; the clock is moved by hand."""

    def __init__(self, *boots: bool, **config) -> None:
        self.boots = list(boots)
        self.started: list[FakeEmulator] = []
        self.now = 100.0
        settings = EmulatorConfig(**({"backoff_seconds": 0.0} | config))
        self.slot = Slot("Tiny #0", self.start, settings, lambda: self.now)

    def start(self) -> FakeEmulator:
        self.started.append(FakeEmulator(self.boots.pop(0)))
        return self.started[-1]


def test_an_emulator_is_started_once_and_again_after_so_many_episodes():
    plan = Plan(True, True, restart_every=3)
    for _ in range(4):
        plan.slot.ready()
        plan.slot.played()
    assert [one.stopped for one in plan.started] == [1, 0] and plan.slot.starts == 2


def test_a_dead_emulator_is_replaced_at_the_next_reset():
    plan = Plan(True, True)
    first = plan.slot.ready()
    plan.started[0].lives = False
    assert plan.slot.ready() is not first and plan.started[0].stopped == 1
    plan.slot.played()
    assert plan.slot.failures == 1
    plan.slot.ready()
    assert plan.slot.failures == 0


def test_an_emulator_that_crashes_in_every_episode_is_left_alone_too():
    plan = Plan(True, True, True, quarantine_after=3)
    for _ in range(3):
        plan.slot.ready()
        plan.slot.played()
        plan.started[-1].lives = False
    with pytest.raises(DeviceFailure, match="emulator Tiny #0: in quarantine after 3 failures"):
        plan.slot.ready()


def test_failures_in_a_row_lead_to_quarantine_and_one_chance_at_a_time():
    plan = Plan(*[False] * 4, True, quarantine_after=3, quarantine_seconds=60.0)
    for _ in range(3):
        with pytest.raises(DeviceFailure, match="not ready"):
            plan.slot.ready()
    with pytest.raises(DeviceFailure, match="in quarantine after 3 failures in a row, for 60 s more"):
        plan.slot.ready()
    assert len(plan.started) == 3
    plan.now += 61
    with pytest.raises(DeviceFailure, match="not ready"):
        plan.slot.ready()
    with pytest.raises(DeviceFailure, match="in quarantine"):
        plan.slot.ready()
    plan.now += 61
    plan.slot.ready()
    plan.slot.ready()
    assert plan.slot.failures == 0 and [one.stopped for one in plan.started] == [1, 1, 1, 1, 0]


def test_the_pause_before_a_start_grows_and_is_bounded(monkeypatch):
    waited: list[float] = []

    class Recorder:
        def wait(self, seconds: float) -> None:
            waited.append(seconds)

    monkeypatch.setattr(fleets.threading, "Event", Recorder)
    plan = Plan(*[False] * 6, backoff_seconds=2.0, max_backoff_seconds=10.0, quarantine_after=99)
    for _ in range(6):
        with pytest.raises(DeviceFailure):
            plan.slot.ready()
    assert waited == [2.0, 4.0, 8.0, 10.0, 10.0]


# --- the SDK ---


def make_sdk(root: Path, script: str) -> Sdk:
    emulator = root / "emulator" / "emulator"
    emulator.parent.mkdir(parents=True)
    emulator.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    emulator.chmod(0o755)
    return Sdk(root, emulator)


@pytest.fixture
def no_sdk(monkeypatch, tmp_path):
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_an_sdk_the_error_says_what_to_install(no_sdk):
    with pytest.raises(DeviceUnavailableError) as caught:
        make_device("emulator:Pixel")
    for word in ("device 'emulator:Pixel'", "no Android emulator found", "sdkmanager", '"emulator"', "ANDROID_HOME"):
        assert word in str(caught.value)


def test_the_sdk_is_found_where_the_environment_says_at_home_or_on_the_path(no_sdk, monkeypatch):
    at_home = make_sdk(no_sdk / "Android" / "Sdk", "")
    assert find_sdk() == at_home
    named = make_sdk(no_sdk / "named", "")
    monkeypatch.setenv("ANDROID_HOME", str(named.root))
    assert find_sdk() == named
    monkeypatch.setenv("ANDROID_HOME", str(no_sdk / "empty"))
    with pytest.raises(SdkError, match=r"looked in .*empty"):
        find_sdk()


def test_avds_are_listed_without_the_notes_around_them(tmp_path):
    sdk = make_sdk(tmp_path, "print('INFO    | Storing crashdata in: /x')\nprint('Pixel_6')\nprint('Tab')")
    assert sdk.avds() == ("Pixel_6", "Tab")
    sdk.check_avd("Tab")
    with pytest.raises(SdkError, match=r"unknown AVD 'Pixel_7'; did you mean 'Pixel_6'.*avdmanager create avd"):
        sdk.check_avd("Pixel_7")
    with pytest.raises(SdkError, match="no virtual device on this computer"):
        make_sdk(tmp_path / "none", "").check_avd("Tab")
    with pytest.raises(SdkError, match="-list-avds` failed"):
        make_sdk(tmp_path / "bad", "import sys; sys.exit(3)").check_avd("Tab")


def test_writable_instances_never_share_a_data_folder(tmp_path):
    sdk = make_sdk(tmp_path, "print('Tab')")
    config = AdbConfig(emulator=EmulatorConfig(read_only=False))
    with pytest.raises(ValueError, match="2 writable instances of Tab would share one data folder"):
        EmulatorFleet(sdk, "Tab", 2, config=config, folder=tmp_path / "run")
    EmulatorFleet(sdk, "Tab", 1, config=config, folder=tmp_path / "run").close()


def test_ports_are_neighbours_and_free():
    console, adb = free_ports()
    assert console % 2 == 0 and adb == console + 1
    for port in (console, adb):
        socket.create_server(("127.0.0.1", port)).close()


def test_only_recorded_processes_whose_owner_has_died_are_ended(tmp_path):
    sleepers = [psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(3)]
    try:
        orphan, owned, reused = sleepers
        mine = {"owner": os.getpid(), "owner_started": psutil.Process().create_time()}
        nobody = {"owner": 2**22 + 1, "owner_started": 1.0}
        records = {
            "orphan": {"pid": orphan.pid, "started": orphan.create_time()} | nobody,
            "owned": {"pid": owned.pid, "started": owned.create_time()} | mine,
            "reused": {"pid": reused.pid, "started": reused.create_time() - 500} | nobody,
        }
        for name, record in records.items():
            (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(record))
        (tmp_path / "torn.json").write_bytes(b'{"pid"')
        assert reap_orphans(tmp_path) == 1
        assert orphan.wait(10) != 0 and owned.is_running() and reused.is_running()
        assert sorted(path.name for path in tmp_path.glob("*.json")) == ["owned.json", "torn.json"]
    finally:
        for sleeper in sleepers:
            if sleeper.is_running():
                sleeper.kill()
            sleeper.wait(10)


# --- the console ---


class FakeConsole:
    """Answers one connection with what `say` returns for each line."""

    def __init__(self, greeting: str, say) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._serve, args=(greeting, say), daemon=True)
        self._thread.start()

    def _serve(self, greeting: str, say) -> None:
        link, _ = self._listener.accept()
        with link, link.makefile("rw", newline="\n") as lines:
            lines.write(greeting)
            lines.flush()
            for line in lines:
                self.heard.append(line.strip())
                lines.write(say(line.strip()))
                lines.flush()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)


def test_the_console_is_authenticated_and_its_refusals_are_failures(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    greeting = "Android Console: Authentication required\r\nAndroid Console: type 'auth <auth_token>'\r\nOK\r\n"
    fake = FakeConsole(greeting, lambda line: "KO: no such snapshot\r\n" if "load" in line else "I am alive!\r\nOK\r\n")
    with pytest.raises(DeviceFailure, match=r"token in .*\.emulator_console_auth_token"):
        Console(fake.port, 5.0)
    fake.close()
    (tmp_path / ".emulator_console_auth_token").write_text("secret\n", encoding="utf-8")
    fake = FakeConsole(greeting, lambda line: "KO: no such snapshot\r\n" if "load" in line else "I am alive!\r\nOK\r\n")
    with Console(fake.port, 5.0) as console:
        assert console.ask("ping") == "I am alive!"
        with pytest.raises(DeviceFailure, match="KO: no such snapshot"):
            console.ask("avd snapshot load x")
    fake.close()
    assert fake.heard == ["auth secret", "ping", "avd snapshot load x"]


def test_a_silent_console_is_a_failure_in_time():
    fake = FakeConsole("OK\r\n", lambda line: "")
    with Console(fake.port, 0.3) as console, pytest.raises(DeviceFailure) as caught:
        console.ask("ping")
    assert caught.value.kind == "timeout"
    fake.close()
    with pytest.raises(DeviceFailure) as caught:
        Console(fake.port, 0.3)
    assert caught.value.kind == "lost"


@pytest.mark.parametrize(("serial", "name"), [("R5", "start"), ("emulator-5554", ""), ("emulator-5554", "a; kill")])
def test_snapshots_need_an_emulator_and_a_plain_name(serial, name):
    with pytest.raises(DeviceFailure) as caught:
        load_snapshot(serial, name, Bounds(serial, 1.0))
    assert caught.value.kind == "reset" and repr(name) in str(caught.value)
    assert console_port("emulator-5554") == 5554 and console_port("R5") is None
