"""`python -m android_env_gym adbd` as a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def _start(processes: list[subprocess.Popen[str]], *args: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "android_env_gym", "adbd", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    return process, json.loads(process.stdout.readline())["serial"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(adb_host, processes: list, number: signal.Signals) -> None:
    process, serial = _start(processes, "--port", "0", "--screen", "720x1280", "--density", "2", "--name", "mine")
    assert adb_host.run("connect", serial).stdout.startswith(b"connected to")
    assert b"720x1280" in adb_host.run("-s", serial, "shell", "wm size").stdout
    assert adb_host.run("-s", serial, "shell", "getprop ro.serialno").stdout == b"mine\n"
    following = adb_host.popen("-s", serial, "shell", "logcat")
    assert following.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    following.communicate(timeout=10)
    adb_host.run("disconnect", serial)


def test_with_the_wall_clock_the_date_goes_on_by_itself(adb_host, processes: list) -> None:
    process, serial = _start(processes, "--clock", "wall")
    assert adb_host.run("connect", serial).stdout.startswith(b"connected to")

    def now() -> int:
        return int(adb_host.run("-s", serial, "shell", "date +%s").stdout)

    first, begun = now(), time.monotonic()
    time.sleep(1.5)
    assert abs(now() - first - (time.monotonic() - begun)) <= 1.2
    second, begun = now(), time.monotonic()
    adb_host.run("-s", serial, "shell", "sleep 1.5")
    assert time.monotonic() - begun >= 1.5
    assert abs(now() - second - (time.monotonic() - begun)) <= 1.2
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=10) == ("", "")
    adb_host.run("disconnect", serial)


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [
        (["--screen", "big"], 2, "allowed is WIDTHxHEIGHT"),
        (["--density", "0"], 2, "allowed is a number above 0"),
        (["--clock", "sundial"], 2, "invalid choice"),
        (["--port", "-1"], 2, "0 to 65535"),
        (["--frobnicate"], 2, "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_explained(args: list[str], status: int, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "android_env_gym", "adbd", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert reason in done.stderr


def test_a_port_in_use_is_explained_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "android_env_gym", "adbd", "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: cannot listen on 127.0.0.1:") and len(done.stderr.splitlines()) == 1
    assert "take another --port" in done.stderr
