"""The packets themselves: multiplexing, flow control, refusal, and that nobody waits for a client that is stuck."""

from __future__ import annotations

import struct
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_host import RawHost, shell_packet, unframed

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.adbd.wire import (
    CLSE,
    CNXN,
    OKAY,
    OPEN,
    VERSION,
    WRTE,
    Packet,
    ProtocolError,
    encode,
    read_packet,
)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def exactly(self, n: int) -> bytes:
        taken, self.data = self.data[:n], self.data[n:]
        assert len(taken) == n
        return taken


def test_a_packet_is_what_the_protocol_says() -> None:
    data = encode(Packet(OPEN, 7, 0, b"shell:ls\0"))
    assert data[:4] == b"OPEN"
    assert struct.unpack("<6I", data[:24])[1:] == (
        7,
        0,
        9,
        sum(b"shell:ls\0"),
        0xFFFFFFFF ^ int.from_bytes(b"OPEN", "little"),
    )
    assert data[24:] == b"shell:ls\0"


@given(
    st.sampled_from([CNXN, OPEN, OKAY, WRTE, CLSE]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
)
def test_a_packet_comes_back_from_its_bytes(command: int, arg0: int, arg1: int, data: bytes) -> None:
    packet = Packet(command, arg0, arg1, data)
    assert read_packet(_Bytes(encode(packet)).exactly) == packet


@pytest.mark.parametrize(
    "header",
    [b"\0" * 24, b"GET / HTTP/1.1\r\nHost: x\r\n", struct.pack("<6I", WRTE, 1, 1, 2**31, 0, WRTE ^ 0xFFFFFFFF)],
)
def test_what_is_no_packet_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError, match="not an ADB packet"):
        read_packet(_Bytes(header[:24]).exactly)


def test_the_phone_says_what_it_is(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host:
        assert (host.banner.command, host.banner.arg0, host.banner.arg1) == (CNXN, VERSION, 1 << 20)
        assert host.banner.data.startswith(b"device::ro.product.name=")
        assert host.banner.data.endswith(b"features=shell_v2,cmd")


@pytest.mark.parametrize(
    "service", ["tcp:9008", "tcp:5555", "localabstract:scrcpy", "nonsense", "", "shellfish:", "dev:/dev/null"]
)
def test_a_service_that_is_not_there_is_refused(adb_server: AdbServer, service: str) -> None:
    with RawHost(adb_server.port) as host:
        host.send(Packet(OPEN, 33, 0, service.encode() + b"\0"))
        assert host.read() == Packet(CLSE, 0, 33)
        assert host.ask("exec:echo still here") == b"still here\n"


def test_one_write_at_a_time(adb_server: AdbServer, served: ServedPhone) -> None:
    served.files.write("/sdcard/ten", bytes(range(256)) * 40)
    with RawHost(adb_server.port, max_payload=4096) as host:
        mine, theirs = host.open("exec:cat /sdcard/ten")
        first = host.read()
        assert (first.command, len(first.data)) == (WRTE, 4096)
        assert host.silent_for(0.2)
        host.send(Packet(OKAY, mine, theirs))
        assert first.data + host.read_to_end(mine, theirs) == bytes(range(256)) * 40


def test_a_stream_that_is_not_acknowledged_holds_up_no_other(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port, max_payload=4096) as host:
        stuck = [host.open("exec:screencap") for _ in range(3)]
        for _ in stuck:
            assert host.read().command == WRTE
        for turn in range(5):
            assert host.ask(f"exec:echo {turn}") == f"{turn}\n".encode()


def test_a_host_that_never_reads_holds_up_no_other(adb_server: AdbServer, served: ServedPhone) -> None:
    served.files.write("/sdcard/big", bytes(64 << 20))
    stuck = RawHost(adb_server.port)
    for number in range(20):  # each answer fills a packet; together more than the socket's buffers take
        stuck.send(Packet(OPEN, 100 + number, 0, b"exec:cat /sdcard/big\0"))
    with RawHost(adb_server.port) as host:
        assert host.ask("exec:echo through") == b"through\n"
    begun = time.monotonic()
    adb_server.stop()
    assert time.monotonic() - begun < 5
    stuck.link.close()


def test_stdin_comes_through_however_it_is_cut(adb_server: AdbServer) -> None:
    sent = shell_packet(0, b"first ") + shell_packet(5, b"24x80,0x0\0") + shell_packet(0, b"second") + shell_packet(4)
    for size in (1, 4, 7, len(sent)):
        with RawHost(adb_server.port) as host:
            mine, theirs = host.open("shell,v2,raw:cat")
            received = b""
            for start in range(0, len(sent), size):
                host.write(mine, theirs, sent[start : start + size])
                while (packet := host.read()).command == WRTE:  # `cat` answers while we still write
                    received += packet.data
                    host.send(Packet(OKAY, mine, theirs))
                assert packet == Packet(OKAY, theirs, mine)
            received += host.read_to_end(mine, theirs)
            assert unframed(received) == (b"first second", b"", 0)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("true", (b"", b"", 0)),
        ("echo out", (b"out\n", b"", 0)),
        ("exit 7", (b"", b"", 7)),
    ],
)
def test_shell_v2_reports_output_and_status(
    adb_server: AdbServer, command: str, expected: tuple[bytes, bytes, int]
) -> None:
    with RawHost(adb_server.port) as host:
        assert unframed(host.ask(f"shell,v2,TERM=dumb,raw:{command}")) == expected


def test_an_unknown_command_is_127_on_stderr(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as host:
        out, err, status = unframed(host.ask("shell,v2,raw:frobnicate"))
        assert (out, status) == (b"", 127)
        assert b"frobnicate" in err


def test_shell_v1_merges_the_streams_and_keeps_bytes(adb_server: AdbServer, served: ServedPhone) -> None:
    served.files.write("/sdcard/raw", b"\r\n\n\0\xff\x1b" * 10)
    with RawHost(adb_server.port) as host:
        assert host.ask("shell:cat /sdcard/raw") == b"\r\n\n\0\xff\x1b" * 10
        assert b"frobnicate" in host.ask("shell:frobnicate")


def test_a_command_ends_with_its_client(adb_server: AdbServer, served: ServedPhone) -> None:
    with RawHost(adb_server.port) as host:
        mine, theirs = host.open("shell:logcat")
        assert host.read().command == WRTE
        host.send(Packet(CLSE, mine, theirs))
        assert host.read() == Packet(CLSE, theirs, mine)  # some clients wait for the answer
        assert host.ask("shell:echo after") == b"after\n"
    # the fixture checks that the thread of logcat has ended


def test_garbage_ends_only_its_own_connection(adb_server: AdbServer) -> None:
    with RawHost(adb_server.port) as good, RawHost(adb_server.port) as bad:
        bad.link.sendall(b"\xde\xad\xbe\xef" * 16)
        assert bad.hung_up()
        assert good.ask("exec:echo fine") == b"fine\n"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.binary(max_size=40_000), min_size=1, max_size=5), size=st.sampled_from([512, 4096, 1 << 20]))
def test_streams_side_by_side_do_not_mix(adb_server: AdbServer, texts: list[bytes], size: int) -> None:
    with RawHost(adb_server.port, max_payload=size) as host:
        streams = {host.open("shell,v2,raw:cat"): text for text in texts}
        for (mine, theirs), text in streams.items():
            host.write(mine, theirs, shell_packet(0, text) + shell_packet(4))
        got = {mine: b"" for mine, _ in streams}
        running = set(got)
        while running:
            packet = host.read()
            if packet.command == WRTE:
                assert len(packet.data) <= size
                got[packet.arg1] += packet.data
                host.send(Packet(OKAY, packet.arg1, packet.arg0))
            elif packet.command == CLSE:
                running.discard(packet.arg1)
        assert {mine: unframed(data) for mine, data in got.items()} == {
            mine: (text, b"", 0) for (mine, _), text in streams.items()
        }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([OPEN, OKAY, WRTE, CLSE, CNXN]),
            st.integers(0, 4),
            st.integers(0, 4),
            st.binary(max_size=40),
        ),
        max_size=12,
    )
)
def test_no_order_of_packets_harms_the_phone(adb_server: AdbServer, packets: list[tuple[int, int, int, bytes]]) -> None:
    with RawHost(adb_server.port) as host:
        for packet in packets:
            try:
                host.send(Packet(*packet))
            except ConnectionError:
                break
    with RawHost(adb_server.port) as host:
        assert host.ask("exec:echo alive") == b"alive\n"


def test_stop_leaves_no_thread_and_no_socket(served: ServedPhone) -> None:
    before = set(threading.enumerate())
    server = AdbServer(served).start()
    hosts = [RawHost(server.port) for _ in range(3)]
    for host in hosts:
        for service in ("sync:", "shell,v2,raw:cat", "exec:sh", "shell:logcat"):
            host.open(service)
    begun = time.monotonic()
    server.stop()
    server.stop()
    assert time.monotonic() - begun < 5
    deadline = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    with pytest.raises(OSError):
        RawHost(server.port, timeout=1)
    for host in hosts:
        assert host.link.recv(1 << 16) is not None
        host.link.close()
    assert served.reboot_listeners == []
    AdbServer(served, port=server.port).start().stop()  # the port is free again


def test_a_server_starts_once(served: ServedPhone) -> None:
    server = AdbServer(served).start()
    with pytest.raises(RuntimeError, match="make a new one"):
        server.start()
    server.stop()
    never = AdbServer(served)
    never.stop()


def test_a_port_in_use_is_an_error(adb_server: AdbServer, served: ServedPhone) -> None:
    with pytest.raises(OSError):
        AdbServer(served, port=adb_server.port).start()
