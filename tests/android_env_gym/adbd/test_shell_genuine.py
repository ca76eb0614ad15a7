"""The shell through the genuine `adb`: installing, statuses, streams of both directions, logs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import uiautomator2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from android_env_gym.phone.adbd.served import ServedPhone

APK = Path(uiautomator2.__file__).parent / "assets" / "app-uiautomator.apk"
PACKAGE = "com.github.uiautomator"


@pytest.fixture
def adb(adb_host, serial: str):
    return lambda *args: adb_host.run("-s", serial, *args)


@pytest.mark.parametrize("how", [[], ["--no-streaming"], ["-r", "-t"]])
def test_adb_installs_and_removes_an_app(adb, served: ServedPhone, how: list[str]) -> None:
    installed = adb("install", *how, str(APK))
    assert installed.returncode == 0
    assert installed.stdout.endswith(b"Success\n")
    assert served.installed[PACKAGE].version.count(".") >= 1
    assert adb("shell", "pm", "list", "packages", "-3").stdout == f"package:{PACKAGE}\n".encode()
    assert f"{PACKAGE}/.AdbKeyboard".encode() in adb("shell", "ime", "list", "-s", "-a").stdout
    assert adb("uninstall", PACKAGE).stdout == b"Success\n"
    again = adb("uninstall", PACKAGE)
    assert again.returncode != 0
    assert b"Failure" in again.stdout


def test_adb_shows_status_and_both_streams(adb) -> None:
    reply = adb("shell", "echo out; ls /nope; exit 5")
    assert (reply.returncode, reply.stdout) == (5, b"out\n")
    assert reply.stderr == b"ls: /nope: No such file or directory\n"
    assert adb("shell", "nothing-of-this-name").returncode == 127
    assert b"SystemServer" in adb("logcat", "-d", "-v", "brief").stdout


def test_adb_reads_the_screen(adb, served: ServedPhone) -> None:
    assert adb("exec-out", "screencap", "-p").stdout == served.png()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60))
def test_any_quoted_word_comes_back_through_adb(adb, text: str) -> None:
    reply = adb("shell", "printf %s " + shlex.quote(text))
    assert (reply.returncode, reply.stdout, reply.stderr) == (0, text.encode(), b"")
