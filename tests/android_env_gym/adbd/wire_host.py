"""A host that speaks ADB packet by packet, for what no real client can be made to do, such as not to acknowledge."""

from __future__ import annotations

import socket
import struct
from typing import Self

from android_env_gym.phone.adbd.wire import (
    CLSE,
    CNXN,
    MAX_PAYLOAD,
    OKAY,
    OPEN,
    VERSION,
    WRTE,
    Packet,
    encode,
    read_packet,
)


class RawHost:
    """One TCP connection to a served phone; every read fails the test after `timeout` seconds."""

    def __init__(self, port: int, *, max_payload: int = MAX_PAYLOAD, timeout: float = 10.0) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.send(Packet(CNXN, VERSION, max_payload, b"host::features=shell_v2\0"))
        self.banner = self.read()
        self._streams = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.link.close()

    def send(self, packet: Packet) -> None:
        self.link.sendall(encode(packet))

    def read(self) -> Packet:
        return read_packet(self._exactly)

    def hung_up(self) -> bool:
        """Wait for the phone to hang up; a packet before that fails."""
        try:
            return self.link.recv(1) == b""
        except ConnectionError:
            return True

    def silent_for(self, seconds: float) -> bool:
        """Return whether nothing arrives for that long."""
        before = self.link.gettimeout()
        self.link.settimeout(seconds)
        try:
            self.link.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.link.settimeout(before)
        return False

    def open(self, service: str) -> tuple[int, int]:
        """Open a stream; return its number here and on the phone."""
        self._streams += 1
        mine = self._streams * 10
        self.send(Packet(OPEN, mine, 0, service.encode() + b"\0"))
        reply = self.read()
        assert (reply.command, reply.arg1) == (OKAY, mine), reply
        return mine, reply.arg0

    def write(self, mine: int, theirs: int, data: bytes) -> None:
        self.send(Packet(WRTE, mine, theirs, data))

    def read_to_end(self, mine: int, theirs: int) -> bytes:
        """Acknowledge what one stream sends until it is closed; other streams must be silent."""
        data = b""
        while (packet := self.read()).command != CLSE:
            if packet.command == WRTE:
                assert (packet.arg0, packet.arg1) == (theirs, mine), packet
                data += packet.data
                self.send(Packet(OKAY, mine, theirs))
        assert (packet.arg0, packet.arg1) == (theirs, mine), packet
        return data

    def ask(self, service: str) -> bytes:
        """Return everything a service sends."""
        return self.read_to_end(*self.open(service))

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            piece = self.link.recv(n - len(data))
            if not piece:
                raise ConnectionError("the phone has hung up")
            data += piece
        return data


def shell_packet(kind: int, data: bytes = b"") -> bytes:
    """Frame data as `shell,v2` does: kind 0 is stdin, 4 its end."""
    return struct.pack("<BI", kind, len(data)) + data


def unframed(data: bytes) -> tuple[bytes, bytes, int]:
    """Return stdout, stderr and exit status of a whole `shell,v2` reply."""
    streams = {1: b"", 2: b""}
    while data:
        kind, length = struct.unpack_from("<BI", data)
        content, data = data[5 : 5 + length], data[5 + length :]
        if kind == 3:
            assert not data, "something follows the exit status"
            return streams[1], streams[2], content[0]
        streams[kind] += content
    raise AssertionError("no exit status came")
