"""The `reverse:` service: ports of the phone that lead to the host. Nothing on this phone dials out, so it keeps books.

Clients set, list and remove reverse forwards and rely on the answers.
"""

from __future__ import annotations

import threading

FIRST_FREE_PORT = 40_000


class ReverseTable:
    """The reverse forwards of one phone, in the order in which they were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, str] = {}

    def answer(self, request: str) -> bytes:
        """Return the reply to what follows "reverse:": OKAY, FAIL with a reason, or the list."""
        verb, _, rest = request.partition(":")
        with self._lock:
            if request == "list-forward":
                return _block("".join(f"UsbFfs {phone} {host}\n" for phone, host in self._hosts.items()))
            if request == "killforward-all":
                self._hosts.clear()
                return b"OKAY"
            if verb == "killforward":
                return b"OKAY" if self._hosts.pop(rest, None) else _fail(f"listener '{rest}' not found")
            if verb == "forward":
                return self._add(rest)
        return _fail(f"unknown reverse request '{request}'")

    def _add(self, rest: str) -> bytes:
        keep = rest.startswith("norebind:")
        phone, separator, host = rest.removeprefix("norebind:").partition(";")
        if not separator or not phone or not host:
            return _fail(f"bad forward: {rest}")
        if keep and phone in self._hosts:
            return _fail("cannot rebind existing socket")
        port = ""
        if phone == "tcp:0":
            port = str(next(n for n in range(FIRST_FREE_PORT, 1 << 16) if f"tcp:{n}" not in self._hosts))
            phone = f"tcp:{port}"
        self._hosts[phone] = host
        return b"OKAY" + (_block(port) if port else b"")


def _block(text: str) -> bytes:
    encoded = text.encode()
    return b"%04x" % len(encoded) + encoded


def _fail(reason: str) -> bytes:
    return b"FAIL" + _block(reason)
