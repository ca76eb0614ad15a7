"""An unmodified uiautomator2 client whose connections are socket pairs to a `UiAutomatorServer`, without adb."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uiautomator2
from uiautomator2.core import _jsonrpc_call

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.uia2 import UiAutomatorServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig

PORT = 9008


class SocketDuplex:
    """A connected socket as the transport's `Duplex`."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def recv(self, n: int) -> bytes:
        return self._end.recv(n)

    def send(self, data: bytes) -> None:
        self._end.sendall(data)

    def close(self) -> None:
        self._end.close()


def open_connection(server: UiAutomatorServer) -> tuple[socket.socket, threading.Thread]:
    """Return the client's end of a connection, and the thread that serves the other."""
    client, device = socket.socketpair()
    client.settimeout(20)
    thread = threading.Thread(target=server.serve_http, args=(SocketDuplex(device),))
    thread.start()
    return client, thread


class _Adb:
    """What the client needs of adbutils to reach the server."""

    serial = "socketpair"

    def __init__(self, server: UiAutomatorServer, served: ServedPhone) -> None:
        self._server = server
        self._served = served

    def create_connection(self, network: object, port: int) -> socket.socket:
        assert port == PORT
        return open_connection(self._server)[0]

    def window_size(self) -> tuple[int, int]:
        return self._served.size


class LocalDevice(uiautomator2.Device):
    """uiautomator2's `Device` with nothing changed but where its connections go."""

    def __init__(self, server: UiAutomatorServer, served: ServedPhone) -> None:
        self._dev: Any = _Adb(server, served)
        self._debug = False
        self._device_server_port = PORT

    def jsonrpc_call(self, method: str, params: Any = None, timeout: float = 10) -> Any:
        return _jsonrpc_call(self._dev, PORT, method, params, timeout, False)


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Setup:
    """A phone, its server and a client of it."""

    def __init__(self, seed: int = 3, config: DeviceConfig | None = None) -> None:
        self.clock = Clock()
        self.phone = SimPhone(config, seed=seed)
        self.served = ServedPhone(self.phone)
        self.server = UiAutomatorServer(self.served, self.clock)
        self.d = LocalDevice(self.server, self.served)
        self.d.settings["wait_timeout"] = 3.0

    def open(self, package: str) -> None:
        self.served.launch(package)
