"""`Emulator`: one running instance of the Android emulator, from its start to its end.

Invariants: only processes started here are ever ended, by their id; whatever happens, `stop` leaves none of them
behind, and an instance whose owner died without `stop` is ended by the next `reap_orphans`. `fleet` is the caller.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import EmulatorConfig
from android_env_gym.devices.connection import unreadiness
from android_env_gym.devices.console import Console
from android_env_gym.devices.sdk import Sdk
from android_env_gym.devices.stream import ShellStream
from android_env_gym.devices.transport import BoundedAdb, BoundedClient, Bounds, await_device

logger = logging.getLogger(__name__)

CONSOLE_SECONDS = 5.0
ANSWER_SECONDS = 10.0
PORT_ATTEMPTS = 200
LOG_TAIL = 400
_pause = threading.Event().wait


class _Record(msgspec.Struct, frozen=True):
    """What is written down of a running instance, so that nobody's emulators run on for ever."""

    pid: int
    started: float
    owner: int
    owner_started: float


class Emulator:
    """An instance of `avd`, started by the constructor; `await_ready` waits for Android.

    Args:
        sdk: Where the emulator is.
        avd: The virtual device.
        config: How it is started.
        folder: For its log and its record.
        data: Its own data folder, None for the AVD's.

    Raises:
        DeviceFailure: The process cannot be started.
    """

    def __init__(self, sdk: Sdk, avd: str, config: EmulatorConfig, folder: Path, data: Path | None = None) -> None:
        self.avd = avd
        self.console_port, self._adb_port = free_ports()
        self._config = config
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{avd}-{self.console_port}.log"
        command = _command(sdk, avd, config, (self.console_port, self._adb_port), data)
        with self._log.open("wb") as log:
            try:
                # A session of its own: Ctrl-C is for us, and the emulator's helpers can be ended with it.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            except OSError as error:
                raise DeviceFailure("crashed", f"{avd}: the emulator cannot be started: {error}") from error
        self._record = folder / f"{self._process.pid}.json"
        self._family: list[psutil.Process] = []
        try:
            self._record.write_bytes(msgspec.json.encode(_record(self._process.pid)))
        except BaseException:
            self.stop()
            raise
        logger.info("%s: emulator %d started on ports %d, %d", avd, self.pid, self.console_port, self._adb_port)

    @property
    def serial(self) -> str:
        """What ADB calls it."""
        return f"emulator-{self.console_port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def why_dead(self) -> str:
        """Return why the process has ended, "" while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        said = " ".join(self._log.read_text(errors="replace").split())[-LOG_TAIL:]
        return f"{self.avd}: emulator {self.pid} ended with exit code {code}; it said: {said or 'nothing'}"

    def await_ready(self) -> None:
        """Return when Android is up: booted, its user unlocked, a window in focus.

        Raises:
            DeviceFailure: The process ended, or it took longer than `boot_seconds`.
        """
        client, bounds = BoundedClient(ANSWER_SECONDS), Bounds(self.serial, ANSWER_SECONDS)
        missing = "it does not answer"
        deadline = time.monotonic() + self._config.boot_seconds
        while time.monotonic() < deadline:
            if reason := self.why_dead():
                raise DeviceFailure("crashed", reason)
            try:
                missing = self._lacks(client, bounds)
            except DeviceFailure as failure:
                missing = str(failure)
            if not missing:
                self._family = _family(self.pid)  # helpers may outlive the process that started them
                return
            _pause(min(1.0, self._config.boot_seconds / 20))
        seconds = self._config.boot_seconds
        raise DeviceFailure("timeout", f"{self.avd}: not ready after {seconds:.0f} s: {missing}")

    def check_alive(self) -> None:
        """Check that the instance runs and its console answers.

        Raises:
            DeviceFailure: It has ended, or hangs.
        """
        if reason := self.why_dead():
            raise DeviceFailure("crashed", reason)
        with Console(self.console_port, CONSOLE_SECONDS) as console:
            console.ask("ping")

    def load_snapshot(self, name: str, seconds: float) -> None:
        """Bring the phone back to the snapshot `name`.

        Raises:
            DeviceFailure: There is none, or the console does not answer.
        """
        with Console(self.console_port, seconds) as console:
            console.ask(f"avd snapshot load {name}")

    def stop(self) -> None:
        """End the instance: asked first, then by force; may be called twice."""
        family = [*self._family, *(_family(self.pid) if self._process.poll() is None else [])]
        if self._process.poll() is None:
            with contextlib.suppress(DeviceFailure), Console(self.console_port, CONSOLE_SECONDS) as console:
                console.ask("kill")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._config.stop_seconds)
        _end(family)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._config.stop_seconds)
        self._record.unlink(missing_ok=True)

    def _lacks(self, client: BoundedClient, bounds: Bounds) -> str:
        """Return what it still lacks to be used, "" if nothing."""
        with bounds.within(ANSWER_SECONDS):
            announce(client, self._adb_port)
            await_device(client, self.serial, bounds, seconds=1.0)
            shell = ShellStream(BoundedAdb(client, self.serial, bounds))
            try:
                return unreadiness(shell)
            finally:
                shell.close()


def announce(client: BoundedClient, adb_port: int) -> None:
    """Tell the adb server of an emulator, as the emulator itself does when it starts: that server may be younger."""
    connection = client.make_connection(timeout=ANSWER_SECONDS)
    connection.send_command(f"host:emulator:{adb_port}")
    connection.close()


def free_ports() -> tuple[int, int]:
    """Return a console port, even, and the ADB port after it, both free and chosen by the system.

    Raises:
        DeviceFailure: No such pair was found.
    """
    for _ in range(PORT_ATTEMPTS):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port ^ 1))
                return port & ~1, port | 1
    raise DeviceFailure("crashed", "found no two free neighbouring ports for an emulator")


def reap_orphans(folder: Path) -> int:
    """End emulators whose owner has died, by the records in `folder`; return how many."""
    count = 0
    for path in folder.glob("*.json"):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
        except (OSError, msgspec.DecodeError):
            continue  # being written, or gone meanwhile
        if _runs(record.owner, record.owner_started):
            continue
        if _runs(record.pid, record.started):
            logger.warning("ending emulator %d, whose owner %d has died", record.pid, record.owner)
            _end(_family(record.pid))
            count += 1
        path.unlink(missing_ok=True)
    return count


def _command(sdk: Sdk, avd: str, config: EmulatorConfig, ports: tuple[int, int], data: Path | None) -> Sequence[str]:
    words = [str(sdk.emulator), "-avd", avd, "-ports", f"{ports[0]},{ports[1]}", "-gpu", config.gpu]
    words += ["-no-audio", "-no-boot-anim", "-no-snapshot-save"]
    words += ["-no-window"] if config.headless else []
    words += ["-read-only"] if config.read_only else []
    words += ["-datadir", str(data)] if data is not None else []
    return [*words, *config.arguments]


def _record(pid: int) -> _Record:
    owner = os.getpid()
    return _Record(pid, psutil.Process(pid).create_time(), owner, psutil.Process(owner).create_time())


def _runs(pid: int, started: float) -> bool:
    """Return whether the very process that was recorded still runs; ids are used again."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _family(pid: int) -> list[psutil.Process]:
    """Return a process that was started here, and its children."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _end(family: Sequence[psutil.Process]) -> None:
    """End those of `family` that still run; psutil refuses where another process has got the id meanwhile."""
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(family, timeout=ANSWER_SECONDS)
