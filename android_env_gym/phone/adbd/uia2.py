"""The uiautomator2 server (`u2.jar`) of the served phone: HTTP over `tcp:9008`, JSON-RPC behind it.

Invariants: unmodified uiautomator2 3.x finds what the real server answers; a request is answered under the phone's
lock, all at once; a connection stays open until the client closes it. The transport calls `serve_http`, in one thread
per connection.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, parse_headers
from typing import Any

from android_env_gym.phone.adbd import ime
from android_env_gym.phone.adbd.duplex import Duplex
from android_env_gym.phone.adbd.rpc import Overload, answer
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.uia2_device import DeviceMethods
from android_env_gym.phone.adbd.uia2_objects import ObjectMethods

MAX_LINE = 65_536
MAX_BODY = 16 << 20
RPC_PATH = "/jsonrpc/0"
_Reply = tuple[HTTPStatus, str, bytes]

logger = logging.getLogger(__name__)


class UiAutomatorServer:
    """Answers uiautomator2 for one phone; make one per phone, it remembers fingers, toasts and objects.

    Constructing it also gives the phone the receivers of the keyboards that broadcasts drive (`ime`).

    Args:
        served: The phone.
        clock: Seconds that tell how long a finger stays down.
    """

    def __init__(self, served: ServedPhone, clock: Callable[[], float] = time.monotonic) -> None:
        self._served = served
        self._device = DeviceMethods(served, clock)
        methods = self._device.methods()
        for name, overloads in ObjectMethods(served).methods().items():
            methods[name] = (*methods.get(name, ()), *overloads)
        self._methods: dict[str, tuple[Overload, ...]] = methods
        served.receivers.update(ime.receivers(served))

    def serve_http(self, connection: Duplex) -> None:
        """Answer the requests of one connection until either side closes it."""
        reader = io.BufferedReader(_Reader(connection), MAX_LINE)
        try:
            while self._serve_one(reader, connection):
                pass
        except (ConnectionError, HTTPException) as error:
            logger.debug("uiautomator2 connection ended: %s", error)
        finally:
            connection.close()

    def respond(self, method: str, path: str, body: bytes) -> _Reply:
        """Return status, content type and content for one request."""
        if path == "/ping":
            return HTTPStatus.OK, "text/html", b"pong"
        if path != RPC_PATH:
            return HTTPStatus.NOT_FOUND, "text/plain", b"Not Found!!!"
        if method != "POST" or not body:
            return HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"Invalid http post data!"
        with self._served.lock:
            reply = answer(body, self._methods)
            self._device.observe()
        return HTTPStatus.OK, "application/json", reply

    def _serve_one(self, reader: io.BufferedReader[_Reader], connection: Duplex) -> bool:
        """Answer one request; return whether the connection goes on."""
        words = reader.readline(MAX_LINE).split()
        if len(words) != 3:
            if words:
                _send(connection, (HTTPStatus.BAD_REQUEST, "text/plain", b"BAD REQUEST: Syntax error."), False)
            return False
        method, path, version = (word.decode("latin-1") for word in words)
        headers = parse_headers(reader)
        length = _length(headers)
        if length is None or length > MAX_BODY:
            _send(connection, (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", b"Content-Length"), False)
            return False
        body = reader.read(length)
        if len(body) < length:
            return False
        keep = version == "HTTP/1.1" and headers.get("Connection", "").lower() != "close"
        _send(connection, self.respond(method, path.partition("?")[0], body), keep)
        return keep


class _Reader(io.RawIOBase):
    """The reading half of a `Duplex` as a raw stream."""

    def __init__(self, connection: Duplex) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._connection.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _length(headers: HTTPMessage) -> int | None:
    text = headers.get("Content-Length", "0").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _send(connection: Duplex, reply: _Reply, keep: bool) -> None:
    status, kind, content = reply
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    connection.send(head.encode("latin-1") + content)
