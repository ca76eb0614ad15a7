"""Unmodified adbutils against a served phone."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import adbutils
import numpy as np
import pytest

from android_env_gym.phone.adbd.served import ServedPhone


@pytest.fixture
def device(adb_host, serial: str) -> Iterator[adbutils.AdbDevice]:
    client = adbutils.AdbClient(port=int(adb_host.environment["ANDROID_ADB_SERVER_PORT"]), socket_timeout=20)
    yield client.device(serial)


def test_shell_and_shell2(device: adbutils.AdbDevice) -> None:
    assert device.shell("echo hello") == "hello"
    assert device.shell(["echo", "a b", "$HOME;`id`"]) == "a b $HOME;`id`"
    for v2 in (False, True):
        done = device.shell2("echo out; sh -c 'exit 3'", v2=v2)
        assert (done.returncode, done.output) == (3, "out\n")
    failed = device.shell2("frobnicate", v2=True)
    assert (failed.returncode, failed.stdout) == (127, "")
    assert "frobnicate" in failed.stderr
    assert device.get_state() == "device"
    assert set(device.get_features().split(",")) == {"shell_v2", "cmd"}


def test_a_shell_stream(device: adbutils.AdbDevice) -> None:
    stream = device.shell("logcat", stream=True)
    assert b"beginning of" in stream.read(30)
    stream.close()
    assert device.shell("echo next") == "next"


def test_sync(device: adbutils.AdbDevice, served: ServedPhone, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    assert device.sync.push(data, "/data/local/tmp/u2.jar", mode=0o644, check=True) == len(data)
    assert device.sync.read_bytes("/data/local/tmp/u2.jar") == data
    found = device.sync.stat("/data/local/tmp/u2.jar")
    assert (found.mode, found.size) == (0o100644, len(data)) and found.mtime is not None
    assert device.sync.exists("/data/local/tmp/u2.jar") and not device.sync.exists("/data/local/tmp/none")
    assert hashlib.md5(data).hexdigest() in device.shell(["toybox", "md5sum", "/data/local/tmp/u2.jar"])
    (tmp_path / "note.txt").write_text("ü")
    device.sync.push(tmp_path / "note.txt", "/sdcard/Documents")
    assert served.files.read("/sdcard/Documents/note.txt") == "ü".encode()
    assert device.sync.read_text("/sdcard/Documents/note.txt") == "ü"
    assert "note.txt" in [item.path for item in device.sync.list("/sdcard/Documents")]
    assert device.sync.pull("/sdcard/Documents", tmp_path / "back") == 2
    assert (tmp_path / "back" / "note.txt").read_text() == "ü"
    with pytest.raises(adbutils.AdbError, match="No such file"):
        device.sync.read_bytes("/sdcard/none")


def test_screenshot_and_framebuffer_are_the_screen(device: adbutils.AdbDevice, served: ServedPhone) -> None:
    served.launch("com.android.settings")
    frame = served.frame()
    assert np.array_equal(np.asarray(device.screenshot(error_ok=False)), frame)
    assert np.array_equal(np.asarray(device.screenshot(display_id=0, error_ok=False)), frame)
    assert np.array_equal(np.asarray(device.framebuffer().convert("RGB")), frame)


def test_what_adbutils_asks_of_a_phone(device: adbutils.AdbDevice, served: ServedPhone) -> None:
    assert tuple(device.window_size()) == served.size
    packages = device.list_packages()
    assert "com.android.settings" in packages and packages == sorted(packages)
    device.app_start("com.android.settings")
    current = device.app_current()
    assert (current.package, current.activity) == ("com.android.settings", served.activity())
    device.app_stop("com.android.settings")
    assert device.app_current().package == served.package() != "com.android.settings"
    assert device.prop.model == served.properties["ro.product.model"]
    assert device.is_screen_on()
    assert device.dump_hierarchy().startswith("<?xml")


def test_the_uiautomator_port_answers_only_while_its_server_runs(
    device: adbutils.AdbDevice, served: ServedPhone
) -> None:
    with pytest.raises(adbutils.AdbError):
        device.create_connection(adbutils.Network.TCP, 9008)
    with pytest.raises(adbutils.AdbError):
        device.create_connection(adbutils.Network.LOCAL_ABSTRACT, "scrcpy")
    device.sync.push(b"a jar", "/data/local/tmp/u2.jar")
    command = "CLASSPATH=/data/local/tmp/u2.jar app_process / com.wetest.uia2.Main -p 9008"
    server = device.shell(command, stream=True)
    assert server.recv(1)  # it says that it has started
    link = device.create_connection(adbutils.Network.TCP, 9008)
    assert b"pong" in _ping(link)
    forwarded = socket.create_connection(("127.0.0.1", device.forward_port(9008)), timeout=10)
    assert b"pong" in _ping(forwarded)
    assert [item.remote for item in device.forward_list()] == ["tcp:9008"]
    device.forward_remove_all()
    kept = device.create_connection(adbutils.Network.TCP, 9008)
    server.close()
    deadline = time.monotonic() + 5
    while served.uiautomator_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert _ping(kept) == b""  # the server's process has ended, its connections with it


def _ping(link: socket.socket) -> bytes:
    link.settimeout(10)
    with link:
        link.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        reply = b""
        while piece := link.recv(4096):
            reply += piece
        return reply


def test_reverse_forwards(device: adbutils.AdbDevice) -> None:
    device.reverse("tcp:7000", "tcp:8000")
    with pytest.raises(adbutils.AdbError, match="cannot rebind"):
        device.reverse("tcp:7000", "tcp:8001", norebind=True)
    assert [(item.remote, item.local) for item in device.reverse_list()] == [("tcp:7000", "tcp:8000")]
    device.reverse_remove("tcp:7000")
    with pytest.raises(adbutils.AdbError, match="not found"):
        device.reverse_remove("tcp:7000")
    device.reverse("tcp:7000", "tcp:8000")
    device.reverse_remove_all()
    assert device.reverse_list() == []
