"""Folders that are whole or absent: every step of their writing fails once, writers are killed, leftovers are swept."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from distrl_trainer import folders
from distrl_trainer.folders import sweep, write_folder
from distrl_trainer.storage import StorageError

DEAD = 999_999_999
"""No process has this number: Linux counts to 4,194,304 at most."""


def fill(text: str):
    def write(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "a").write_text(text)
        (folder / "sub" / "b").write_text(text)

    return write


def content(target: Path) -> list[str]:
    return [(target / "a").read_text(), (target / "sub" / "b").read_text()]


def steps_until_done(tmp_path, monkeypatch, error) -> list[list[str]]:
    """Write `policy` again and again, failing at the first, second, ... call of the system; return what was there."""
    found: list[list[str]] = []
    for failing in range(1, 100):
        root = tmp_path / f"{type(error).__name__}-{failing}"
        write_folder(root / "policy", fill("1"))
        with monkeypatch.context() as patch:
            calls = count_calls(patch, failing, error)
            with contextlib.suppress(StorageError, KeyboardInterrupt):
                write_folder(root / "policy", fill("2"))
            done = calls[0] < failing
        assert os.listdir(root) == ["policy"], f"call {failing}"
        found.append(content(root / "policy"))
        if done:
            return found
    raise AssertionError("writing a folder takes 100 calls")


def count_calls(patch, failing, error) -> list[int]:
    calls = [0]

    def watched(real):
        def call(*arguments, **more):
            calls[0] += 1
            if calls[0] == failing:
                raise error
            return real(*arguments, **more)

        return call

    for owner, name in ((Path, "rename"), (Path, "mkdir"), (os, "fsync"), (Path, "write_text")):
        patch.setattr(owner, name, watched(getattr(owner, name)))
    return calls


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_is_replaced_whole_or_not_at_all_whichever_step_fails(error, tmp_path, monkeypatch):
    found = steps_until_done(tmp_path, monkeypatch, error)
    assert len(found) > 8 and all(texts in (["1", "1"], ["2", "2"]) for texts in found)
    assert found[0] == ["1", "1"] and found[-1] == ["2", "2"]


def test_a_full_disk_is_told_whoever_finds_it_full(tmp_path):
    def fails(folder: Path) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(StorageError, match="No space left"):
        write_folder(tmp_path / "policy", fails)
    assert not os.listdir(tmp_path)


def test_what_cannot_be_put_back_stays_until_it_is_swept(tmp_path, monkeypatch):
    write_folder(tmp_path / "warm", fill("1"))
    rename, calls = Path.rename, []

    def only_the_first(self, target):
        calls.append(target)
        if len(calls) > 1:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_the_first)
        with pytest.raises(StorageError, match="Input/output error"):
            write_folder(tmp_path / "warm", fill("2"))
    assert not (tmp_path / "warm").exists()
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["warm"] and content(tmp_path / "warm") == ["1", "1"]


def test_leftovers_of_killed_writers_are_swept_and_nothing_else(tmp_path):
    kept = ["policy/a", "warm/a", "checkpoints/step-000000001/a", "inbox/x.traj", ".git/a", f".notes-{DEAD}/a", "a.tmp"]
    gone = [f".policy-{DEAD}/a", f".policy-old-{DEAD}/a", f"checkpoints/.draft-step-000000002-{DEAD}/a"]
    gone += [f".config.yaml.{DEAD}.tmp", f"inbox/.x.traj.{DEAD}.tmp", f"inbox/refused/.y.traj.{DEAD}.tmp"]
    gone += [f".summary.json.{os.getpid()}.tmp"]  # a process had our number before us
    living = [f"inbox/.z.traj.{os.getppid()}.tmp", f"checkpoints/.draft-step-000000003-{os.getppid()}/a"]
    for name in [*kept, *gone, *living]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {*kept, *living}
    sweep(tmp_path)


def test_a_writer_killed_between_the_two_renames_has_lost_nothing(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path; from distrl_trainer.folders import write_folder\n"
        "rename = Path.rename\n"
        "def killed(self, target):\n"
        "    rename(self, target); os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.rename = killed\n"
        "write_folder(Path(sys.argv[1]), lambda folder: (folder / 'a').write_text('2') and None)\n"
    )
    write_folder(tmp_path / "policy", fill("1"))
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "policy")], check=False)
    assert ended.returncode == -signal.SIGKILL and not (tmp_path / "policy").exists()
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["policy"] and content(tmp_path / "policy") == ["1", "1"]


def test_a_leftover_that_cannot_be_removed_stops_nobody(tmp_path, monkeypatch, caplog):
    (tmp_path / f".policy-{DEAD}").mkdir()
    monkeypatch.setattr(folders.shutil, "rmtree", raise_denied)
    sweep(tmp_path)
    assert "could not remove" in caplog.text and "Permission denied" in caplog.text


def raise_denied(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")
