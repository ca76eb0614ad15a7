"""Every fault that can be ordered, as it looks on the wire and to the genuine `adb`."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time

import cv2
import numpy as np
import pytest
from wire_host import RawHost

from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.adbd.faults import KINDS, Faults
from android_env_gym.phone.adbd.pictures import is_picture, spoil
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer

OPEN_SETTINGS = "exec:am start -n com.android.settings/.Settings"


def _decoded(png: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


# --- the switchboard ---


def test_a_fault_strikes_as_often_as_ordered_and_only_what_matches() -> None:
    faults = Faults()
    faults.inject("stall", times=2, match="tap", seconds=3)
    faults.inject("black_frame")
    assert faults.take("exec:input swipe", pictures=False) is None
    assert faults.take("exec:input tap 1 2", pictures=False).seconds == 3
    assert faults.take("exec:input tap 1 2", pictures=True).kind == "black_frame"
    assert faults.waiting == 1
    assert faults.take("tap", pictures=False).kind == "stall"
    assert faults.take("tap", pictures=False) is None
    assert faults.struck == {"stall": 2, "black_frame": 1}
    faults.inject("drop")
    faults.clear()
    assert faults.take("tap", pictures=False) is None


def test_a_wrong_order_is_refused() -> None:
    faults = Faults()
    with pytest.raises(UnknownNameError, match="'drop'"):
        faults.inject("dropp")
    with pytest.raises(UnknownNameError, match="moment"):
        faults.inject("drop", moment="during")
    with pytest.raises(ValueError, match="times=0"):
        faults.inject("drop", times=0)
    with pytest.raises(ValueError, match="seconds=-1"):
        faults.inject("stall", seconds=-1)
    assert faults.waiting == 0


def test_switchboard_loses_nothing_between_threads() -> None:
    faults = Faults()
    faults.inject("drop", times=500)
    taken: list[int] = []

    def take() -> None:
        taken.append(sum(faults.take("x", pictures=False) is not None for _ in range(200)))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 500 == faults.struck["drop"]


# --- the connection ---


def test_drop_before_the_request_leaves_the_phone_as_it_was(adb_server: AdbServer, served: ServedPhone) -> None:
    before = served.package()
    adb_server.faults.inject("drop", match="am start")
    with RawHost(adb_server.port) as host, pytest.raises(ConnectionError):
        host.ask(OPEN_SETTINGS)
    assert served.package() == before
    with RawHost(adb_server.port) as host:
        host.ask(OPEN_SETTINGS)
    assert served.package() == "com.android.settings"


def test_drop_after_the_request_hides_that_it_was_done(adb_server: AdbServer, served: ServedPhone) -> None:
    adb_server.faults.inject("drop", match="am start", moment="after")
    with RawHost(adb_server.port) as host, pytest.raises(ConnectionError):
        host.ask(OPEN_SETTINGS)
    deadline = time.monotonic() + 5
    while served.package() != "com.android.settings":  # the command's first line may leave before its work is done
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_drop_ends_every_stream_of_the_connection_and_no_other(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host, RawHost(adb_server.port) as other:
        host.open("exec:sh")
        adb_server.faults.inject("drop", match="echo now")
        with pytest.raises(ConnectionError):
            host.ask("exec:echo now")
        assert other.ask("exec:echo now") == b"now\n"


def test_stall_delays_one_request_and_nobody_else(adb_server: AdbServer) -> None:
    adb_server.faults.inject("stall", seconds=0.6, match="slow")
    with RawHost(adb_server.port) as host, RawHost(adb_server.port) as other:
        begun = time.monotonic()
        slow = threading.Thread(target=lambda: answers.append(host.ask("exec:echo slow")))
        answers: list[bytes] = []
        slow.start()
        assert other.ask("exec:echo quick") == b"quick\n"
        assert time.monotonic() - begun < 0.5
        slow.join()
        assert answers == [b"slow\n"]
        assert time.monotonic() - begun >= 0.6


@pytest.mark.parametrize("kind", ["stall", "die", "offline"])
def test_stop_does_not_wait_for_a_fault(served: ServedPhone, no_adbd_threads: None, kind: str) -> None:
    server = AdbServer(served).start()
    server.faults.inject(kind, seconds=60, match="cat")
    host = RawHost(server.port)
    host.link.settimeout(1)
    with pytest.raises(OSError):
        host.ask("exec:cat")
    if kind == "offline":
        socket.create_connection(("127.0.0.1", server.port)).close()
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 2
    host.link.close()


def test_a_line_in_a_running_shell_is_a_request(adb_server: AdbServer, served: ServedPhone) -> None:
    before = served.package()
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("exec:sh")
        adb_server.faults.inject("drop", match="am start")
        host.write(mine, theirs, b"echo hello\n")
        assert {host.read().command, host.read().command} == {0x59414B4F, 0x45545257}  # OKAY and WRTE
        host.write(mine, theirs, b"am start -n com.android.settings/.Settings\n")
        with pytest.raises(ConnectionError):
            assert host.read().command == 0x59414B4F  # perhaps the line is acknowledged before the fault strikes
            host.read()
    assert served.package() == before


@pytest.mark.parametrize("kind", ["drop", "die", "offline", "reboot"])
def test_adb_sees_the_phone_go_and_come_back(adb_host, serial: str, adb_server: AdbServer, kind: str) -> None:
    adb_server.faults.inject(kind, seconds=1.0, match="echo")
    done = adb_host.run("-s", serial, "shell", "echo hello")
    assert done.returncode != 0 and done.stdout == b""
    if kind != "drop":
        adb_host.wait_for_state(serial, "offline", 1.0)
        refused = adb_host.run("-s", serial, "shell", "echo hello")
        assert b"device offline" in refused.stderr
    adb_host.wait_for_state(serial, "device")
    assert adb_host.run("-s", serial, "shell", "echo hello").stdout == b"hello\n"
    assert adb_server.faults.struck == {kind: 1}


def test_die_refuses_connections_and_keeps_the_port(adb_server: AdbServer, served: ServedPhone) -> None:
    with RawHost(adb_server.port) as host:
        begun = time.monotonic()
        adb_server.die(0.5)
        assert host.hung_up()
        with pytest.raises(ConnectionError):
            RawHost(adb_server.port)
        with AdbServer(served) as other:
            assert other.port != adb_server.port
    while True:
        try:
            RawHost(adb_server.port).link.close()
            break
        except ConnectionError:
            time.sleep(0.01)
    assert 0.5 <= time.monotonic() - begun < 3


def test_offline_takes_connections_without_a_word(adb_server: AdbServer) -> None:
    adb_server.go_offline(0.5)
    begun = time.monotonic()
    with RawHost(adb_server.port) as host:
        assert 0.3 < time.monotonic() - begun < 3
        assert host.ask("exec:echo back") == b"back\n"


def test_reboot_restarts_the_phone(adb_server: AdbServer, served: ServedPhone) -> None:
    served.launch("com.android.settings")
    served.uiautomator_running = True
    adb_server.faults.inject("reboot", seconds=0.0, match="screencap")
    with RawHost(adb_server.port) as host, pytest.raises(ConnectionError):
        host.ask("exec:screencap -p")
    deadline = time.monotonic() + 5
    while served.uiautomator_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "launcher" in served.package()


# --- pictures ---


@pytest.mark.parametrize("service", ["exec:screencap -p", "shell:screencap -p"])
def test_a_cut_png_is_the_first_half(adb_server: AdbServer, served: ServedPhone, service: str) -> None:
    adb_server.faults.inject("truncate_png")
    whole = served.png()
    with RawHost(adb_server.port) as host:
        assert host.ask(service) == whole[: len(whole) // 2]
        assert host.ask(service) == whole


@pytest.mark.parametrize("kind", ["truncate_png", "black_frame"])
def test_a_picture_in_a_running_shell_is_spoiled_and_the_rest_is_kept(
    adb_server: AdbServer, served: ServedPhone, kind: str
) -> None:
    adb_server.faults.inject(kind, match="screencap")
    whole = served.png()
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("exec:sh")
        replies = []
        for number in range(2):
            host.write(mine, theirs, f"screencap -p; echo END{number}\n".encode())
            data = b""
            while not data.endswith(f"END{number}\n".encode()):
                packet = host.read()
                if packet.command == 0x45545257:
                    data += packet.data
                    host.send(type(packet)(0x59414B4F, mine, theirs))
            replies.append(data[:-5])
    spoiled, good = replies
    assert good == whole
    if kind == "truncate_png":
        assert spoiled == whole[: len(whole) // 2]
    else:
        black = _decoded(spoiled)
        assert black is not None and black.shape == served.frame().shape and not black.any()


def test_raw_screens_are_spoiled_too(adb_server: AdbServer, served: ServedPhone) -> None:
    width, height = served.size
    with RawHost(adb_server.port) as host:
        good = {service: host.ask(service) for service in ("exec:screencap", "framebuffer:")}
        for service, header in (("exec:screencap", 16), ("framebuffer:", 52)):
            assert len(good[service]) == header + 4 * width * height
            adb_server.faults.inject("black_frame")
            black = host.ask(service)
            assert black[:header] == good[service][:header]
            assert set(black[header::4] + black[header + 1 :: 4] + black[header + 2 :: 4]) == {0}
            adb_server.faults.inject("truncate_png")
            assert host.ask(service) == good[service][: len(good[service]) // 2]
            assert host.ask(service) == good[service]


def test_a_pulled_picture_is_spoiled_too(adb_host, serial: str, adb_server: AdbServer, tmp_path) -> None:
    adb_host.run("-s", serial, "shell", "screencap -p /sdcard/s.png")
    adb_server.faults.inject("black_frame", match="sync:RECV /sdcard/s.png")
    adb_host.run("-s", serial, "pull", "/sdcard/s.png", str(tmp_path / "black.png"))
    adb_host.run("-s", serial, "pull", "/sdcard/s.png", str(tmp_path / "good.png"))
    assert not _decoded((tmp_path / "black.png").read_bytes()).any()
    assert _decoded((tmp_path / "good.png").read_bytes()).any()


def test_the_uiautomator_server_has_faults_too(adb_server: AdbServer, served: ServedPhone) -> None:
    served.uiautomator_running = True
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("tcp:9008")
        assert _picture(_call(host, mine, theirs, "takeScreenshot", [1, 80])).any()
        adb_server.faults.inject("black_frame", match="takeScreenshot")
        black = _picture(_call(host, mine, theirs, "takeScreenshot", [1, 80]))
        assert black.shape == served.frame().shape and not black.any()
        adb_server.faults.inject("drop", match='"click"')
        adb_server.faults.inject("truncate_png")
        assert b"displayWidth" in _call(host, mine, theirs, "deviceInfo", [])
        cut = _call(host, mine, theirs, "takeScreenshot", [1, 80])
        assert cut.startswith(b"HTTP/1.1 200")
        promised = int(cut.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        assert len(cut.partition(b"\r\n\r\n")[2]) < promised
        mine, theirs = host.open("tcp:9008")
        before = served.phone.state
        with pytest.raises(ConnectionError):
            _call(host, mine, theirs, "click", [100, 600])
        assert served.phone.state is before


def _call(host: RawHost, mine: int, theirs: int, method: str, params: list) -> bytes:
    """Send a request as http.client does, headers and body apart; return the answer as far as it comes."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = b"POST /jsonrpc/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    host.write(mine, theirs, head)
    assert host.read().command == 0x59414B4F
    host.write(mine, theirs, body)
    answer = b""
    while True:
        packet = host.read()
        if packet.command == 0x45534C43:  # CLSE
            return answer
        if packet.command == 0x45545257:  # WRTE
            answer += packet.data
            host.send(type(packet)(0x59414B4F, mine, theirs))
            head, _, content = answer.partition(b"\r\n\r\n")
            if len(content) == int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]):
                return answer


def _picture(answer: bytes) -> np.ndarray:
    picture = _decoded(base64.b64decode(json.loads(answer.partition(b"\r\n\r\n")[2])["result"]))
    assert picture is not None
    return picture


def test_only_pictures_are_taken_for_pictures() -> None:
    assert not is_picture(b"")
    assert not is_picture(b"total 4\n" * 1000)
    assert not is_picture(struct.pack("<4I", 10, 10, 1, 0) + bytes(399))
    assert is_picture(struct.pack("<4I", 10, 10, 1, 0) + bytes(400))
    assert not is_picture(b"HTTP/1.1 200 OK\r\n\r\npong")
    png = cv2.imencode(".png", np.full((2, 3, 3), 255, np.uint8))[1].tobytes()
    assert is_picture(b"[Warning] two displays\n" + png)
    black = spoil("black_frame", b"[Warning] two displays\n" + png + b"tail")
    assert black.startswith(b"[Warning] two displays\n\x89PNG") and black.endswith(b"tail")
    assert not _decoded(black[23:-4]).any()


def test_without_an_order_nothing_happens(adb_server: AdbServer, served: ServedPhone) -> None:
    assert set(KINDS) == {"drop", "stall", "truncate_png", "black_frame", "offline", "die", "reboot"}
    with RawHost(adb_server.port) as host:
        assert host.ask("exec:screencap -p") == served.png()
    assert not adb_server.faults.struck
