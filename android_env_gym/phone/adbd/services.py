"""What answers behind each stream that a host opens: shell, files, screen, the uiautomator2 server, port bookkeeping.

`Services.serve` runs in the stream's own thread, made by `wire.Connection`; it may wait as long as it likes. A service
that the phone does not have is refused, which hosts expect at once.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable

import cv2

from android_env_gym.phone.adbd.faults import Fault, Faults
from android_env_gym.phone.adbd.pictures import is_picture, spoil, spoil_raw
from android_env_gym.phone.adbd.reverse import ReverseTable
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import Process, open_process
from android_env_gym.phone.adbd.sync import SyncService
from android_env_gym.phone.adbd.terminal import Terminal
from android_env_gym.phone.adbd.uia2 import UiAutomatorServer
from android_env_gym.phone.adbd.wire import MAX_PAYLOAD, ProtocolError, Stream, StreamClosedError

UIAUTOMATOR_PORT = 9008
FEATURES = ("shell_v2", "cmd")
COMMAND_END_SECONDS = 5.0  # how long a killed command may take to notice
_STDIN_BYTES = 1 << 16
_FRAMEBUFFER_VERSION = 1
_SHELL_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_ANSWERS = {
    "root:": b"adbd cannot run as root in production builds\n",
    "unroot:": b"adbd not running as root\n",
    "jdwp": b"",
    "remount:": b'Not running as root. Try "adb root" first.\n',
}

Strike = Callable[[Fault, Stream], None]
Service = Callable[["Gate", str], None]


class Gate:
    """One stream with the faults that may strike it.

    Args:
        stream: The stream.
        faults: What has been ordered.
        strike: Carries out a fault that is not about a picture.
    """

    def __init__(self, stream: Stream, faults: Faults, strike: Strike) -> None:
        self.stream = stream
        self.request = stream.service
        self._faults = faults
        self._strike_with = strike

    def __call__(self, request: str) -> bool:
        """Let a fault strike before `request`, or be ready to strike before its reply; return whether there was one.

        Raises:
            StreamClosedError: The fault has ended the stream.
        """
        self.request = request
        fault = self._faults.take(request, pictures=False)
        if fault is None:
            return False
        if fault.moment == "after":
            self.stream.before_reply = lambda: self._strike(fault)
        else:
            self._strike(fault)
        return True

    def outgoing(self, data: bytes) -> bytes:
        """Return what is to be sent instead of `data`: the same, unless it is a picture and a fault is due."""
        if not self._faults.waiting or not is_picture(data):
            return data
        fault = self.picture_fault()
        return data if fault is None else spoil(fault.kind, data)

    def picture_fault(self) -> Fault | None:
        """Return the fault that is due for a picture asked for by the present request."""
        return self._faults.take(self.request, pictures=True)

    def _strike(self, fault: Fault) -> None:
        self._strike_with(fault, self.stream)
        if self.stream.ended:
            raise StreamClosedError(f"fault {fault.kind!r} has ended {self.request[:80]!r}")


class HttpDuplex:
    """A `Duplex` for the uiautomator2 server: a stream whose requests and pictures faults may strike.

    Args:
        gate: The stream and its faults.
        running: Whether the server's process still runs; when it has ended, so have its connections.
    """

    def __init__(self, gate: Gate, running: Callable[[], bool]) -> None:
        self._gate = gate
        self._running = running
        self._request = ""
        self._struck = False
        self._answering = False

    def recv(self, n: int) -> bytes:
        """Return up to `n` bytes of a request; b"" once the client has gone."""
        data = self._gate.stream.recv(n)
        if not self._running():
            self.close()
            return b""
        if self._answering:
            self._request, self._struck, self._answering = "", False, False
        self._request += data.decode("utf-8", errors="replace")
        if data and not self._struck:
            self._struck = self._gate(self._request)
        return data

    def send(self, data: bytes) -> None:
        """Send an answer; one with a picture must come whole, headers included."""
        self._answering = True
        fault = self._gate.picture_fault() if is_picture(data) else None
        self._gate.stream.send(data if fault is None else spoil(fault.kind, data))
        if fault is not None and fault.kind == "truncate_png":
            self.close()  # the other half never comes

    def close(self) -> None:
        """Close the stream."""
        self._gate.stream.close()


class Services:
    """The services of one phone, for all its connections.

    Args:
        served: The phone.
        faults: What has been ordered.
        strike: Carries out a fault that is not about a picture.
    """

    def __init__(self, served: ServedPhone, faults: Faults, strike: Strike) -> None:
        self._served = served
        self._faults = faults
        self._strike = strike
        self._http = UiAutomatorServer(served)
        self._reverse = ReverseTable()
        self._by_name: dict[str, Service] = {
            "shell": self._shell,
            "exec": self._shell,
            "sync": self._sync,
            "framebuffer": self._framebuffer,
            "reverse": self._answer_reverse,
            "reboot": self._reboot,
            "track-jdwp": self._no_debuggees,
            "track-app": self._no_debuggees,
        }

    def banner(self) -> bytes:
        """Return what the phone says of itself when a host connects."""
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        properties = "".join(f"{name}={self._served.properties.get(name, '')};" for name in names)
        return f"device::{properties}features={','.join(FEATURES)}".encode()

    def serve(self, stream: Stream) -> None:
        """Answer one stream; a service that does not exist is left unaccepted, which refuses it.

        Raises:
            ConnectionError: The client has gone, or a fault has struck.
        """
        gate = Gate(stream, self._faults, self._strike)
        gate(stream.service)
        service = self._find(stream.service)
        if service is not None:
            stream.accept()
            service(gate, stream.service)

    def _find(self, service: str) -> Service | None:
        if service in _ANSWERS:
            return self._answer
        name, _, argument = service.partition(":")
        if name == "tcp":
            port = argument.partition(":")[0]
            return self._serve_http if port == str(UIAUTOMATOR_PORT) and self._served.uiautomator_running else None
        return self._by_name.get(name.partition(",")[0])

    # --- shell, shell,v2 and exec ---

    def _shell(self, gate: Gate, service: str) -> None:
        name, _, command = service.partition(":")
        flags = name.split(",")[1:]
        framed, on_terminal = "v2" in flags, "pty" in flags
        process = open_process(self._served, command, terminal=on_terminal)
        feed = Terminal(process).typed if on_terminal else process.feed
        reader = threading.Thread(
            target=_pump_stdin,
            args=(gate, process, feed, framed),
            name=threading.current_thread().name + "-stdin",
            daemon=True,
        )
        reader.start()
        try:
            for channel, data in process.output:
                if on_terminal:
                    channel, data = 1, data.replace(b"\n", b"\r\n")
                _send_output(gate, channel, data, framed)
            if framed:
                gate.stream.send(_SHELL_PACKET.pack(_EXIT, 1) + bytes([process.exit & 0xFF]))
        finally:
            process.kill()
            with contextlib.suppress(ConnectionError):  # the client has gone
                gate.stream.close()
            reader.join()
            process.join(COMMAND_END_SECONDS)

    # --- the others ---

    def _sync(self, gate: Gate, service: str) -> None:
        SyncService(gate.stream, self._served.files, self._served.memory, gate, gate.outgoing).run()

    def _serve_http(self, gate: Gate, service: str) -> None:
        self._http.serve_http(HttpDuplex(gate, lambda: self._served.uiautomator_running))

    def _framebuffer(self, gate: Gate, service: str) -> None:
        frame = self._served.frame()
        height, width = frame.shape[:2]
        pixels = cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA).tobytes()
        # offset and length in bits of red, blue, green, alpha, in this order
        layout = (0, 8, 16, 8, 8, 8, 24, 8)
        header = struct.pack("<13I", _FRAMEBUFFER_VERSION, 32, len(pixels), width, height, *layout)
        data = header + pixels
        fault = gate.picture_fault()
        gate.stream.send(data if fault is None else spoil_raw(fault.kind, data, len(header)))

    def _answer(self, gate: Gate, service: str) -> None:
        gate.stream.send(_ANSWERS[service])

    def _answer_reverse(self, gate: Gate, service: str) -> None:
        gate.stream.send(self._reverse.answer(service.partition(":")[2]))

    def _reboot(self, gate: Gate, service: str) -> None:
        self._served.reboot()

    def _no_debuggees(self, gate: Gate, service: str) -> None:
        """Report that no process can be debugged, and keep the stream open for news that never come."""
        gate.stream.send(b"0000")
        while gate.stream.recv(_STDIN_BYTES):
            pass


def _send_output(gate: Gate, channel: int, data: bytes, framed: bool) -> None:
    data = gate.outgoing(data)
    if not framed:
        gate.stream.send(data)
        return
    size = gate.stream.max_payload - _SHELL_PACKET.size
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        gate.stream.send(_SHELL_PACKET.pack(channel, len(piece)) + piece)


def _pump_stdin(gate: Gate, process: Process, feed: Callable[[bytes], None], framed: bool) -> None:
    """Feed what the client writes to the process, until the stream ends; then the process ends too."""
    pending = bytearray()
    try:
        while data := gate.stream.recv(_STDIN_BYTES):
            pending += data
            for piece in _stdin_pieces(pending, framed):
                if piece:
                    gate(f"{gate.stream.service} {piece.decode('utf-8', errors='replace')}")
                feed(piece) if piece else process.feed(piece)
    except ConnectionError:
        pass  # a fault or a broken packet has ended the stream; whoever sends on it notices
    finally:
        process.feed(b"")
        process.kill()


def _stdin_pieces(pending: bytearray, framed: bool) -> list[bytes]:
    """Take from `pending` what is complete; b"" stands for the end of the input."""
    if not framed:
        pieces = [bytes(pending)]
        pending.clear()
        return pieces
    pieces = []
    while len(pending) >= _SHELL_PACKET.size:
        kind, length = _SHELL_PACKET.unpack_from(pending)
        end = _SHELL_PACKET.size + length
        if length > MAX_PAYLOAD:
            raise ProtocolError(f"a shell packet of {length} bytes; at most {MAX_PAYLOAD} are allowed")
        if len(pending) < end:
            break
        if kind == _STDIN and length:
            pieces.append(bytes(pending[_SHELL_PACKET.size : end]))
        elif kind == _CLOSE_STDIN:
            pieces.append(b"")
        del pending[:end]
    return pieces
