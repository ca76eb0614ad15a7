"""Inbox: order, at-least-once delivery, refusal of broken files, a full disk."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
from pathlib import Path

import pytest

from distrl_trainer.inbox import Inbox
from distrl_trainer.storage import StorageError, write_atomic
from distrl_trainer.trajectory import Step, Trajectory, decode, encode


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


def drained(inbox: Inbox, limit: int | None = None) -> list[str]:
    return [received.trajectory.id for received in inbox.drain(limit)]


def test_hands_out_in_order_of_arrival_and_once(tmp_path: Path):
    inbox = Inbox(tmp_path)
    names = [f"e{index}" for index in range(12)]
    for name in names:
        inbox.put(trajectory(name))
    assert inbox.waiting() == 12
    assert drained(inbox, 5) == names[:5]
    assert drained(inbox) == names[5:]
    assert drained(inbox) == []
    assert inbox.waiting() == 0


def test_what_was_not_acknowledged_is_seen_again_after_a_restart(tmp_path: Path):
    inbox = Inbox(tmp_path)
    for name in ("a", "b", "c"):
        inbox.put(trajectory(name))
    received = inbox.drain()
    assert received[1].trajectory == trajectory("b")
    inbox.acknowledge(received[1])
    inbox.acknowledge(received[1])
    assert drained(Inbox(tmp_path)) == ["a", "c"]


def test_a_file_is_plain_msgpack(tmp_path: Path):
    path = Inbox(tmp_path).put(trajectory("a"))
    assert decode(path.read_bytes()) == trajectory("a")


def _put_many(folder: Path, start: int) -> None:
    inbox = Inbox(folder)
    for index in range(20):
        inbox.put(trajectory(f"{start}-{index}", collector="same name"))


def test_collectors_of_one_name_lose_nothing(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_put_many, args=(tmp_path, start)) for start in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    names = drained(Inbox(tmp_path))
    assert len(set(names)) == len(names) == 60
    for start in range(3):
        own = [name for name in names if name.startswith(f"{start}-")]
        assert own == [f"{start}-{index}" for index in range(20)]


def test_order_survives_a_clock_that_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inbox = Inbox(tmp_path)
    for name, stamp in (("a", 100), ("b", 50), ("c", 50)):
        monkeypatch.setattr("distrl_trainer.inbox.time.time_ns", lambda stamp=stamp: stamp)
        inbox.put(trajectory(name))
    assert drained(inbox) == ["a", "b", "c"]


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_half, _one_bit])
def test_broken_files_are_set_aside_named_and_counted(tmp_path: Path, damage, caplog: pytest.LogCaptureFixture):
    inbox = Inbox(tmp_path)
    inbox.put(trajectory("a"))
    broken = inbox.put(trajectory("b"))
    inbox.put(trajectory("c"))
    damage(broken)
    content = broken.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert drained(inbox) == ["a", "c"]
    assert (tmp_path / "refused" / broken.name).read_bytes() == content
    assert inbox.refused == 1
    assert len(caplog.records) == 1
    assert broken.name in caplog.text
    assert drained(Inbox(tmp_path)) == ["a", "c"]


def test_foreign_and_inconsistent_files_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inbox = Inbox(tmp_path)
    (tmp_path / "mine.traj").write_bytes(encode(trajectory("a")))
    (tmp_path / "0-00000000.traj").write_bytes(b"")
    inbox.put(trajectory("b", frames=5))
    (tmp_path / "notes.txt").write_text("left alone")
    assert inbox.drain() == []
    assert inbox.refused == 3
    for reason in ("does not end in -CHECKSUM", "not a trajectory", "5 frames for 1 steps"):
        assert reason in caplog.text
    assert (tmp_path / "notes.txt").exists()


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inbox = Inbox(tmp_path)
    inbox.put(trajectory("a"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"cannot write .*: the disk is full; free space"):
            inbox.put(trajectory("b"))
    assert len(list(tmp_path.iterdir())) == 1
    assert drained(inbox) == ["a"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    blocked = tmp_path / "absent" / "file"
    with pytest.raises(StorageError, match="No such file"):
        write_atomic(blocked, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_message_of_a_real_full_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        write_atomic(target, b"x")
    assert list(tmp_path.iterdir()) == []
