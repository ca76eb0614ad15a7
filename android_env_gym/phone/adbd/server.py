"""`AdbServer`: a phone as a network ADB device, to which `adb connect` and every ADB client can connect.

Invariants: every connection and every stream has threads of its own, so nobody waits for another client; connections,
streams and with them threads are limited; after `stop` no thread, no connection and no listening socket is left. Used
by `python -m android_env_gym adbd` and by tests.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from typing import Self

from android_env_gym.phone.adbd.faults import Fault, Faults
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.services import Services
from android_env_gym.phone.adbd.wall_clock import WallClock
from android_env_gym.phone.adbd.wire import Connection, Stream

STOP_SECONDS = 10.0
MAX_CONNECTIONS = 64
MAX_STREAMS = 256  # of all connections together; a running command takes up to three threads and its pipes
_BACKLOG = 16
_RETRY_SECONDS = 0.02
_log = logging.getLogger(__name__)


class AdbServer:
    """Serves one phone over TCP, from `start` to `stop`; a context manager.

    Args:
        served: The phone.
        host: The address to listen on. The phone runs what clients ask it to: leave it on the loopback interface.
        port: The port to listen on; 0 lets the system choose one.
        faults: Trouble on order; by default none.
        wall_clock: Whether the phone's time follows the wall clock; by default only actions and `sleep` move it.
    """

    def __init__(
        self,
        served: ServedPhone,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        wall_clock: bool = False,
    ) -> None:
        self._clock = WallClock(served) if wall_clock else None
        self.faults = faults or Faults()
        self.served = served
        self._address = (host, port)
        self._services = Services(served, self.faults, self._strike)
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._slots = threading.BoundedSemaphore(MAX_STREAMS)
        self._stopping = threading.Event()
        self._back_at = 0.0
        self._silent_until = 0.0
        self._acceptor: threading.Thread | None = None
        self._wake: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port; the chosen one from `start` on, where 0 was given."""
        return self._address[1]

    @property
    def serial(self) -> str:
        """What ADB calls this phone after `adb connect`: "HOST:PORT"."""
        return f"{self._address[0]}:{self._address[1]}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen and serve, in threads of its own.

        Raises:
            OSError: The address cannot be had.
            RuntimeError: It was started before; a stopped server is not started again.
        """
        if self._acceptor is not None:
            raise RuntimeError("this AdbServer was started before; make a new one for the same ServedPhone")
        listener = _bound(self._address)
        listener.listen(_BACKLOG)
        self._address = (self._address[0], listener.getsockname()[1])
        self.served.reboot_listeners.append(self.disconnect)
        self._wake, woken = socket.socketpair()
        self._wake.setblocking(False)
        self._acceptor = threading.Thread(target=self._accept, args=(listener, woken), name="adbd-accept", daemon=True)
        self._acceptor.start()
        if self._clock is not None:
            self._clock.start()
        return self

    def stop(self) -> None:
        """Hang up on everybody and wait for all threads, at most `STOP_SECONDS`; may be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._clock is not None:
            self._clock.stop()
        deadline = time.monotonic() + STOP_SECONDS
        if self._acceptor is not None:
            self.served.reboot_listeners.remove(self.disconnect)
            self._wake_acceptor()
            self._acceptor.join()
        self.disconnect()
        with self._lock:
            threads = list(self._connections.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _log.warning(
                    "%s still runs %g s after stop(): one of its services does not return", thread.name, STOP_SECONDS
                )
        if self._wake is not None:
            self._wake.close()

    def disconnect(self) -> None:
        """Hang up on every host at once; they may connect again."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def die(self, seconds: float) -> None:
        """Hang up on every host and refuse connections for `seconds`, as a phone that has crashed or restarts."""
        self._back_at = time.monotonic() + seconds
        self._wake_acceptor()
        self.disconnect()

    def go_offline(self, seconds: float) -> None:
        """Hang up on every host and for `seconds` take connections without a word: they see the phone as offline."""
        self._silent_until = time.monotonic() + seconds
        self.disconnect()

    def _strike(self, fault: Fault, stream: Stream) -> None:
        if fault.kind == "stall":
            stream.wait(fault.seconds)
            return
        if fault.kind == "offline":
            self.go_offline(fault.seconds)
        elif fault.kind == "die":
            self.die(fault.seconds)
        elif fault.kind == "reboot":
            self.die(fault.seconds)
            self.served.reboot()
        stream.hang_up()

    def _wake_acceptor(self) -> None:
        if self._wake is None:
            return
        with contextlib.suppress(OSError):  # enough wake-ups are waiting, or it has stopped
            self._wake.send(b"!")

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        while not self._stopping.is_set():
            if self._back_at > time.monotonic():
                _close(listener)
                listener = self._stay_away()
            self._accept_until_woken(listener, woken)
        _close(listener)
        woken.close()

    def _stay_away(self) -> socket.socket:
        """Refuse connections until the time has come; return a socket that listens again."""
        self.disconnect()
        listener = self._bound_again()  # it does not listen, so it refuses, and nobody else is given the port
        while (away := self._back_at - time.monotonic()) > 0 and not self._stopping.wait(away):
            pass  # another fault may have made it longer
        listener.listen(_BACKLOG)
        return listener

    def _bound_again(self) -> socket.socket:
        while True:
            try:
                return _bound(self._address)
            except OSError:  # somebody's outgoing connection has just been given our port; those are short
                if self._stopping.wait(_RETRY_SECONDS):
                    raise

    def _accept_until_woken(self, listener: socket.socket, woken: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if woken in ready:
                    woken.recv(4096)
                    return
                self._welcome(listener)

    def _welcome(self, listener: socket.socket) -> None:
        try:
            link, _ = listener.accept()
        except OSError as error:  # the host gave up before it was accepted
            _log.debug("accept failed: %s", error)
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            _log.debug("hung up on a host: %d are connected already", MAX_CONNECTIONS)
            link.close()
            return
        silence = max(0.0, self._silent_until - time.monotonic())
        services = self._services
        connection = Connection(link, services.banner(), services.serve, slots=self._slots, silence=silence)
        thread = threading.Thread(target=self._run, args=(connection,), name="adbd-connection", daemon=True)
        with self._lock:
            self._connections[connection] = thread
        thread.start()

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                del self._connections[connection]


def _bound(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _close(listener: socket.socket) -> None:
    """Stop listening now, even while a process that is just being started still has a copy of the socket."""
    with contextlib.suppress(OSError):  # not every system lets a listening socket be shut down
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
