"""Genuine `adb` binaries against a served phone: that of adbutils, and the installed one if there is any."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer

MANY_BYTES = 24 << 20


@pytest.fixture(params=["adb of adbutils", "installed adb"])
def adb_host(request: pytest.FixtureRequest, adb_host):
    return request.getfixturevalue("system_adb_host") if request.param == "installed adb" else adb_host


def test_the_phone_is_listed_as_a_device(adb_host, serial: str) -> None:
    lines = adb_host.run("devices", "-l").stdout.decode().splitlines()
    line = next(item for item in lines if item.startswith(serial))
    assert line.split()[1] == "device"
    assert "model:" in line and "product:" in line
    assert adb_host.run("-s", serial, "get-state").stdout == b"device\n"
    assert adb_host.run("connect", serial).stdout.startswith(b"already connected")
    assert set(adb_host.run("-s", serial, "features").stdout.split()) == {b"shell_v2", b"cmd"}


@pytest.mark.parametrize(
    ("command", "status", "out", "err"),
    [
        ("true", 0, b"", b""),
        ("exit 7", 7, b"", b""),
        ("echo out; echo err >&2; exit 255", 255, b"out\n", b"err\n"),
        ("echo 'a  b' \"c;d\"", 0, b"a  b c;d\n", b""),
    ],
)
def test_a_shell_command_has_output_and_status(
    adb_host, serial: str, command: str, status: int, out: bytes, err: bytes
) -> None:
    done = adb_host.run("-s", serial, "shell", command)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_an_unknown_command_is_127(adb_host, serial: str) -> None:
    done = adb_host.run("-s", serial, "shell", "frobnicate", "-x")
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"frobnicate" in done.stderr


def test_the_old_shell_protocol_works_too(adb_host, serial: str) -> None:
    done = adb_host.run("-s", serial, "shell", "-x", "echo out; echo err >&2; exit 7")
    assert done.stdout == b"out\nerr\n"
    assert done.returncode == 0  # version 1 of the protocol has no exit status


def test_a_shell_reads_standard_input(adb_host, serial: str, served: ServedPhone) -> None:
    data = os.urandom(300_000)
    assert adb_host.run("-s", serial, "shell", "cat", input=data).stdout == data
    adb_host.run("-s", serial, "exec-in", "cat > /sdcard/in.bin", input=data)
    deadline = time.monotonic() + 5
    while not served.files.exists("/sdcard/in.bin"):  # adb does not wait for the command's end here
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert served.files.read("/sdcard/in.bin") == data


def test_a_shell_without_a_command_runs_lines(adb_host, serial: str) -> None:
    done = adb_host.run("-s", serial, "shell", "-T", input=b"echo one\necho two\nexit 4\necho three\n")
    assert (done.stdout, done.returncode) == (b"one\ntwo\n", 4)


def test_large_files_go_there_and_back(adb_host, serial: str, served: ServedPhone, tmp_path: Path) -> None:
    data = os.urandom(MANY_BYTES)
    (tmp_path / "there.bin").write_bytes(data)
    pushed = adb_host.run("-s", serial, "push", str(tmp_path / "there.bin"), "/sdcard/Download/")
    assert pushed.returncode == 0, pushed
    assert served.files.read("/sdcard/Download/there.bin") == data
    pulled = adb_host.run("-s", serial, "pull", "/sdcard/Download/there.bin", str(tmp_path / "back.bin"))
    assert pulled.returncode == 0, pulled
    assert (tmp_path / "back.bin").read_bytes() == data


def test_folders_go_there_and_back(adb_host, serial: str, tmp_path: Path) -> None:
    files = {"a.txt": b"a", "deep/er/b.txt": b"", "deep/ü ä.txt": b"umlaut", "c": bytes(70_000)}
    for name, data in files.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(data)
    assert adb_host.run("-s", serial, "push", str(tmp_path / "src"), "/sdcard/dst").returncode == 0
    assert adb_host.run("-s", serial, "pull", "/sdcard/dst", str(tmp_path / "back")).returncode == 0
    found = {
        str(item.relative_to(tmp_path / "back")): item.read_bytes()
        for item in (tmp_path / "back").rglob("*")
        if item.is_file()
    }
    assert found == files
    listed = adb_host.run("-s", serial, "ls", "/sdcard/dst").stdout.decode()
    assert {line.split(" ", 3)[3] for line in listed.splitlines()} == {".", "..", "a.txt", "c", "deep"}


def test_what_cannot_be_copied_is_an_error(adb_host, serial: str, tmp_path: Path) -> None:
    # adb 29 writes such errors to standard output, later ones to standard error.
    missing = adb_host.run("-s", serial, "pull", "/sdcard/none", str(tmp_path / "x"))
    assert missing.returncode == 1 and b"does not exist" in missing.stdout + missing.stderr
    (tmp_path / "y").write_bytes(b"y")
    refused = adb_host.run("-s", serial, "push", str(tmp_path / "y"), "/system/y")
    assert refused.returncode == 1 and b"Permission denied" in refused.stdout + refused.stderr


def test_exec_out_gives_the_screen(adb_host, serial: str, served: ServedPhone) -> None:
    assert adb_host.run("-s", serial, "exec-out", "screencap", "-p").stdout == served.png()


def test_the_phone_comes_back_after_a_drop(adb_host, serial: str, adb_server: AdbServer) -> None:
    waiting = adb_host.popen("-s", serial, "shell", "logcat")
    assert waiting.stdout.readline()
    adb_server.disconnect()
    waiting.communicate(timeout=10)
    adb_host.wait_for_answer(serial, "echo back", b"back\n")


def test_a_disconnected_phone_can_be_connected_again(adb_host, serial: str) -> None:
    for _ in range(3):
        assert adb_host.run("disconnect", serial).returncode == 0
        assert serial not in adb_host.states()
        assert adb_host.run("connect", serial).stdout.startswith(b"connected to")
        assert adb_host.run("-s", serial, "shell", "echo here").stdout == b"here\n"


def test_a_reboot_ends_connections_and_comes_back(adb_host, serial: str, served: ServedPhone) -> None:
    before = served.phone.state.now
    served.launch("com.android.settings")
    adb_host.run("-s", serial, "reboot")
    adb_host.wait_for_state(serial, "device")
    assert "launcher" in served.package()
    assert served.phone.state.now >= before


def test_clients_side_by_side(adb_host, serial: str, served: ServedPhone, tmp_path: Path) -> None:
    served.files.write("/sdcard/big", bytes(32 << 20))
    stuck = adb_host.popen("-s", serial, "exec-out", "cat /sdcard/big")  # nobody reads what it says
    following = adb_host.popen("-s", serial, "shell", "logcat")
    try:
        assert stuck.stdout.read(1) == b"\0"

        def work(number: int) -> bool:
            data = os.urandom(200_000)
            (tmp_path / f"{number}").write_bytes(data)
            adb_host.run("-s", serial, "push", str(tmp_path / f"{number}"), f"/sdcard/{number}")
            echoed = adb_host.run("-s", serial, "shell", f"echo {number}; exit {number}")
            read = adb_host.run("-s", serial, "exec-out", f"cat /sdcard/{number}").stdout
            return (echoed.stdout, echoed.returncode, read) == (f"{number}\n".encode(), number, data)

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(work, range(12)))
        assert stuck.poll() is None and following.poll() is None
    finally:
        for client in (stuck, following):
            client.kill()
            client.communicate()


def test_two_phones_do_not_disturb_each_other(
    adb_host, serial: str, adb_server: AdbServer, no_adbd_threads: None
) -> None:
    from android_env_gym.phone.phone import SimPhone

    other = ServedPhone(SimPhone(seed=2), serial_name="other")
    with AdbServer(other) as second:
        assert adb_host.run("connect", second.serial).stdout.startswith(b"connected to")
        adb_server.die(1.0)
        assert adb_host.run("-s", second.serial, "shell", "getprop ro.serialno").stdout == b"other\n"
        adb_host.wait_for_answer(serial, "getprop ro.serialno", b"embedded\n")
        adb_host.run("disconnect", second.serial)


def test_forwards_and_reverses_are_kept(adb_host, serial: str) -> None:
    port = adb_host.run("-s", serial, "forward", "tcp:0", "tcp:9008").stdout.decode().strip()
    assert f"{serial} tcp:{port} tcp:9008" in adb_host.run("forward", "--list").stdout.decode()
    adb_host.run("-s", serial, "forward", "--remove", f"tcp:{port}")
    assert adb_host.run("-s", serial, "reverse", "tcp:7000", "tcp:8000").returncode == 0
    assert adb_host.run("-s", serial, "reverse", "--no-rebind", "tcp:7000", "tcp:8001").returncode == 1
    assert b"tcp:7000 tcp:8000" in adb_host.run("-s", serial, "reverse", "--list").stdout
    assert adb_host.run("-s", serial, "reverse", "tcp:0", "tcp:8002").stdout.strip().isdigit()
    assert adb_host.run("-s", serial, "reverse", "--remove", "tcp:7000").returncode == 0
    assert b"not found" in adb_host.run("-s", serial, "reverse", "--remove", "tcp:7000").stderr
    assert adb_host.run("-s", serial, "reverse", "--remove-all").returncode == 0
    assert adb_host.run("-s", serial, "reverse", "--list").stdout.strip() == b""


def test_what_a_production_phone_refuses(adb_host, serial: str) -> None:
    assert b"cannot run as root in production builds" in adb_host.run("-s", serial, "root").stdout
    assert adb_host.run("-s", serial, "jdwp").stdout == b""
    tracking = adb_host.popen("-s", serial, "track-jdwp")
    ended = threading.Timer(0.5, tracking.kill)
    ended.start()
    assert tracking.communicate(timeout=10)[0].strip() in (b"", b"0000")
