"""The `sync:` service, version 1: file transfer and listing for `adb push`, `adb pull` and their like.

Every message is a four-letter name and a little-endian uint32. A client may send several requests before QUIT.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

from android_env_gym.phone.adbd.budget import Budget
from android_env_gym.phone.adbd.duplex import Duplex
from android_env_gym.phone.adbd.files import DeviceFiles

MAX_PATH_BYTES = 1024
MAX_DATA_BYTES = 64 << 10
BATCH_BYTES = 1 << 20
_REGULAR_FILE = 0o100000
_TYPE_BITS = 0o170000
_UINT32 = 0xFFFFFFFF


class SyncService:
    """One client's `sync:` stream.

    Args:
        stream: The open stream.
        files: The phone's files.
        memory: Files that have not come to their end are taken from it.
        gate: Called with each request's text before it is carried out; faults wait or raise ConnectionError there.
        outgoing: What becomes of a file's bytes on their way out; faults use it.
    """

    def __init__(
        self,
        stream: Duplex,
        files: DeviceFiles,
        memory: Budget,
        gate: Callable[[str], object],
        outgoing: Callable[[bytes], bytes],
    ) -> None:
        self._stream = stream
        self._files = files
        self._memory = memory
        self._gate = gate
        self._outgoing = outgoing
        self._commands: dict[bytes, Callable[[str], None]] = {
            b"STAT": self._stat,
            b"LIST": self._list,
            b"SEND": self._receive_file,
            b"RECV": self._send_file,
        }

    def run(self) -> None:
        """Serve requests until QUIT, the end of the stream or an unknown request."""
        while (name := self._read(4)) and name != b"QUIT":
            length = self._number()
            command = self._commands.get(name)
            if command is None or length > MAX_PATH_BYTES:
                self._fail(f"unknown command {name!r}" if command is None else f"path of {length} bytes is too long")
                return
            path = self._read(length).decode("utf-8", errors="replace")
            self._gate(f"sync:{name.decode()} {path}")
            command(path)

    def _stat(self, path: str) -> None:
        self._stream.send(b"STAT" + struct.pack("<III", *self._described(path)))

    def _list(self, path: str) -> None:
        reply = bytearray()
        for name in self._names(path):
            encoded = name.encode()
            described = self._described(f"{path}/{name}")
            reply += b"DENT" + struct.pack("<IIII", *described, len(encoded)) + encoded
        self._stream.send(bytes(reply) + b"DONE" + bytes(16))

    def _send_file(self, path: str) -> None:
        try:
            data = self._files.read(path)
        except OSError as error:
            self._fail(f"open failed: {_reason(error)}")
            return
        data = memoryview(self._outgoing(data))
        batch = bytearray()
        for start in range(0, len(data), MAX_DATA_BYTES):
            piece = data[start : start + MAX_DATA_BYTES]
            batch += b"DATA" + struct.pack("<I", len(piece)) + piece
            if len(batch) >= BATCH_BYTES:
                self._stream.send(bytes(batch))
                batch.clear()
        self._stream.send(bytes(batch) + b"DONE" + bytes(4))

    def _receive_file(self, target: str) -> None:
        path, _, mode_text = target.rpartition(",")
        problem = self._why_not(path, mode_text)
        data = bytearray()
        try:
            # A refused file is read to its end all the same: clients look for the answer only then.
            for piece in self._pieces():
                full = len(data) + len(piece) > self._files.capacity
                if not problem and (full or not self._memory.take(len(piece))):
                    problem = "write failed: No space left on device"
                if not problem:
                    data += piece
            mtime = self._number()
            problem = problem or self._store(path, bytes(data), int(mode_text), mtime)
        finally:
            self._memory.give(len(data))
        if problem:
            self._fail(problem)
        else:
            self._stream.send(b"OKAY" + bytes(4))

    def _pieces(self) -> Iterator[bytes]:
        """Yield the pieces of a file up to DONE, whose number is left to read."""
        while (name := self._read(4)) == b"DATA":
            length = self._number()
            if length > MAX_DATA_BYTES:
                self._fail(f"oversize data message of {length} bytes; at most {MAX_DATA_BYTES}")
                raise ConnectionError("the client breaks the sync protocol")
            yield self._read(length)
        if name != b"DONE":
            raise ConnectionError("the client has gone in the middle of a file")

    def _why_not(self, path: str, mode_text: str) -> str:
        if not path or not mode_text.isdecimal():
            return "missing , in the target, which must be PATH,MODE"
        if int(mode_text) & _TYPE_BITS not in (0, _REGULAR_FILE):
            return "only regular files can be sent"
        if not self._files.writable(path):
            return "couldn't create file: Permission denied"
        return ""

    def _store(self, path: str, data: bytes, mode: int, mtime: int) -> str:
        try:
            self._files.write(path, data, mode=mode & 0o777, mtime=mtime, parents=True)
        except OSError as error:
            return f"couldn't create file: {_reason(error)}"
        return ""

    def _names(self, path: str) -> tuple[str, ...]:
        try:
            return (".", "..", *self._files.list(path))
        except OSError:  # adbd lists nothing where there is nothing to list
            return ()

    def _described(self, path: str) -> tuple[int, int, int]:
        try:
            found = self._files.stat(path)
        except OSError:  # in version 1 of the protocol, zeros say that there is no such file
            return 0, 0, 0
        return found.mode, found.size & _UINT32, found.mtime & _UINT32

    def _fail(self, reason: str) -> None:
        encoded = reason.encode("utf-8", errors="replace")
        self._stream.send(b"FAIL" + struct.pack("<I", len(encoded)) + encoded)

    def _number(self) -> int:
        return int.from_bytes(self._exactly(4), "little")

    def _exactly(self, n: int) -> bytes:
        data = self._read(n)
        if len(data) < n:
            raise ConnectionError("the client has gone in the middle of a message")
        return data

    def _read(self, n: int) -> bytes:
        """Return `n` bytes, fewer only if the stream has ended."""
        data = bytearray()
        while len(data) < n and (piece := self._stream.recv(n - len(data))):
            data += piece
        return bytes(data)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
