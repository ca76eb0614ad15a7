"""Served phones for the benchmarks of real devices: an ADB server of the benchmark's own, phones in another process.

`own_adb_server` keeps the benchmark away from the machine's ADB server. `PhoneProcess` serves phones as a phone would
run, beside the client and not inside it; a pipe tells what is really on a screen. A `MovingPhone` takes time to react
and then moves, as Android does, so that a frame taken too early is a wrong frame. Callers: `adb_speed`, `adb_faults`,
`adb_oracle`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import OpenApp
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone

Frame = NDArray[np.uint8]

START_SECONDS = 60.0
END_SECONDS = 20.0
POLL_SECONDS = 0.05


@contextmanager
def own_adb_server() -> Iterator[str]:
    """Run an ADB server on a port of its own, for this process and its children; yield the path of `adb`.

    Raises:
        RuntimeError: It does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = os.environ.get("ANDROID_ADB_SERVER_PORT")
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(port)  # read by adbutils when it is imported
    import adbutils

    adb = adbutils.adb_path()
    with tempfile.TemporaryDirectory() as home:
        # No USB, no emulators, no network: only what the benchmark connects to.
        private = {"HOME": home, "ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0", "ADB_MDNS_AUTO_CONNECT": "0"}
        log = Path(home) / "server.log"
        with log.open("wb") as output:
            command = [adb, "-P", str(port), "nodaemon", "server"]
            server = subprocess.Popen(command, env={**os.environ, **private}, stdout=output, stderr=output)
        try:
            _await_port(server, port, log)
            yield adb
        finally:
            server.terminate()
            server.wait(END_SECONDS)
            if before is None:
                del os.environ["ANDROID_ADB_SERVER_PORT"]
            else:
                os.environ["ANDROID_ADB_SERVER_PORT"] = before


def _await_port(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the ADB server did not start: {log.read_text(errors='replace')}") from error
        time.sleep(POLL_SECONDS)


def connect(serials: Sequence[str]) -> None:
    """Connect the ADB server of this process to phones on the network.

    Raises:
        RuntimeError: One of them cannot be reached.
    """
    import adbutils

    for serial in serials:
        said = adbutils.AdbClient().connect(serial)
        if "connected to" not in said:
            raise RuntimeError(f"adb connect {serial}: {said}")


class MovingPhone(ServedPhone):
    """A served phone whose screen reacts to a change after `react_seconds` and then moves for `move_seconds`.

    Only the pictures are late: state, tree and event log are those of the phone, as in Android, where an animation
    plays after the fact.
    """

    def __init__(self, phone: SimPhone, react_seconds: float, move_seconds: float) -> None:
        self._react, self._move = react_seconds, move_seconds
        self._from, self._since = phone.screenshot(), -float("inf")
        super().__init__(phone)

    def frame(self) -> Frame:
        """Return the screen as it is now, perhaps in the middle of a movement."""
        with self.lock:
            target = super().frame()
            share = (time.monotonic() - self._since - self._react) / self._move if self._move else 1.0
            if share >= 1.0 or self._from.shape != target.shape:
                return target
            if share <= 0.0:
                return self._from
            return np.asarray(cv2.addWeighted(target, share, self._from, 1.0 - share, 0.0), dtype=np.uint8)

    def _keep(self, change: Callable[[], None]) -> None:
        shown, before = self.frame(), self.phone.screenshot()
        super()._keep(change)
        if not np.array_equal(before, self.phone.screenshot()):
            self._from, self._since = shown, time.monotonic()


class PhoneProcess:
    """`count` phones that start alike, served over ADB by a process of their own, from `__enter__` to `__exit__`.

    Args:
        count: How many.
        react_seconds: How long a screen takes to react to a change.
        move_seconds: How long it then moves; both 0: the plain served phone.

    Attributes:
        serials: Their serials, once entered.
    """

    def __init__(self, count: int, react_seconds: float = 0.0, move_seconds: float = 0.0) -> None:
        self._arguments = [str(count), str(react_seconds), str(move_seconds)]
        self.serials: list[str] = []

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.served_phones", *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.serials = self._answer()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()  # it ends with its input
        self._process.wait(END_SECONDS)

    def restore(self, phone: int) -> None:
        """Bring a phone to where all of them started."""
        self._ask("restore", phone)

    def turn(self, phone: int) -> None:
        """Show another screen than now, without any input: the home screen or the settings."""
        self._ask("turn", phone)

    def truth(self, phone: int) -> Frame:
        """Return what the screen shows once it rests."""
        height, width = self._ask("truth", phone)
        assert self._process.stdout is not None
        return np.frombuffer(self._process.stdout.read(height * width * 3), np.uint8).reshape(height, width, 3)

    def _ask(self, word: str, phone: int) -> list[int]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([word, phone]).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of the served phones has ended with status {self._process.wait()}")
        return json.loads(line)


def serve(count: int, react_seconds: float, move_seconds: float, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Serve phones and answer what `PhoneProcess` asks, until there are no more questions."""
    start = SimPhone(seed=1)
    other = start.fork()
    other.perform(OpenApp("Settings"))
    served = [_served(start.fork(), react_seconds, move_seconds) for _ in range(count)]
    with ExitStack() as stack:
        servers = [stack.enter_context(AdbServer(item)) for item in served]
        _tell(answers, [server.serial for server in servers])
        for question in questions:
            word, number = json.loads(question)
            phone = served[number].phone
            with served[number].lock:
                if word == "restore":
                    phone.restore(start.state)
                elif word == "turn":
                    phone.restore(start.state if phone.state == other.state else other.state)
                frame = phone.screenshot()
            _tell(answers, list(frame.shape[:2]), frame.tobytes() if word == "truth" else b"")


def _tell(answers: IO[bytes], words: list[Any], data: bytes = b"") -> None:
    answers.write(json.dumps(words).encode() + b"\n" + data)
    answers.flush()


def _served(phone: SimPhone, react_seconds: float, move_seconds: float) -> ServedPhone:
    if react_seconds == move_seconds == 0.0:
        return ServedPhone(phone)
    return MovingPhone(phone, react_seconds, move_seconds)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer, sys.stdout.buffer)
