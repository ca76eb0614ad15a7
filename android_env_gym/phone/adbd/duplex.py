"""`Duplex`: a two-way byte stream, the seam between the transport and what answers behind a service.

The transport hands one to the uiautomator2 server for each `tcp:9008` connection; tests hand in their own.
"""

from __future__ import annotations

from typing import Protocol


class Duplex(Protocol):
    """One open stream between a client on the host and a service on the phone."""

    def recv(self, n: int) -> bytes:
        """Return 1 to `n` bytes, waiting for the first; b"" once the peer has closed."""
        ...

    def send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            ConnectionError: The peer has closed the stream.
        """
        ...

    def close(self) -> None:
        """Close the stream; may be called twice."""
        ...
