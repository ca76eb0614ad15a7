"""What a host cannot do to the phone: fill its memory, start threads without end, or harm it with odd bytes."""

from __future__ import annotations

import contextlib
import struct
import threading
import time

import pytest
from wire_host import RawHost, shell_packet, unframed

from android_env_gym.phone.adbd import server as server_module
from android_env_gym.phone.adbd.budget import Budget
from android_env_gym.phone.adbd.commands.base import BytesInput, CommandError
from android_env_gym.phone.adbd.process import PIPE_BYTES, FeedInput, Process
from android_env_gym.phone.adbd.served import MAX_CHILDREN, ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.adbd.shell import Interpreter, run
from android_env_gym.phone.adbd.wire import CLSE, MAX_STREAMS, OKAY, OPEN, READ_AHEAD_BYTES, WRTE, Packet

MIB = 1 << 20


def _taken(host: RawHost, mine: int, theirs: int, piece: bytes, most: int) -> int:
    """Write pieces without waiting for OKAY; return how many bytes the phone took before it hung up."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            host.write(mine, theirs, piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize("service", ["shell,v2,raw:logcat", "exec:logcat", "sync:"])
def test_a_host_that_writes_without_end_is_hung_up_on(adb_server: AdbServer, service: str) -> None:
    piece = shell_packet(0, bytes(MIB - 5)) if "v2" in service else b"STAT" + bytes(MIB - 4)
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open(service)
        assert _taken(host, mine, theirs, piece, 64 * MIB) < 32 * MIB  # much of it in the socket's buffers
    with RawHost(adb_server.port) as host:
        assert host.ask("exec:echo alive") == b"alive\n"


def test_a_command_that_does_not_read_holds_up_a_patient_host(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("shell,v2,raw:logcat")
        assert host.read().command == WRTE  # not acknowledged, so nothing else but OKAY can come
        acknowledged = 0
        host.link.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while acknowledged < 64:
                host.write(mine, theirs, shell_packet(0, bytes(MIB // 4)))
                assert host.read() == Packet(OKAY, theirs, mine)
                acknowledged += 1
        assert acknowledged * MIB // 4 <= READ_AHEAD_BYTES + MIB


def test_a_shell_packet_that_is_too_long_ends_its_stream(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("shell,v2,raw:cat")
        host.write(mine, theirs, struct.pack("<BI", 0, 2**32 - 1))
        assert unframed(host.read_to_end(mine, theirs))[2] == 137


def test_output_that_is_not_acknowledged_stops_the_command() -> None:
    written = 0

    def body(stdin, emit, stopped) -> int:
        nonlocal written
        while written < 64 * MIB and not stopped.is_set():
            emit(1, bytes(MIB // 8))
            written += MIB // 8
        return 0

    process = Process(body, Budget(MIB))
    try:
        output = process.output
        assert next(output) == (1, bytes(MIB // 8))
        time.sleep(0.2)
        assert written <= 2 * MIB
        assert sum(len(data) for _, data in output) == 64 * MIB - MIB // 8
        assert process.exit == 0
    finally:
        process.kill()
        process.join(5)


def test_killing_a_command_that_waits_for_its_client_ends_it() -> None:
    process = Process(lambda stdin, emit, stopped: [emit(1, bytes(MIB)) for _ in range(9)] and 0, Budget(MIB))
    process.kill()
    process.join(5)
    assert list(process.output) == []
    assert "device-shell" not in {thread.name for thread in threading.enumerate()}


def test_stdin_takes_its_memory_from_the_phone_and_gives_it_back() -> None:
    memory = Budget(3 * PIPE_BYTES)
    stdin = FeedInput(memory)
    stdin.write(b"a" * 1000)
    assert memory.left == 3 * PIPE_BYTES - 1000
    assert stdin.read_exactly(400) == b"a" * 400
    assert memory.left == 3 * PIPE_BYTES - 600
    stdin.close()
    assert memory.left == 3 * PIPE_BYTES
    stdin.write(b"too late")
    assert (stdin.read(), memory.left) == (b"", 3 * PIPE_BYTES)


def test_a_reader_of_more_than_the_memory_is_told(served: ServedPhone) -> None:
    stdin = FeedInput(Budget(2 * PIPE_BYTES))
    writer = threading.Thread(target=lambda: [stdin.write(bytes(PIPE_BYTES)) for _ in range(3)])
    writer.start()
    with pytest.raises(CommandError, match="cannot allocate memory"):
        stdin.read()
    writer.join()


def test_streams_beyond_the_limit_are_refused_and_places_come_back(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host:
        streams = [host.open("sync:") for _ in range(MAX_STREAMS)]
        for number in range(3):
            host.send(Packet(OPEN, 7000 + number, 0, b"exec:echo no\0"))
            assert host.read() == Packet(CLSE, 0, 7000 + number)
        for mine, theirs in streams:
            host.send(Packet(CLSE, mine, theirs))
            assert host.read() == Packet(CLSE, theirs, mine)
        _wait_until(lambda: not [name for name in _thread_names() if name.startswith("adbd-stream")])
        assert host.ask("exec:echo yes") == b"yes\n"


def test_a_flood_of_streams_makes_few_threads_and_stop_ends_them(served: ServedPhone, no_adbd_threads: None) -> None:
    server = AdbServer(served).start()
    hosts = [RawHost(server.port) for _ in range(3)]
    before = threading.active_count()
    for host in hosts:
        for number in range(200):
            host.send(Packet(OPEN, 1 + number, 0, b"shell:cat\0"))
    time.sleep(0.5)
    assert threading.active_count() - before <= 3 * server_module.MAX_STREAMS
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 5
    for host in hosts:
        host.link.close()


def test_hosts_beyond_the_limit_are_hung_up_on(
    served: ServedPhone, no_adbd_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    with AdbServer(served) as server:
        first, second = RawHost(server.port), RawHost(server.port)
        with pytest.raises(ConnectionError):
            RawHost(server.port)
        first.link.close()
        _wait_until(lambda: _thread_names().count("adbd-connection") < 2)
        with RawHost(server.port) as third:
            assert third.ask("exec:echo in") == b"in\n"
        second.link.close()


def test_a_pipeline_has_a_limited_number_of_parts(served: ServedPhone) -> None:
    fine = run(served, "echo a" + " | cat" * 20)
    assert (fine.stdout, fine.exit) == (b"a\n", 0)
    refused = run(served, " | ".join(["cat"] * (MAX_CHILDREN + 2)))
    assert (refused.stdout, refused.exit) == (b"", 1)
    assert b"can't fork" in refused.stderr
    _wait_until(lambda: served.children.left == MAX_CHILDREN)
    assert run(served, "echo b | cat").stdout == b"b\n"


def test_a_pipe_is_bounded_and_its_writer_ends_with_its_reader(served: ServedPhone) -> None:
    served.files.write("/sdcard/big", b"line\n" * (4 * MIB // 5))
    free = served.memory.left
    assert run(served, "cat /sdcard/big /sdcard/big | head -n 1").stdout == b"line\n"
    assert run(served, "cat /sdcard/big /sdcard/big | wc -l").stdout.strip() == str(2 * (4 * MIB // 5)).encode()
    assert served.memory.left == free


@pytest.mark.parametrize(
    "service", [b"shell,v2,raw:echo \xff\xfe", b"shell,v2,raw:\xff\xfe", b"shell,v2,raw:ls '\xc3' | grep '\xff'"]
)
def test_odd_bytes_in_a_command_are_text_like_any_other(
    adb_server: AdbServer, service: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with RawHost(adb_server.port) as host:
        host.send(Packet(OPEN, 5, 0, service + b"\0"))
        accepted = host.read()
        assert accepted.command == OKAY
        _, err, status = unframed(host.read_to_end(5, accepted.arg0))
        assert status == (0 if b"echo" in service else 127 if b"ls" not in service else 1)
        assert b"Exception" not in err
        for odd in (b"\xff\xfe", b"tcp:\xff", b"sh\xffell:ls"):
            host.send(Packet(OPEN, 6, 0, odd + b"\0"))
            assert host.read() == Packet(CLSE, 0, 6)
        assert host.ask("exec:echo alive") == b"alive\n"
    assert failures == []


def test_a_file_name_of_odd_bytes_can_be_pushed_and_listed(adb_server: AdbServer) -> None:
    target = b"/sdcard/Music/\xff,33188"
    message = b"SEND" + struct.pack("<I", len(target)) + target + b"DATA" + struct.pack("<I", 1) + b"x"
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("sync:")
        host.write(mine, theirs, message + b"DONE" + bytes(4) + b"QUIT" + bytes(4))
        assert host.read_to_end(mine, theirs).startswith(b"OKAY")
        assert host.ask("exec:ls /sdcard/Music") == "\ufffd\n".encode()


def test_no_command_writes_while_it_holds_the_phone(served: ServedPhone) -> None:
    """A write may wait for a slow client, and then everybody else would wait too."""
    lines = ("dumpsys", "content query --uri content://settings/system", "pm uninstall a.b", "screencap", "logcat -d")
    for line in (*lines, "uiautomator dump /dev/tty", "wm size", "am start -W -a android.settings.SETTINGS"):
        written: list[bool] = []

        def emit(fd: int, data: bytes, written: list[bool] = written) -> None:
            other = threading.Thread(target=lambda: written.append(_free(served.lock)))
            other.start()
            other.join()

        Interpreter(served).run_line(line, BytesInput(), emit)
        assert written and all(written), line


def _free(lock: threading.RLock) -> bool:
    if not lock.acquire(timeout=0.05):
        return False
    lock.release()
    return True


def _thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
