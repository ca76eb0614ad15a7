"""A learner may die between any two operations on files: no episode is lost, and none is used or counted twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from runtime_fakes import TEMPLATES, FakePolicy, episode, fake_config

from distrl_trainer import checkpoint
from distrl_trainer.books import Books
from distrl_trainer.inbox import Inbox
from distrl_trainer.learner import Learner
from distrl_trainer.observations import View
from distrl_trainer.replay import Replay
from distrl_trainer.trajectory_files import TrajectoryFiles

CONFIG = fake_config(replay={"capacity_steps": 12, "cache_mib": 0})
KEEP = 2


class Killed(BaseException):
    """Stands for SIGKILL: nothing may be cleaned up after it."""


def finished(number: int):
    """The episode of one number: every fourth failed, every fifth is too late, every sixth comes twice."""
    late = -(number % 5 == 4)
    found = episode([number % 4, 1, 2, 0][: 2 + number % 3], name=f"c0.0-{number:08d}", reward_valid=number % 4 != 3)
    steps = tuple(msgspec.structs.replace(step, version=100 + 100 * late) for step in found.steps)
    return msgspec.structs.replace(found, steps=steps)


class Run:
    """What `RLPhase` and `DistRL` do with files, without the phones and the network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replay = Replay(CONFIG.replay, folder)
        self.replay.files.keep_spent = True
        self.books = Books(CONFIG, TEMPLATES)
        self.books.counters.version = 100
        self.learner = Learner(FakePolicy(), CONFIG.algorithm, view=View(), seed=0)
        self.arrived: list[str] = []
        newest = checkpoint.latest_good(folder / "checkpoints")
        if newest is not None:
            parts = checkpoint.load(newest)
            self.replay.load_state(parts["replay"])
            self.books.load_state(parts["books"])
            self.arrived = parts["arrived"]
        self.replay.files.restore(self.replay.file_names, lambda _: set())
        self.inbox = Inbox(self.replay.files.inbox)

    def take(self) -> None:
        for received in self.inbox.drain():
            self.books.arrive(received, self.replay, self.learner, 0.0)
            self.arrived.append(received.trajectory.id)
        if len(self.replay):
            self.replay.sample(np.random.default_rng(0), n_steps=4)

    def save(self) -> None:
        parts = {"replay": self.replay.state(), "books": self.books.state(), "arrived": self.arrived}
        checkpoint.save(self.folder / "checkpoints", len(self.arrived), parts)
        kept = checkpoint.prune(self.folder / "checkpoints", KEEP)
        self.replay.files.sweep(checkpoint.read_part(one, "replay")["spent"] for one in kept)

    def check(self, made: int) -> None:
        """Every episode that was ever finished arrived exactly once in the history that this run has."""
        expected = [f"c0.0-{number:08d}" for number in range(made)]
        assert Counter(self.arrived) == Counter(expected)
        counters = self.books.counters
        assert counters.trajectories == made
        assert counters.failures == sum(number % 4 == 3 for number in range(made))
        assert counters.duplicates == 0
        counts = self.books.gate.counts
        assert counts.admitted + counts.dropped == made - counters.failures
        held = set(self.replay.file_names)
        on_disk = {path.name for place in ("replay", "counted") for path in (self.folder / place).glob("*.traj")}
        assert held <= on_disk and on_disk - held == self.replay.files.spent
        assert all(self.replay[int(id_)] for id_ in self.replay.ids)
        assert not list((self.folder / "inbox").iterdir()) and not (self.folder / "refused").exists()


OPERATIONS = [(os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "fsync"), (os, "mkdir")]


@contextlib.contextmanager
def killed_at(count: int):
    """Raise `Killed` instead of the operation on files numbered `count`, and of every later one."""
    done = [0]
    originals = [getattr(module, name) for module, name in OPERATIONS]

    def counted(original):
        def operation(*arguments, **more):
            done[0] += 1
            if done[0] > count:
                raise Killed
            return original(*arguments, **more)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for (module, name), original in zip(OPERATIONS, originals, strict=True):
            patch.setattr(module, name, counted(original))
        yield done


def begin(folder: Path) -> Run:
    """A run in its stride: two checkpoints, evicted, failed and late episodes, and some arrivals after them."""
    run, writer = Run(folder), Inbox(folder / "inbox")
    for number in range(24):
        writer.put(finished(number))
        run.take()
        if number in (8, 16):
            run.save()
    for number in range(24, 30):
        writer.put(finished(number))
    return run


def go_on(run: Run) -> None:
    run.take()
    run.save()
    run.save()


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_learner_killed_before_any_operation_loses_nothing_and_uses_nothing_twice(tmp_path: Path, stride: int):
    begin(tmp_path / "0")
    whole = Path(shutil.copytree(tmp_path / "0", tmp_path / "whole"))
    with killed_at(10**9) as done:
        go_on(Run(whole))
    assert done[0] > 40
    for count in range(0, done[0], stride):
        folder = Path(shutil.copytree(tmp_path / "0", tmp_path / str(1 + count)))
        # The process that dies is a resumed one, so the kill also strikes while files are put where they belong.
        with pytest.raises(Killed), killed_at(count):
            go_on(Run(folder))
        again = Run(folder)
        again.take()
        again.check(30)
        go_on(again)
        Run(folder).check(30)
        shutil.rmtree(folder)


def test_a_damaged_newest_checkpoint_costs_nothing_but_the_one_before(tmp_path: Path):
    run = begin(tmp_path)
    go_on(run)
    newest = checkpoint.latest_good(tmp_path / "checkpoints")
    (newest / "replay.msgpack").write_bytes(b"")
    again = Run(tmp_path)
    assert len(again.arrived) == 30  # the checkpoint before was made after the same arrivals
    again.check(30)
    for folder in (tmp_path / "checkpoints").iterdir():
        shutil.rmtree(folder)
    assert len(Run(tmp_path).inbox.drain()) == len(run.replay) + len(run.replay.files.spent)


def test_a_rename_that_a_power_cut_undid_is_done_again(tmp_path: Path):
    run = begin(tmp_path)
    go_on(run)
    for place in ("replay", "counted"):
        for path in (tmp_path / place).glob("*.traj"):
            path.rename(tmp_path / "inbox" / path.name)
    again = Run(tmp_path)
    again.check(30)


def test_spent_files_go_when_no_kept_checkpoint_needs_them(tmp_path: Path):
    run = begin(tmp_path)
    go_on(run)
    assert not run.replay.files.spent
    assert {path.name for path in tmp_path.rglob("*.traj")} == set(run.replay.file_names)
    # Without checkpoints nobody will go back: they go at once.
    files = TrajectoryFiles(tmp_path / "script")
    files.count(files.put(finished(3)).name)
    assert not list((tmp_path / "script").rglob("*.traj"))


def test_a_copy_of_a_held_file_does_not_take_it_away(tmp_path: Path):
    run = begin(tmp_path)
    run.take()
    name = run.replay.file_names[-1]
    shutil.copy(tmp_path / "replay" / name, tmp_path / "inbox" / name)
    run.inbox = Inbox(tmp_path / "inbox")
    run.take()
    assert run.books.counters.duplicates == 1
    go_on(run)
    assert Run(tmp_path).replay.file_names[-1] == name and not (tmp_path / "inbox" / name).exists()


def test_a_forged_copy_of_a_held_file_does_not_take_its_place_when_a_run_resumes(tmp_path: Path):
    run = begin(tmp_path)
    go_on(run)
    name = run.replay.file_names[-1]
    (tmp_path / "inbox" / name).write_bytes(b"not what replay holds")
    again = Run(tmp_path)
    assert again.replay[int(again.replay.ids[-1])].id == run.replay[int(run.replay.ids[-1])].id
    again.take()
    assert again.inbox.refused == 1 and len(again.arrived) == 30


LOOP = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_trajectory_files import Run, finished
from distrl_trainer.inbox import Inbox
folder = Path({folder!r})
run, writer = Run(folder), Inbox(folder / "inbox")
while True:
    number = len(list((folder / "made").iterdir()))
    path = writer.put(finished(number))
    (folder / "made" / str(number)).touch()
    run.take()
    if number % 3 == 0:
        run.save()
"""


@pytest.mark.slow
def test_a_real_sigkill_loses_nothing_and_uses_nothing_twice(tmp_path: Path):
    (tmp_path / "made").mkdir()
    generator = np.random.default_rng(0)
    for _ in range(3):
        before = len(list((tmp_path / "made").iterdir()))
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP.format(tests=str(Path(__file__).parent), folder=str(tmp_path))]
        )
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "made").iterdir())) < before + 12:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(float(generator.uniform(0, 0.05)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for draft in (tmp_path / "inbox").glob(".*"):
            draft.unlink()
        made = len(list((tmp_path / "made").iterdir()))
        again = Run(tmp_path)
        again.take()
        if len(again.arrived) == made + 1:  # killed between writing an episode and noting it
            (tmp_path / "made" / str(made)).touch()
            made += 1
        again.check(made)
