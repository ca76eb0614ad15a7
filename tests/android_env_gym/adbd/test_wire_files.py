"""`DeviceFiles` against a real file system, and the sync service with a client that misbehaves."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.phone.adbd.budget import Budget
from android_env_gym.phone.adbd.files import DeviceFiles
from android_env_gym.phone.adbd.sync import SyncService

_NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/b/b", "./a", "a/../b"])
_STEPS = st.one_of(
    st.tuples(st.just("write"), _NAMES, st.binary(max_size=6)),
    st.tuples(st.just("read"), _NAMES, st.none()),
    st.tuples(st.just("list"), _NAMES, st.none()),
    st.tuples(st.just("mkdir"), _NAMES, st.booleans()),
    st.tuples(st.just("remove"), _NAMES, st.booleans()),
    st.tuples(st.just("rename"), _NAMES, _NAMES),
    st.tuples(st.just("is_dir"), _NAMES, st.none()),
)


def _on_the_phone(files: DeviceFiles, step: tuple) -> object:
    what, name, more = step
    path = f"/sdcard/{name}"
    match what:
        case "write":
            return files.write(path, more)
        case "mkdir":
            return files.mkdir(path, parents=more)
        case "remove":
            return files.remove(path, recursive=more)
        case "rename":
            return files.rename(path, f"/sdcard/{more}")
        case _:
            return getattr(files, what)(path)


def _on_the_host(root: Path, step: tuple) -> object:
    what, name, more = step
    path = Path(os.path.normpath(root / name))
    match what:
        case "write":
            path.write_bytes(more)
        case "read":
            return path.read_bytes()
        case "list":
            return tuple(sorted(os.listdir(path)))
        case "mkdir":
            path.mkdir(parents=more, exist_ok=more)
        case "remove" if path.is_dir():
            shutil.rmtree(path) if more else path.rmdir()
        case "remove":
            path.unlink()
        case "rename":
            path.rename(os.path.normpath(root / more))
        case "is_dir":
            return path.is_dir()
    return None


def _outcome(action: Callable[[], object]) -> object:
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


@settings(max_examples=100, deadline=None)
@given(st.lists(_STEPS, max_size=25))
def test_the_files_behave_as_linux(steps: list[tuple]) -> None:
    files = DeviceFiles()
    for name in files.list("/sdcard"):
        files.remove(f"/sdcard/{name}", recursive=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for step in steps:
            phone = _outcome(lambda step=step: _on_the_phone(files, step))
            host = _outcome(lambda step=step: _on_the_host(root, step))
            assert phone == host, (step, steps)


def test_a_stat_tells_kind_size_and_time() -> None:
    files = DeviceFiles(clock=lambda: 1_700_000_000.9)
    files.write("/sdcard/Download/n.txt", b"12345", mode=0o640)
    found = files.stat("/sdcard/Download/n.txt")
    assert (found.mode, found.size, found.mtime, found.is_dir) == (stat.S_IFREG | 0o640, 5, 1_700_000_000, False)
    files.write("/sdcard/Download/n.txt", b"", mtime=7)
    assert files.stat("/sdcard/Download/n.txt").mtime == 7
    assert files.stat("/sdcard").is_dir


def test_the_shared_storage_has_several_names() -> None:
    files = DeviceFiles()
    files.write("/storage/emulated/0/Pictures/p.png", b"x")
    assert files.read("/sdcard/Pictures/p.png") == files.read("/mnt/sdcard/Pictures/p.png") == b"x"
    assert files.writable("/storage/emulated/0/x") and files.writable("/data/local/tmp/x")
    assert (
        not files.writable("/system/x") and not files.writable("/sdcardx") and not files.writable("/sdcard/../system")
    )


def test_the_files_have_a_capacity() -> None:
    files = DeviceFiles(capacity=100)
    files.write("/sdcard/a", bytes(60))
    with pytest.raises(OSError, match="No space left") as full:
        files.write("/sdcard/b", bytes(41))
    assert full.value.errno == errno.ENOSPC
    files.write("/sdcard/a", bytes(100))
    files.remove("/sdcard/a")
    files.write("/sdcard/b", bytes(100))


# --- the sync service ---


class _Client:
    """A `Duplex` whose peer has already said everything."""

    def __init__(self, said: bytes) -> None:
        self._said = io.BytesIO(said)
        self.heard = b""

    def recv(self, n: int) -> bytes:
        return self._said.read(min(n, 1000))

    def send(self, data: bytes) -> None:
        self.heard += data

    def close(self) -> None:
        pass


def _sync(files: DeviceFiles, said: bytes) -> bytes:
    client = _Client(said)
    with contextlib.suppress(ConnectionError):  # that is how a client that breaks off ends
        SyncService(client, files, Budget(files.capacity), lambda request: None, lambda data: data).run()
    return client.heard


def _message(name: bytes, content: bytes | int) -> bytes:
    return name + struct.pack("<I", content) if isinstance(content, int) else _message(name, len(content)) + content


def test_a_file_goes_there_and_back() -> None:
    files = DeviceFiles()
    data = os.urandom(150_000)
    send = _message(b"SEND", b"/sdcard/new/folder/f.bin,33188") + _message(b"DATA", data[:65536])
    send += _message(b"DATA", data[65536:131072]) + _message(b"DATA", data[131072:]) + _message(b"DONE", 1234)
    assert _sync(files, send + _message(b"QUIT", 0)) == b"OKAY\0\0\0\0"
    assert files.read("/sdcard/new/folder/f.bin") == data
    assert files.stat("/sdcard/new/folder/f.bin").mtime == 1234
    back = _sync(files, _message(b"RECV", b"/sdcard/new/folder/f.bin"))
    assert len(back) == len(data) + 3 * 8 + 8
    assert back.startswith(b"DATA\x00\x00\x01\x00") and back.endswith(b"DONE\0\0\0\0")


def test_stat_and_list() -> None:
    files = DeviceFiles()
    files.mkdir("/sdcard/d")
    files.write("/sdcard/d/ü", b"12", mtime=99)
    reply = _sync(files, _message(b"STAT", b"/sdcard/none") + _message(b"STAT", "/sdcard/d/ü".encode()))
    assert reply == b"STAT" + bytes(12) + b"STAT" + struct.pack("<III", stat.S_IFREG | 0o644, 2, 99)
    listed = _sync(files, _message(b"LIST", b"/sdcard/d"))
    entry = b"DENT" + struct.pack("<IIII", stat.S_IFREG | 0o644, 2, 99, 2) + "ü".encode()
    assert listed.endswith(entry + b"DONE" + bytes(16))
    assert listed.count(b"DENT") == 3  # with . and ..
    assert _sync(files, _message(b"LIST", b"/sdcard/none")) == b"DONE" + bytes(16)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (_message(b"RECV", b"/none"), b"open failed: No such file or directory"),
        (_message(b"RECV", b"/sdcard"), b"open failed: Is a directory"),
        (_message(b"SEND", b"/system/x,33188") + _message(b"DATA", b"1") + _message(b"DONE", 0), b"Permission denied"),
        (_message(b"SEND", b"/sdcard/x,41471") + _message(b"DATA", b"1") + _message(b"DONE", 0), b"only regular files"),
        (_message(b"SEND", "/sdcard/x,²".encode()) + _message(b"DONE", 0), b"PATH,MODE"),
        (_message(b"SEND", b"nonsense") + _message(b"DONE", 0), b"PATH,MODE"),
        (_message(b"SEND", b"/sdcard,33188") + _message(b"DONE", 0), b"Is a directory"),
        (_message(b"SEND", b"/sdcard/x,33188") + _message(b"DATA", bytes(65537)), b"oversize data message"),
        (_message(b"STA2", b"/sdcard"), b"unknown command"),
        (_message(b"STAT", b"/" * 1025), b"too long"),
    ],
)
def test_what_cannot_be_done_is_said(said: bytes, reason: bytes) -> None:
    files = DeviceFiles()
    before = files.list("/sdcard")
    reply = _sync(files, said)
    assert reply.startswith(b"FAIL") and reason in reply
    assert struct.unpack_from("<I", reply, 4)[0] == len(reply) - 8
    assert files.list("/sdcard") == before


def test_a_file_too_big_is_refused_and_not_kept() -> None:
    files = DeviceFiles(capacity=100_000)
    send = _message(b"SEND", b"/sdcard/x,33188") + _message(b"DATA", bytes(60_000)) * 2 + _message(b"DONE", 0)
    reply = _sync(files, send + _message(b"STAT", b"/sdcard"))
    assert b"No space left on device" in reply
    assert b"STAT" in reply, "the stream goes on after a refusal"
    assert not files.exists("/sdcard/x")


def test_half_a_file_is_no_file() -> None:
    files = DeviceFiles()
    assert _sync(files, _message(b"SEND", b"/sdcard/x,33188") + _message(b"DATA", b"half")) == b""
    assert not files.exists("/sdcard/x")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b"SEND", b"DATA", b"DONE", b"RECV", b"LIST", b"STAT", b"\4\0\0\0", b"/x,1"]),
        ),
        max_size=12,
    )
)
def test_no_bytes_harm_the_service(pieces: list[bytes]) -> None:
    files = DeviceFiles()
    reply = _sync(files, b"".join(pieces))
    assert len(reply) < 10_000
    assert files.is_dir("/sdcard")
