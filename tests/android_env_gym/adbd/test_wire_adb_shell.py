"""adb-shell, an ADB client in pure Python, against a served phone, without an ADB server in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer


@pytest.fixture
def device(adb_server: AdbServer) -> Iterator[AdbDeviceTcp]:
    host, port = adb_server.serial.split(":")
    device = AdbDeviceTcp(host, int(port), default_transport_timeout_s=5.0)
    assert device.connect(auth_timeout_s=5.0)
    yield device
    device.close()


def test_it_runs_commands(device: AdbDeviceTcp, served: ServedPhone) -> None:
    assert device.shell("echo hello") == "hello\n"
    device.shell("am start -n com.android.settings/.Settings")
    assert served.package() == "com.android.settings"
    assert device.exec_out("screencap -p", decode=False).startswith(b"\x89PNG")


def test_it_moves_files(device: AdbDeviceTcp, served: ServedPhone, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "out").write_bytes(data)
    device.push(str(tmp_path / "out"), "/sdcard/Download/file.bin")
    assert served.files.read("/sdcard/Download/file.bin") == data
    device.pull("/sdcard/Download/file.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data


def test_it_describes_files(device: AdbDeviceTcp, served: ServedPhone) -> None:
    served.files.write("/sdcard/Music/song", b"la", mtime=1_700_000_000)
    assert device.stat("/sdcard/Music/song") == (0o100644, 2, 1_700_000_000)
    assert device.stat("/sdcard/none") == (0, 0, 0)
    assert {bytes(item.filename): item.size for item in device.list("/sdcard/Music")}[b"song"] == 2
    assert device.shell("echo still there") == "still there\n"
