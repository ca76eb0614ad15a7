"""`Automation`: the uiautomator2 server of one device, kept running by uiautomator2 and asked over one kept connection.

uiautomator2 pushes, starts and restarts the server and installs its input method; its own way of asking opens three
connections per call, waits up to ten minutes and, after some errors, performs a call twice. Here a call has one
connection, a bound, and is sent again only where the device cannot have seen it. Caller: `adb.AdbDevice`.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import selectors
import socket
import sys
from typing import Any

import adbutils
import msgspec
import uiautomator2

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.transport import BoundedAdb, as_failures

PORT = 9008
CHUNK = 1 << 16
_DEAD = ("UiAutomation not connected", "DeadObjectException", "DeadSystemRuntimeException")
_HEAD = (
    "POST /jsonrpc/0 HTTP/1.1\r\nHost: 127.0.0.1:9008\r\nUser-Agent: uiautomator2\r\nAccept-Encoding: \r\n"
    "Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
)


class RpcError(RuntimeError):
    """The server understood a call and refused it; the message is the server's."""


class Automation:
    """Calls of the uiautomator2 server on `adb`.

    Raises:
        DeviceFailure: The server cannot be started.
    """

    def __init__(self, adb: BoundedAdb) -> None:
        self._adb = adb
        self._serial = str(adb.serial)
        self._socket: socket.socket | None = None
        with as_failures(self._serial, "starting uiautomator2"):
            self._client = uiautomator2.Device(adb, port=PORT)

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result of a JSON-RPC call.

        Raises:
            DeviceFailure: No answer, or the server is broken; it will be started anew for the next call.
            RpcError: The server refused the call.
        """
        with as_failures(self._serial, method):
            stream = self._connected()
            try:
                with self._adb.bounds.within(self._adb.bounds.remaining()):
                    answer = self._ask(stream, method, parameters)
            except BaseException:
                self._hang_up()  # a late answer must never be taken for the next call's
                raise
        if not isinstance(answer, dict):
            raise DeviceFailure("crashed", f"{self._serial}: {method}: the answer is no JSON object: {answer!r:.200}")
        if "error" in answer:
            self._refused(method, answer["error"])
        return answer.get("result")

    def use_input_method(self) -> None:
        """Make uiautomator2's keyboard the current one, installing it first if needed."""
        with as_failures(self._serial, "switching the keyboard"), contextlib.redirect_stdout(sys.stderr):
            self._client.set_input_ime()  # adbutils prints what it installs

    def close(self) -> None:
        """Stop the server and let go of the device; may be called twice."""
        self._hang_up()
        atexit.unregister(self._client.stop_uiautomator)  # it would keep every device of the process alive
        try:
            self._client.stop_uiautomator(wait=False)
        except (adbutils.AdbError, OSError):
            return  # the device is gone, and its server with it

    def _connected(self) -> socket.socket:
        """Return a connection on which nothing is under way; the server is started anew if it is not there."""
        if self._socket is not None and _is_stale(self._socket):
            self._hang_up()
        if self._socket is None:
            try:
                self._socket = self._adb.create_connection(adbutils.Network.TCP, PORT)
            except adbutils.AdbError:  # refused: the server has ended, e.g. killed for memory
                self._client.start_uiautomator()
                self._socket = self._adb.create_connection(adbutils.Network.TCP, PORT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _ask(self, stream: socket.socket, method: str, parameters: tuple[Any, ...]) -> Any:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        stream.settimeout(self._adb.bounds.remaining())
        stream.sendall(_HEAD.format(size=len(body)).encode() + body)
        response = http.client.HTTPResponse(stream, method="POST")
        response.begin()
        content = bytearray()
        while piece := response.read1(CHUNK):  # the bounds hold for the whole answer, not for each piece of it
            content += piece
            stream.settimeout(self._adb.bounds.remaining(float("inf")))
        if response.will_close:
            self._hang_up()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"HTTP status {response.status} {response.reason}")
        return msgspec.json.decode(content)

    def _refused(self, method: str, error: Any) -> None:
        said = " ".join(str(error.get("message", error) if isinstance(error, dict) else error).split())[:300]
        if any(sign in str(error) for sign in _DEAD):
            self.close()
            raise DeviceFailure("crashed", f"{self._serial}: {method}: the automation server lost the system: {said}")
        raise RpcError(f"{self._serial}: {method}: {said}")

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _is_stale(stream: socket.socket) -> bool:
    """Return whether the other end has closed an idle connection (then it can be read)."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return bool(selector.select(0))
