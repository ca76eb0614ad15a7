"""Fleets: serial is reproducible, processes survive kills and leave nothing behind."""

import itertools
import os
import signal
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import psutil
import pytest
from runtime_fakes import TEMPLATES, FakePolicy, build_broken, build_fake, fake_pool, fake_spec

from android_env_gym.vector import EnvSpec
from distrl_trainer import process_fleet
from distrl_trainer.board import Board, BoardTasks
from distrl_trainer.collector import CollectorName, CollectorStats
from distrl_trainer.collector_process import CollectorSetup
from distrl_trainer.config import FleetConfig, PolicyConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import FleetError, Retries, SerialFleet, TaskQueue
from distrl_trainer.inbox import Inbox
from distrl_trainer.incarnations import Incarnations
from distrl_trainer.observations import View
from distrl_trainer.process_fleet import CLOSE_SECONDS, ProcessFleet
from distrl_trainer.trajectory_files import TrajectoryFiles

VIEW = View()


def never():
    return False


class Serial(SerialFleet):
    """A serial fleet over an inbox of its own; `take` returns what arrived, as the learner takes it."""

    def __init__(self, device="sim", seed=0, policy=None, **more):
        self.folder = tempfile.TemporaryDirectory()
        inbox = Inbox(Path(self.folder.name) / "inbox")
        super().__init__(
            fake_pool(4, device), policy or FakePolicy(), TEMPLATES, inbox=inbox, seed=seed, view=VIEW, **more
        )

    def take(self, steps, stop=never):
        return trajectories(self.collect(steps, stop))


def trajectories(arrived):
    return [received.trajectory for received in arrived]


def acknowledge(arrived, tmp_path):
    files = TrajectoryFiles(tmp_path)
    for received in arrived:
        files.admit(received)


def played(trajectories):
    return [(item.id, item.template, item.instance, [step.token_ids for step in item.steps]) for item in trajectories]


def test_serial_rounds_are_whole_and_reproducible():
    first, second = Serial(), Serial()
    for fleet in (first, second):
        fleet.start()
    a, b = first.take(40), second.take(40)
    assert played(a) == played(b)
    assert sum(len(item.steps) for item in a) >= 40
    stats = first.stats()
    assert stats.in_flight == 0 and stats.episodes == len(a) and 0 < stats.busy <= 1
    assert first.take(0) == []
    first.close()
    second.close()


def test_serial_state_continues_exactly():
    whole, part = Serial(), Serial()
    probabilities = np.array([0.9, 0.1])
    whole.share(probabilities)
    part.share(probabilities)
    first = whole.take(30)
    assert played(part.take(30)) == played(first)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(part.state(), enc_hook=lambda a: a.tolist()))
    resumed = Serial()
    resumed.load_state(state)
    later = whole.take(30)
    assert played(resumed.take(30)) == played(later)
    assert not {item.id for item in first} & {item.id for item in later}


@pytest.mark.parametrize("device", ["fail-odd", "fail-fifth", "fail-half"])
def test_how_fast_the_clock_runs_changes_no_round_when_phones_fail(monkeypatch, device):
    rounds, ticks = [], itertools.count()
    for second in (1e-6, 30.0):
        monkeypatch.setattr(time, "monotonic", lambda second=second: second * next(ticks))
        fleet = Serial(device)
        rounds.append([played(fleet.take(40)) for _ in range(6)])
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("device", ["fail-odd", "fail-fifth", "fail-half"])
def test_serial_state_continues_exactly_when_phones_fail(device, tmp_path):
    whole = Serial(device)
    rounds = [played(whole.take(25)) for _ in range(8)]
    for cut in (1, 3, 5):
        part = Serial(device)
        for _ in range(cut):
            part.take(25)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(part.state(), enc_hook=lambda a: a.tolist()))
        # The phones stay as they are: what is stored is the fleet.
        resumed = SerialFleet(part._pool, FakePolicy(), TEMPLATES, inbox=Inbox(tmp_path / str(cut)), seed=0, view=VIEW)
        resumed.load_state(state)
        assert [played(trajectories(resumed.collect(25, never))) for _ in range(cut, 8)] == rounds[cut:]


def test_leftovers_are_played_again_by_phones_that_repeat_and_arrive_from_others(tmp_path):
    names = [f"c0.0-{number:08d}" for number in range(12)]
    for repeats in (True, False):
        fleet = Serial(published=None if repeats else tmp_path / "published.json")
        fleet.take(8)
        started = fleet.state()["collector"]["episodes"]
        assert 0 < started < 10
        # Those before the state have finished for good, whoever wrote `demo` is not this fleet.
        again = fleet.recall({*names[: started + 2], "demo"})
        assert again == (set(names[started : started + 2]) if repeats else set())
        following = min(item.id for item in fleet.take(8))
        assert following == names[started if repeats else started + 2]


def test_the_newest_version_of_phones_that_cannot_repeat_outlives_the_learner(tmp_path):
    path = tmp_path / "run" / "published.json"
    Serial(published=path).publish(FakePolicy(), 7)
    assert Serial(published=path).newest_version() == 7 and Serial().newest_version() == -1
    path.write_bytes(b"{}")
    with pytest.raises(FleetError, match=r"published\.json is damaged"):
        Serial(published=path).newest_version()


def test_serial_stops_on_request_and_finishes_what_runs():
    fleet = Serial()
    calls = iter([False, False, True, True, True, True, True, True, True, True, True, True])
    found = fleet.take(10**6, lambda: next(calls, True))
    assert found and fleet.stats().in_flight == 0


def test_failed_tasks_run_again_until_their_attempts_are_used():
    fleet = Serial(device="fail-fifth")
    found = fleet.take(300)
    broken = [(item.template, item.instance) for item in found if not item.reward_valid]
    assert broken
    counts = [broken.count(task) for task in set(broken)]
    assert max(counts) == 3
    retries = Retries()
    failed = next(item for item in found if not item.reward_valid)
    assert retries.request(failed) == TaskRequest(failed.template, failed.instance, attempt=1)
    assert retries.request(failed).attempt == 2
    assert retries.request(failed) is None
    assert retries.request(msgspec.structs.replace(failed, reward_valid=True)) is None


def test_phones_that_always_fail_end_the_round_with_a_reason():
    with pytest.raises(FleetError, match="the fake broke"):
        Serial(device="dead").take(1000)


def test_the_queue_hands_out_repeats_first_and_nothing_while_closed():
    queue = TaskQueue(TEMPLATES)
    queue.again(TaskRequest("fake.odd", 7, attempt=1))
    queue.open = False
    generator = np.random.default_rng(0)
    assert queue.next(generator) is None and queue.due() == [TaskRequest("fake.odd", 7, attempt=1)]
    queue.open = True
    assert queue.next(generator).instance == 7
    assert queue.next(generator).template in TEMPLATES


def test_the_board_holds_collectors_back_and_forgets_lost_steps():
    board = Board(2, 2)
    tasks = BoardTasks(board, TEMPLATES)
    board.probabilities[:] = [1.0, 0.0]
    generator = np.random.default_rng(0)
    assert board.held and tasks.next(generator) is None
    board.allow(10)
    assert tasks.next(generator).template == TEMPLATES[0]
    board.write(0, CollectorStats(env_steps=6, steps_in_flight=2))
    board.write(1, CollectorStats(env_steps=4, act_seconds=1.5))
    assert board.held and board.read(1).act_seconds == 1.5
    seen = Board(2, 2, board.cells)
    assert seen.held and seen.read(0).env_steps == 6
    board.retire(4)
    board.clear(0)
    assert not board.held


def setups(tmp_path, count=1, device="sim"):
    return [
        CollectorSetup(
            name=CollectorName(seed=1, index=index), envs=(fake_spec(device),) * 2, policy=PolicyConfig(),
            templates=TEMPLATES, inbox=str(tmp_path / "inbox"), weights=str(tmp_path / "weights"),
        )
        for index in range(count)
    ]  # fmt: skip


def fleet_of(tmp_path, count=1, device="sim", build=build_fake, setups_=None, **more):
    numbers = Incarnations(tmp_path / "fleet.json")
    inbox = Inbox(tmp_path / "inbox")
    setups_ = setups_ or setups(tmp_path, count, device)
    return ProcessFleet(setups_, inbox=inbox, incarnations=numbers, build=build, **more)


def test_a_collector_has_time_to_close_the_devices_of_its_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(process_fleet.time, "monotonic", lambda: 100.0)
    deadlines = []
    for device, workers in (("sim", 0), ("adb:R5", 2)):
        setup = msgspec.structs.replace(setups(tmp_path)[0], envs=(EnvSpec(device=device),), workers=workers)
        fleet = fleet_of(tmp_path, setups_=[setup])
        fleet._workers[0] = SimpleNamespace(end=deadlines.append)
        fleet.close()
    assert deadlines == [100.0 + CLOSE_SECONDS, 100.0 + CLOSE_SECONDS + EnvSpec(device="adb:R5").close_seconds]


def children():
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    ]


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)  # polls another process


@pytest.mark.slow
def test_processes_follow_versions_hold_survive_a_kill_and_leave_nothing(tmp_path):
    before = {child.pid for child in children()}
    fleet = fleet_of(tmp_path, config=FleetConfig(restarts=3))
    policy = FakePolicy()
    fleet.publish(policy, 0)
    fleet.allow(20)
    fleet.start()
    try:
        wait_for(lambda: fleet._board.held and fleet.stats().in_flight == 0)
        made = fleet.stats().env_steps
        assert 20 <= made <= 20 + 2 * 6  # held back at the allowance; what was begun is finished
        arrived = fleet.collect(0, never)
        acknowledge(arrived, tmp_path)
        found = trajectories(arrived)
        assert sum(len(item.steps) for item in found) == made
        assert {item.oldest_version for item in found} == {0}
        fleet.allow(10**9)
        fleet.publish(policy, 1)
        seen = []
        wait_for(
            lambda: seen.extend(fleet.collect(1, never)) or any(s.version for r in seen for s in r.trajectory.steps)
        )
        acknowledge(seen, tmp_path)
        victim = fleet.processes[0]
        for terminal in (signal.SIGINT, signal.SIGHUP):  # ignored: what a terminal sends is the learner's matter
            os.kill(victim, terminal)
        alive = trajectories(fleet.collect(20, never))
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(victim) or psutil.Process(victim).status() == "zombie")
        waiting = fleet._inbox.waiting()
        survivors = trajectories(fleet.collect(10**6, lambda: True))
        assert len(survivors) == waiting and all(item.reward_valid for item in survivors)
        assert fleet.stats().restarts == 0  # who has been asked to stop replaces nobody
        reborn = trajectories(fleet.collect(1, never))
        assert all("c0.1-" in item.id for item in reborn)
        assert fleet.stats().restarts == 1 and len(fleet.processes) == 1
        ids = [item.id for item in found + alive + survivors + reborn]
        assert len(ids) == len(set(ids))
    finally:
        fleet.close()
    fleet.close()
    wait_for(lambda: {child.pid for child in children()} <= before, 10.0)
    stats = fleet.stats()
    assert stats.env_steps > 50 and 0 < stats.busy <= 1
    # What was collected and not moved on is handed to the next fleet, which numbers its collectors on.
    again = fleet_of(tmp_path)
    again.load_state(fleet.state())
    left = {received.trajectory.id for received in again._inbox.drain()}
    assert {item.id for item in alive + survivors + reborn} <= left
    assert not {item.id for item in found} & left
    assert again.state() == {"incarnations": [2]} and again.newest_version() == 1


@pytest.mark.slow
def test_a_collector_that_cannot_start_ends_the_run_with_a_reason(tmp_path):
    fleet = fleet_of(tmp_path, build=build_broken)
    fleet.publish(FakePolicy(), 0)
    fleet.start()
    with pytest.raises(FleetError, match=r"c0\.0 could not begin: .* RuntimeError: this collector cannot start"):
        fleet.collect(1, never)
    fleet.close()


def test_setups_must_be_numbered(tmp_path):
    with pytest.raises(ValueError, match="numbered"):
        fleet_of(tmp_path, setups_=setups(tmp_path, count=2)[1:])
