"""Inbox: order, delivery again after a restart, refusal of broken and hostile files, a full disk."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import socket
import time
from pathlib import Path

import pytest

from distrl_trainer import inbox as inbox_module
from distrl_trainer.door import Rules
from distrl_trainer.inbox import Inbox, InboxError
from distrl_trainer.storage import StorageError, write_atomic
from distrl_trainer.trajectory import Step, Trajectory, decode, encode
from distrl_trainer.trajectory_file import file_name


def trajectory(name: str, collector: str = "c/0", frames: int = 2) -> Trajectory:
    step = Step(token_ids=(1,), logprobs=(-0.5,), text="", action=b"", version=0, value=0.0)
    return Trajectory(
        id=name,
        template="t",
        task_id="t/0",
        split="train",
        instance=0,
        instruction="do it",
        steps=(step,),
        frames=(b"png" * 100,) * frames,
        terminated=True,
        truncated=False,
        success=True,
        collector=collector,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def drained(inbox: Inbox, limit: int | None = None) -> list[str]:
    return [received.trajectory.id for received in inbox.drain(limit)]


def test_hands_out_in_order_of_arrival_and_once(folder: Path):
    inbox = Inbox(folder)
    names = [f"e{index}" for index in range(12)]
    for name in names:
        inbox.put(trajectory(name))
    assert inbox.waiting() == 12
    assert drained(inbox, 5) == names[:5]
    assert drained(inbox) == names[5:]
    assert drained(inbox) == []
    assert inbox.waiting() == 0


def test_what_was_not_moved_on_is_seen_again_after_a_restart(folder: Path):
    inbox = Inbox(folder)
    for name in ("a", "b", "c"):
        inbox.put(trajectory(name))
    received = inbox.drain()
    assert received[1].trajectory == trajectory("b")
    (folder / received[1].name).unlink()
    assert drained(Inbox(folder)) == ["a", "c"]


def test_a_file_is_plain_msgpack(folder: Path):
    path = Inbox(folder).put(trajectory("a"))
    assert decode(path.read_bytes()) == trajectory("a")


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a\nb", "x" * 101, "é"])
def test_an_id_that_is_no_file_name_is_not_written(folder: Path, name: str):
    with pytest.raises(ValueError, match="allowed are 1 to 100"):
        Inbox(folder).put(trajectory(name))
    assert not list(folder.iterdir())


def _put_many(folder: Path, start: int) -> None:
    inbox = Inbox(folder)
    for index in range(20):
        inbox.put(trajectory(f"{start}-{index}", collector="same name"))


def test_collectors_of_one_name_lose_nothing(folder: Path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_put_many, args=(folder, start)) for start in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    names = drained(Inbox(folder))
    assert len(set(names)) == len(names) == 60
    for start in range(3):
        own = [name for name in names if name.startswith(f"{start}-")]
        assert own == [f"{start}-{index}" for index in range(20)]


def test_no_clock_enters_names_and_order(folder: Path, monkeypatch: pytest.MonkeyPatch):
    names = []
    for stamp in (1.0, 2e9):
        for clock in ("time", "time_ns", "monotonic", "monotonic_ns"):
            monkeypatch.setattr(time, clock, lambda stamp=stamp: stamp)
        inbox = Inbox(folder / str(stamp))
        names.append([inbox.put(trajectory(name)).name for name in "cab"])
        assert drained(inbox) == ["c", "a", "b"]
    assert names[0] == names[1]


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_content(path: Path) -> None:
    path.write_bytes(encode(trajectory("z")))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _endless_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path is at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def _sparse(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 40)


DAMAGES = [
    _half, _one_bit, _empty, _other_content, _fifo, _folder, _link, _broken_link, _endless_link, _socket, _sparse,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_broken_files_are_set_aside_named_and_counted(folder: Path, damage, caplog: pytest.LogCaptureFixture):
    inbox = Inbox(folder)
    inbox.put(trajectory("a"))
    broken = inbox.put(trajectory("b"))
    inbox.put(trajectory("c"))
    damage(broken)
    with caplog.at_level(logging.WARNING):
        assert drained(inbox) == ["a", "c"]
    aside = folder.parent / "refused" / broken.name
    assert os.path.lexists(aside) and not os.path.lexists(broken)
    reason = aside.with_name(f"{broken.name}.reason").read_text()
    assert inbox.refused == 1 and len(caplog.records) == 1
    assert broken.name in caplog.text and reason.strip() in caplog.text
    assert drained(Inbox(folder)) == ["a", "c"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(folder: Path):
    inbox = Inbox(folder)
    inbox.put(trajectory("a")).chmod(0)
    assert drained(inbox) == [] and inbox.refused == 1


def test_a_file_that_the_system_will_not_open_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    inbox = Inbox(folder)
    inbox.put(trajectory("a"))

    def fails(*_: object) -> int:
        raise OSError(error, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails)
        error = errno.EMFILE  # not the file's fault: it stays
        with pytest.raises(StorageError, match="cannot read"):
            inbox.drain()
    inbox = Inbox(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails)
        error = errno.EACCES
        assert drained(inbox) == [] and inbox.refused == 1
    assert not list(folder.iterdir())


def test_foreign_and_inconsistent_files_are_refused(folder: Path, caplog: pytest.LogCaptureFixture):
    inbox = Inbox(folder)
    (folder / "mine.traj").write_bytes(encode(trajectory("a")))
    (folder / file_name(0, "a", b"")).write_bytes(b"")
    (folder / file_name(0, "a", encode(trajectory("b")))).write_bytes(encode(trajectory("b")))
    (folder / "notes.txt").write_text("left alone")
    assert inbox.drain() == []
    assert inbox.refused == 3
    for reason in ("not NUMBER-ID-CHECKSUM", "not a trajectory", "holds the trajectory 'b', unlike its name"):
        assert reason in caplog.text
    assert (folder / "notes.txt").exists()


def test_hostile_names_are_one_harmless_line(folder: Path, caplog: pytest.LogCaptureFixture):
    inbox = Inbox(folder)
    names = [b"a\nERROR \x1b[2J.traj", b"\xff\xfe.traj", b"x" * 250 + b".traj", b"-rf.traj"]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(b"x")
    for _ in range(2):  # a second one of the same name does not hide the first
        inbox.drain()
        (folder / "-rf.traj").write_bytes(b"x")
    inbox.drain()
    inbox.drain()
    assert inbox.refused == 6 and len(caplog.records) == 6
    assert all(record.getMessage().isprintable() and record.getMessage().isascii() for record in caplog.records)
    aside = [path for path in (folder.parent / "refused").iterdir() if path.suffix != ".reason"]
    assert len(aside) == 6 and all(path.with_name(f"{path.name}.reason").exists() for path in aside)


def test_what_cannot_be_moved_away_is_told_once_and_blocks_nothing(folder: Path, monkeypatch, caplog):
    inbox = Inbox(folder)
    (folder / "bad.traj").write_bytes(b"x")
    inbox.put(trajectory("a"))

    def fails(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", fails)
    assert drained(inbox) == ["a"] and drained(inbox) == []
    assert len(caplog.records) == 1 and "cannot be moved (Permission denied)" in caplog.text


def test_the_door_refuses_and_a_run_of_nothing_else_ends(folder: Path, monkeypatch, caplog):
    rules = Rules(templates=frozenset({"other"}), split="train", screen=(8, 6), max_steps=6, newest_version=0)
    monkeypatch.setattr(inbox_module, "MAX_REFUSED_IN_A_ROW", 5)
    inbox = Inbox(folder, lambda: rules)
    for index in range(6):
        inbox.put(trajectory(f"e{index}"))
    with pytest.raises(InboxError, match=r"last 5 finished episodes were all refused, the last because its template"):
        inbox.drain()
    assert (inbox.refused, inbox.refused_steps) == (5, 5)
    assert Inbox(folder, lambda: rules).drain() == []


def test_a_full_disk_is_told_and_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch):
    inbox = Inbox(folder)
    inbox.put(trajectory("a"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"cannot write .*: the disk is full; free space"):
            inbox.put(trajectory("b"))
    assert len(list(folder.iterdir())) == 1
    assert drained(inbox) == ["a"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    blocked = tmp_path / "absent" / "file"
    with pytest.raises(StorageError, match="No such file"):
        write_atomic(blocked, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_message_of_a_real_full_device(tmp_path: Path):
    target = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        write_atomic(target, b"x")
    assert list(tmp_path.iterdir()) == []
