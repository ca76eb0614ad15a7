"""An ADB server of the tests' own, on a port of its own, and served phones to connect it to.

No test talks to the ADB server of the machine: the port is set before anything imports adbutils, which reads it then.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ADB_SERVER_PORT = _free_port()
os.environ["ANDROID_ADB_SERVER_PORT"] = str(ADB_SERVER_PORT)
# adbutils prefers an installed adb; the tests of that one ask for it.
os.environ.setdefault("ADBUTILS_ADB_PATH", str(Path(find_spec("adbutils").origin).parent / "binaries" / "adb"))
START_SECONDS = 20.0
# Under `nohup` SIGHUP is ignored, here and in every child; tests of that signal need it as a terminal starts programs.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class AdbHost:
    """A genuine `adb` binary, with the tests' own server."""

    def __init__(self, path: str, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment

    def run(self, *args: str, timeout: float = 30.0, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run `adb ARGS` to its end."""
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [self.path, *args], env=self.environment, capture_output=True, timeout=timeout, check=False, **stdin
        )

    def popen(self, *args: str) -> subprocess.Popen[bytes]:
        """Start `adb ARGS`; the caller ends it."""
        return subprocess.Popen(
            [self.path, *args],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def states(self) -> dict[str, str]:
        """Return serial -> state ("device", "offline") of what is attached."""
        lines = self.run("devices").stdout.decode().splitlines()[1:]
        return dict(line.split("\t", 1) for line in lines if "\t" in line)

    def wait_for_state(self, serial: str, state: str, seconds: float = 20.0) -> None:
        """Wait until `serial` is in `state`; fail the test if it does not get there."""
        deadline = time.monotonic() + seconds
        while (found := self.states().get(serial)) != state:
            assert time.monotonic() < deadline, f"{serial} is {found!r}, not {state!r}, after {seconds} s"
            time.sleep(0.05)  # a poll interval: adb has no way to wait for "offline"

    def wait_for_answer(self, serial: str, command: str, answer: bytes, seconds: float = 20.0) -> None:
        """Wait until a shell `command` prints `answer`: an adb may take a moment to notice that a phone has gone."""
        deadline = time.monotonic() + seconds
        while (found := self.run("-s", serial, "shell", command).stdout) != answer:
            assert time.monotonic() < deadline, f"{serial} answers {found!r}, not {answer!r}, after {seconds} s"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def adb_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbHost]:
    """The `adb` that adbutils brings, which its calls use too."""
    import adbutils

    with _adb_server(adbutils.adb_path(), ADB_SERVER_PORT, tmp_path_factory.mktemp("adb-home")) as host:
        yield host


@pytest.fixture(scope="session")
def system_adb_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbHost]:
    """The `adb` that is installed, e.g. version 29 of Debian."""
    path = shutil.which("adb")
    if path is None:
        pytest.skip("no adb is installed")
    with _adb_server(path, _free_port(), tmp_path_factory.mktemp("system-adb-home")) as host:
        yield host


@contextmanager
def _adb_server(path: str, port: int, home: Path) -> Iterator[AdbHost]:
    """Start an ADB server of the tests' own in the foreground, so that it can be ended by its process."""
    # No USB, no search for emulators or for devices in the network: only what a test connects to.
    private = {"HOME": str(home), "ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0", "ADB_MDNS_AUTO_CONNECT": "0"}
    host = AdbHost(path, {**os.environ, **private, "ANDROID_ADB_SERVER_PORT": str(port)})
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [path, "-P", str(port), "nodaemon", "server"], env=host.environment, stdout=log, stderr=log
        )
        try:
            _wait_until_listening(server, port, home / "server.log")
            yield host
        finally:
            server.terminate()
            server.wait(10)


def _wait_until_listening(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            failed = server.poll() is not None or time.monotonic() > deadline
            assert not failed, f"the ADB server did not start: {log.read_text(errors='replace')}"
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def no_adbd_threads() -> Iterator[None]:
    """Check that the test leaves no thread of a served phone behind."""
    yield
    deadline = time.monotonic() + 5
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith(("adbd", "device-"))]:
        assert time.monotonic() < deadline, f"threads left behind: {left}"
        time.sleep(0.01)
