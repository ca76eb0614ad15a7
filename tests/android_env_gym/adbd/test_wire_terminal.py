"""`adb shell` without a command, typed into by the genuine adb in a pseudo terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from android_env_gym.phone.adbd.served import ServedPhone


class _Typist:
    def __init__(self, adb_host, serial: str) -> None:
        self.screen, inner = pty.openpty()
        self.adb = subprocess.Popen(
            [adb_host.path, "-s", serial, "shell"], env=adb_host.environment, stdin=inner, stdout=inner, stderr=inner
        )
        os.close(inner)

    def see(self, wanted: bytes, seconds: float = 10.0) -> bytes:
        """Return what the screen shows up to `wanted`."""
        seen, deadline = b"", time.monotonic() + seconds
        while wanted not in seen:
            ready, _, _ = select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {wanted!r} in {seen!r}"
            seen += os.read(self.screen, 4096)
        return seen

    def type(self, keys: bytes, wanted: bytes) -> bytes:
        os.write(self.screen, keys)
        return self.see(wanted)


@pytest.fixture
def typist(adb_host, serial: str) -> Iterator[_Typist]:
    typist = _Typist(adb_host, serial)
    typist.see(b"$ ")
    yield typist
    typist.adb.kill()
    typist.adb.wait(10)
    os.close(typist.screen)


def test_lines_are_echoed_run_and_prompted_for(typist: _Typist) -> None:
    assert typist.type(b"echo one two\r", b"two\r\n$ ") == b"echo one two\r\none two\r\n$ "
    assert b"inaccessible or not found\r\n" in typist.type(b"frobnicate\r", b"$ ")
    assert b"127\r\n" in typist.type(b"echo $?\r", b"\r\n$ ")
    assert b"/sdcard\r\n" in typist.type(b"cd /sdcard; pwd\r", b"\n$ ")


def test_backspace_ctrl_u_and_arrows_edit_the_line(typist: _Typist) -> None:
    typist.type(b"nonsense\x15", b"\b \b" * 8)
    assert typist.type(b"echo abX\x7f\x1b[Ac\r", b"\r\n$ ").endswith(b"\r\nabc\r\n$ ")


def test_ctrl_c_ends_what_runs_and_not_the_shell(typist: _Typist) -> None:
    for command in (b"logcat\r", b"cat\r"):
        typist.type(command, b"\r\n")
        assert b"^C\r\n" in typist.type(b"\x03", b"$ ")
        assert b"alive\r\n" in typist.type(b"echo al''ive\r", b"alive\r\n$ ")
    assert typist.type(b"echo half\x03", b"$ ").endswith(b"half^C\r\n$ ")
    assert b"whole\r\n" in typist.type(b"echo wh''ole\r", b"whole\r\n$ ")


def test_ctrl_d_ends_a_reader_and_then_the_shell(typist: _Typist, served: ServedPhone) -> None:
    typist.type(b"cat > /sdcard/typed\r", b"typed\r\n")
    typist.type(b"a line\r", b"a line\r\n")
    typist.type(b"\x04", b"$ ")
    assert served.files.read("/sdcard/typed") == b"a line\n"
    os.write(typist.screen, b"\x04")
    assert typist.adb.wait(10) == 0


def test_exit_has_a_status(typist: _Typist) -> None:
    os.write(typist.screen, b"exit 7\r")
    assert typist.adb.wait(10) == 7
