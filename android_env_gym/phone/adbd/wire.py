"""ADB's wire format, device side: packets, and many streams over one socket. Used by `server.AdbServer`.

A packet is six little-endian uint32 (command, arg0, arg1, length, checksum, command ^ 0xffffffff) and a payload.

Invariants: per stream at most one WRTE is unacknowledged in each direction; the thread that reads the socket never
waits for a service, so a stuck client holds up its own stream only; whatever ends a connection (peer, fault, `close`)
wakes every thread that waits on one of its streams; what a host can make this side hold is bounded by `MAX_STREAMS`
streams with at most `READ_AHEAD_BYTES` and one packet each.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

import msgspec

CNXN, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION = 0x01000001
VERSION_WITH_CHECKSUM = 0x01000000
MAX_PAYLOAD = 1 << 20
READ_AHEAD_BYTES = 1 << 20
MAX_STREAMS = 128  # per connection, those whose services still run included; `adb` shares one among all its clients
_HEADER = struct.Struct("<6I")
_MASK = 0xFFFFFFFF


class ProtocolError(ConnectionError):
    """The peer sent what the ADB protocol does not allow; the connection is of no further use."""


class StreamClosedError(ConnectionError):
    """The peer, or the loss of the connection, has closed the stream."""


class Packet(msgspec.Struct, frozen=True):
    """One packet; the meaning of `arg0` and `arg1` depends on `command`."""

    command: int
    arg0: int
    arg1: int
    data: bytes = b""


def encode(packet: Packet, *, checksum: bool = True) -> bytes:
    """Return the bytes of a packet; without `checksum` that field is 0, as both sides may do from VERSION on."""
    total = sum(packet.data) & _MASK if checksum else 0
    head = _HEADER.pack(packet.command, packet.arg0, packet.arg1, len(packet.data), total, packet.command ^ _MASK)
    return head + packet.data


def read_packet(read_exact: Callable[[int], bytes]) -> Packet:
    """Read one packet with `read_exact(n)`, which returns n bytes or raises.

    Raises:
        ProtocolError: The header is not one of ADB, or announces more than MAX_PAYLOAD bytes.
    """
    command, arg0, arg1, length, _, magic = _HEADER.unpack(read_exact(_HEADER.size))
    if magic != command ^ _MASK or length > MAX_PAYLOAD:
        raise ProtocolError(f"not an ADB packet: command {command:#010x}, magic {magic:#010x}, {length} bytes")
    return Packet(command, arg0, arg1, read_exact(length) if length else b"")


class Stream:
    """One multiplexed stream, a `Duplex`; made by `Connection` for each OPEN and handed to a service's thread.

    Attributes:
        service: What the host asked to open, for example "shell,v2,raw:ls".
        before_reply: Called once, in the service's thread, before the first byte or the end of a reply leaves. Faults
            use it.
    """

    def __init__(self, connection: Connection, number: int, peer: int, service: str) -> None:
        self.service = service
        self.before_reply: Callable[[], None] | None = None
        self._connection = connection
        self._number = number
        self._peer = peer
        self._changed = threading.Condition()
        self._inbox = bytearray()
        self._owes_okay = False
        self._may_write = True
        self._accepted = False
        self._ended = threading.Event()

    # --- for services ---

    @property
    def ended(self) -> bool:
        """Return whether the stream is closed, by either side."""
        return self._ended.is_set()

    @property
    def max_payload(self) -> int:
        """Return how many bytes one packet may carry."""
        return self._connection.max_payload

    def accept(self) -> None:
        """Tell the host that its OPEN succeeded."""
        self._accepted = True
        self._connection.send(Packet(OKAY, self._number, self._peer))

    def recv(self, n: int) -> bytes:
        """Return 1 to `n` bytes, waiting for the first; b"" once the stream has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self.ended)
            data = bytes(self._inbox[:n])
            del self._inbox[:n]
            acknowledge = self._owes_okay and len(self._inbox) < READ_AHEAD_BYTES
            self._owes_okay = self._owes_okay and not acknowledge
        if acknowledge:
            self._connection.send(Packet(OKAY, self._number, self._peer))
        return data

    def send(self, data: bytes) -> None:
        """Send all of `data`, in as many WRTE packets as it takes, each after the last was acknowledged.

        Raises:
            StreamClosedError: The stream has ended.
        """
        self._reply_begins()
        size = self.max_payload
        for start in range(0, len(data), size):
            self._wait_until_writable()
            self._connection.send(Packet(WRTE, self._number, self._peer, data[start : start + size]))

    def close(self) -> None:
        """Close the stream; before that, what was sent is acknowledged. May be called twice, from any thread."""
        if self.ended:
            return
        self._reply_begins()
        with self._changed:
            self._changed.wait_for(lambda: self._may_write or self.ended)
            if self.ended:
                return
            self._end()
        self._connection.forget(self._number)
        self._connection.send(Packet(CLSE, self._number if self._accepted else 0, self._peer))

    def wait(self, seconds: float) -> bool:
        """Wait, at most until the stream ends; return whether it has."""
        return self._ended.wait(seconds)

    def hang_up(self) -> None:
        """End the whole connection, all of its streams with it."""
        self._connection.close()

    def _reply_begins(self) -> None:
        strike, self.before_reply = self.before_reply, None
        if strike is not None:
            strike()

    def _wait_until_writable(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._may_write or self.ended)
            if self.ended:
                raise StreamClosedError(f"stream {self._number} ({self.service}) is closed")
            self._may_write = False

    # --- for the connection's reader ---

    def acknowledged(self) -> None:
        """Note that the host has taken the last WRTE."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def deliver(self, data: bytes) -> None:
        """Note what the host has written; acknowledge it at once while the service keeps up.

        Raises:
            ProtocolError: The host writes on and on without waiting for acknowledgement.
        """
        with self._changed:
            if len(self._inbox) >= READ_AHEAD_BYTES + MAX_PAYLOAD:
                raise ProtocolError(
                    f"{len(self._inbox)} bytes wait on stream {self._number}; its OKAY must be waited for"
                )
            self._inbox += data
            acknowledge = len(self._inbox) < READ_AHEAD_BYTES
            self._owes_okay = not acknowledge
            self._changed.notify_all()
        if acknowledge:
            self._connection.send(Packet(OKAY, self._number, self._peer))

    def end(self) -> None:
        """Note that the stream has ended: the host closed it, or the connection is gone."""
        with self._changed:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        self._changed.notify_all()


class Connection:
    """One host's connection. `run` reads it to its end; `close` ends it from any thread.

    Args:
        link: The connected socket; owned from here on.
        banner: What the phone says of itself in CNXN.
        silence: Seconds for which the host's CNXN stays unanswered: it sees the phone as offline.
        serve: Serves one stream: calls `accept`, answers, and returns; runs in a thread of its own.
        slots: One is taken for every stream while its service runs; shared among connections.
    """

    def __init__(
        self,
        link: socket.socket,
        banner: bytes,
        serve: Callable[[Stream], None],
        *,
        slots: threading.Semaphore,
        silence: float = 0.0,
    ) -> None:
        self.max_payload = MAX_PAYLOAD
        self._link = link
        self._banner = banner
        self._serve = serve
        self._silence = silence
        self._slots = slots
        self._checksum = True
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._threads: set[threading.Thread] = set()
        self._last_number = 0
        self.closed = threading.Event()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def run(self) -> None:
        """Serve the host until it hangs up, breaks the protocol or `close` is called; then wait for the services."""
        try:
            while True:
                self._handle(read_packet(self._read_exact))
        except OSError:  # the peer, or our own close(), has ended the connection: nobody is left to tell
            pass
        finally:
            self.close()
            for thread in self._copy_of_threads():
                thread.join()
            self._link.close()

    def close(self) -> None:
        """Hang up; every stream ends, and `run` returns when the services have noticed. May be called twice."""
        self.closed.set()
        with contextlib.suppress(OSError):  # it was already gone
            self._link.shutdown(socket.SHUT_RDWR)
        with self._lock:
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            stream.end()

    def send(self, packet: Packet) -> None:
        """Send one packet; on a lost connection, end it (the reader notices) and raise.

        Raises:
            StreamClosedError: The connection is gone.
        """
        try:
            with self._sending:
                self._link.sendall(encode(packet, checksum=self._checksum))
        except OSError as error:
            self.close()
            raise StreamClosedError(f"the connection to the host is gone: {error}") from error

    def forget(self, number: int) -> None:
        """Drop a stream that has been closed."""
        with self._lock:
            self._streams.pop(number, None)

    def _read_exact(self, n: int) -> bytes:
        data = bytearray(n)
        view = memoryview(data)
        while view:
            got = self._link.recv_into(view)
            if not got:
                raise ConnectionError("the host has hung up")
            view = view[got:]
        return bytes(data)

    def _handle(self, packet: Packet) -> None:
        if packet.command == CNXN:
            self._connect(packet)
        elif packet.command == OPEN:
            self._open(packet)
        elif packet.command in (OKAY, WRTE, CLSE):
            with self._lock:
                stream = self._streams.get(packet.arg1)
            if stream is not None:  # else it has just ended here and the host does not know yet
                self._forward(packet, stream)

    def _forward(self, packet: Packet, stream: Stream) -> None:
        if packet.command == OKAY:
            stream.acknowledged()
        elif packet.command == WRTE:
            stream.deliver(packet.data)
        else:
            self.forget(packet.arg1)
            stream.end()
            self.send(Packet(CLSE, packet.arg1, packet.arg0))  # some clients wait for it

    def _connect(self, packet: Packet) -> None:
        self._checksum = packet.arg0 <= VERSION_WITH_CHECKSUM
        self.max_payload = max(1, min(packet.arg1, MAX_PAYLOAD))
        self.closed.wait(self._silence)
        self.send(Packet(CNXN, VERSION, MAX_PAYLOAD, self._banner))

    def _open(self, packet: Packet) -> None:
        if not self._start_service(packet.arg0, packet.data.rstrip(b"\0").decode("utf-8", errors="replace")):
            self.send(Packet(CLSE, 0, packet.arg0))

    def _start_service(self, peer: int, service: str) -> bool:
        """Serve a new stream in a thread of its own; return False if there are too many."""
        with self._lock:
            if self.closed.is_set() or len(self._threads) >= MAX_STREAMS or not self._slots.acquire(blocking=False):
                return False
            self._last_number += 1
            stream = Stream(self, self._last_number, peer, service)
            self._streams[self._last_number] = stream
            name = f"adbd-stream-{self._last_number}"
            thread = threading.Thread(target=self._run_service, args=(stream,), name=name, daemon=True)
            self._threads.add(thread)
            thread.start()
            return True

    def _run_service(self, stream: Stream) -> None:
        try:
            try:
                self._serve(stream)
            finally:  # also after an error: a client that is not told waits for ever
                stream.close()
        except ConnectionError:
            pass  # the client is gone; what it wanted is moot
        except Exception as error:
            error.add_note(f"while serving {stream.service!r}")
            raise
        finally:
            stream.end()
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._slots.release()

    def _copy_of_threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)
