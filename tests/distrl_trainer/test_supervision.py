"""Supervision of collectors: budgets and bounds by arithmetic; then real processes, stopped, hung and killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import msgspec
import psutil
import pytest
from collector_fakes import (
    build_away,
    build_away_once,
    build_hanging,
    build_logging,
    fleet_of,
    never,
    setups,
)
from runtime_fakes import FakePhones, FakePolicy, fake_config
from test_fleet import wait_for

from distrl_trainer import process_fleet
from distrl_trainer.config import FleetConfig
from distrl_trainer.fleet import FleetError
from distrl_trainer.inbox import Inbox
from distrl_trainer.incarnations import Incarnations
from distrl_trainer.main_guard import script_without_guard
from distrl_trainer.make_fleet import make_fleet
from distrl_trainer.supervision import Bounds, Pulse, RestartBudget, bounds_of

DAY = 24 * 3600.0
SHORT = Bounds(start=900.0, silence=8.0)


def test_a_death_a_day_is_survived_and_a_loop_of_crashes_is_not():
    daily = RestartBudget(1, DAY, now=0.0)
    for day in range(1, 8):
        daily.succeed()
        assert daily.spend(day * DAY)
    loop = RestartBudget(3, DAY, now=0.0)
    allowed = 0
    while loop.spend(60.0 * allowed):
        loop.succeed()  # each one achieves a little
        allowed += 1
    assert allowed == 3
    slow = RestartBudget(3, DAY, now=0.0)
    assert [slow.spend(week * 7 * DAY) for week in range(1, 5)] == [True, True, True, False], "nobody ever succeeded"
    assert not RestartBudget(0, DAY, now=0.0).spend(1e9)


def test_silence_is_what_was_watched_and_not_a_pause_of_the_learner():
    pulse = Pulse(bound=10.0, now=0.0)
    assert not pulse.look(1.0, 1.0)
    assert not pulse.look(1.0, 1e6), "the learner trained, or the whole machine slept"
    assert not pulse.look(2.0, 1e6 + 1), "a sign of life: all is forgotten"
    looks = [pulse.look(2.0, 1e6 + 1 + second) for second in range(1, 13)]
    assert looks == [False] * 10 + [True] * 2


def test_the_bound_on_silence_follows_from_the_settings(tmp_path):
    quick, slow = setups(tmp_path, step_timeout=20.0)[0], setups(tmp_path, step_timeout=50.0)[0]
    config = FleetConfig(start_seconds=7.0, act_seconds=100.0)
    assert bounds_of(config, [quick, slow]) == Bounds(start=7.0, silence=150.0)
    phone = msgspec.structs.replace(quick.envs[0], device="adb:R5")
    real = msgspec.structs.replace(quick, envs=(phone,))
    assert bounds_of(config, [real]).silence == 100.0 + phone.patience > 120.0


def test_numbers_of_incarnations_never_repeat_whatever_is_resumed(tmp_path):
    path = tmp_path / "run" / "fleet.json"
    taken = []

    def run(collectors, checkpoint=()):
        numbers = Incarnations(path)
        numbers.raise_to(checkpoint)
        for index in collectors:
            number = numbers.take(index)
            assert json.loads(path.read_text())["incarnations"][index] == number + 1, "on the disk before it is used"
            taken.append((index, number))
        return numbers.free()

    run([0, 1, 2])
    checkpoint = run([0])
    for collectors in ([0, 1], [0], [0], [0, 1, 2, 3], [0, 1]):
        run(collectors, checkpoint)
    assert len(set(taken)) == len(taken)
    assert run([], [9, 0, 0, 0, 5]) == [9, 4, 2, 1, 5], "a state from another folder counts, too"
    path.write_text('{"incarnations": [1, "x"]}')
    with pytest.raises(FleetError, match=r"fleet\.json is damaged.*above all in use"):
        Incarnations(path)


def test_two_resumes_from_one_checkpoint_make_different_ids(tmp_path, monkeypatch):
    names = []

    class Worker:
        def __init__(self, setup, *_):
            names.append(str(setup.name))
            self.process = SimpleNamespace(is_alive=lambda: True)
            self.pulse = SimpleNamespace(look=lambda *_: False)
            self.ready = True

        def listen(self):
            pass

        def end(self, deadline):
            pass

    monkeypatch.setattr(process_fleet, "_Worker", Worker)
    first = fleet_of(tmp_path, count=2)
    first.start()
    checkpoint = json.loads(json.dumps(first.state()))
    first.close()
    for count in (1, 2, 2):
        resumed = fleet_of(tmp_path, count=count)
        resumed.load_state(checkpoint)
        resumed.start()
        resumed.close()
    assert names == ["c0.0", "c1.0", "c0.1", "c0.2", "c1.1", "c0.3", "c1.2"]


def test_a_script_that_collectors_would_run_again_is_refused(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    script.write_text("from train import run\nrun()\n")
    assert script_without_guard() == script
    with pytest.raises(FleetError, match=r"import .*script\.py: put the code of your script under `if __name__"):
        fleet_of(tmp_path).start()
    script.write_text("if __name__ == '__main__':\n    pass\n")
    assert script_without_guard() is None
    script.write_text("run()\n")
    main.__spec__ = SimpleNamespace(name="package.__main__")
    assert script_without_guard() is None, "nobody imports that one again"
    main.__spec__, main.__file__ = None, None
    assert script_without_guard() is None, "an interactive session"


def test_an_unknown_kind_of_fleet_is_refused(tmp_path):
    config = fake_config(fleet={"kind": "swarm"})
    with pytest.raises(FleetError, match=r"'swarm'.*serial.*process"):
        make_fleet(config, FakePhones(), FakePolicy(), None, seed=0, folder=tmp_path, inbox=Inbox(tmp_path / "inbox"))


# --- real processes ---


@pytest.fixture
def started():
    """Make a started fleet with weights, closed after the test."""
    fleets = []

    def start(root, **more):
        fleet = fleet_of(root, **more)
        fleets.append(fleet)
        fleet.publish(FakePolicy(), fleet.newest_version() + 1)
        fleet.allow(10**9)
        fleet.start()
        return fleet

    yield start
    for fleet in fleets:
        fleet.close()


@pytest.mark.slow
def test_a_device_that_is_away_at_the_start_is_waited_for_within_reason(tmp_path, started):
    patient = started(tmp_path / "once", build=build_away_once)
    assert patient.collect(1, never) and patient.stats().restarts == 1
    with pytest.raises(FleetError, match=r"c0\.2 could not begin: .*ConnectionError: the device is away"):
        started(tmp_path / "away", build=build_away).collect(1, never)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "hung"])
def test_the_only_collector_that_makes_no_progress_is_replaced(tmp_path, started, how):
    fleet = started(tmp_path, build=build_hanging, bounds=SHORT)
    found = fleet.collect(20, never)
    (victim,) = fleet.processes
    if how == "stopped":
        os.kill(victim, signal.SIGSTOP)
    else:
        (tmp_path / "hang").touch()
        wait_for(lambda: not (tmp_path / "hang").exists())
    deadline = time.monotonic() + 300
    while not any("c0.1-" in item.trajectory.id for item in found):
        assert time.monotonic() < deadline
        found += fleet.collect(1, never)
    assert not psutil.pid_exists(victim)
    ids = [item.trajectory.id for item in found]
    assert len(ids) == len(set(ids)) and fleet.stats().restarts >= 1 and fleet.stats().lost > 0


@pytest.mark.slow
def test_whoever_is_stopped_or_killed_loses_nothing_that_was_finished(tmp_path, started):
    draw = random.Random(0)
    fleet = started(tmp_path, build=build_logging, bounds=SHORT)
    found = fleet.collect(20, never)
    for number, fatal in enumerate((signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL), start=1):
        time.sleep(draw.uniform(0.0, 0.5))  # at any instant of an episode
        os.kill(fleet.processes[0], fatal)
        while fleet.stats().restarts < number or not fleet.processes:
            found += fleet.collect(0, never)
            time.sleep(0.05)  # polls another process
        found += fleet.collect(20, never)
    fleet.close()
    found += fleet._inbox.drain()
    emitted = (tmp_path / "emitted").read_text().split()
    ids = [item.trajectory.id for item in found]
    assert len(ids) == len(set(ids)) and set(emitted) <= set(ids) and len(emitted) > 50
    assert fleet.stats().restarts == 3


LEARNER = """
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, {tests!r})
    from collector_fakes import build_in_every_state, fleet_of, setups_in_every_state
    from runtime_fakes import FakePolicy

    root = Path(sys.argv[1])
    fleet = fleet_of(root, build=build_in_every_state, setups_=setups_in_every_state(root))
    fleet.publish(FakePolicy(), 0)
    fleet.allow(10**9)
    fleet.start()
    while True:
        fleet.collect(1, lambda: False)
"""


@pytest.mark.slow
def test_no_collector_outlives_a_killed_learner_whatever_it_is_doing(tmp_path):
    script = tmp_path / "learner.py"
    script.write_text(LEARNER.format(tests=str(Path(__file__).parent)))
    environment = os.environ | {"FAKE_PHONE_HANGS_AT": str(tmp_path / "stepping")}
    learner = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    try:
        for state in ("building", "acting", "stepping", "collecting"):
            wait_for((tmp_path / state).exists, 240)
        children = psutil.Process(learner.pid).children(recursive=True)
        stopped = psutil.Process(int((tmp_path / "collecting").read_text()))
        stopped.suspend()
    finally:
        learner.kill()
    learner.wait()
    assert len(children) >= 6 and stopped in children  # four collectors, two workers of one of them
    _, alive = psutil.wait_procs(children, timeout=5.0)
    assert not [" ".join(child.cmdline()) for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("fleet.start()\nfleet.collect(1, lambda: False)", r"learner.py: put the code of your script under"),
        (
            "if __name__ == '__main__':\n    def build(setup): pass\n    fleet._build = build\n    fleet.start()\n"
            "    fleet.collect(1, lambda: False)",
            "c0.0 could not begin: it ended with exit code 1; its error is in the log above",
        ),
    ],
    ids=["no guard", "not importable"],
)
def test_a_script_that_cannot_have_collectors_ends_at_once_with_the_reason(tmp_path, body, said):
    script = tmp_path / "learner.py"
    script.write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from collector_fakes import fleet_of\nfrom runtime_fakes import FakePolicy\n"
        f"fleet = fleet_of(Path({str(tmp_path)!r}))\n"
        f"fleet.publish(FakePolicy(), fleet.newest_version() + 1)\n{body}\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1 and said in run.stderr.strip().splitlines()[-1]
