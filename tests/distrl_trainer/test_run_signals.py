"""A real training whose terminal goes away, whose process is killed, and which is started twice at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runtime_fakes import SMALL

from distrl_trainer.run_folder import RunFolder
from distrl_trainer.settings import load_config

pytestmark = pytest.mark.slow
PATIENCE = 280.0
WORDS = [
    *SMALL, "--fleet.kind", "process", "--fleet.collectors", "1", "--fleet.restarts", "0",
    "--run.total_env_steps", "100000",
]  # fmt: skip
"""Without restarts, the death of a collector is an error."""


@pytest.fixture
def train(tmp_path):
    """Starts a training in a session of its own, as a terminal does."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distrl_trainer.cli", "train", "--out", str(tmp_path / "run"), *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_for_checkpoint(out: Path, process: subprocess.Popen[str], newer_than: str = "") -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if names := sorted(path.name for path in (out / "checkpoints").glob("step-*") if path.name > newer_than):
            return names[-1]
        time.sleep(0.1)  # polls another process
    process.kill()
    pytest.fail(f"no checkpoint: {process.communicate()[0]}")


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal to all processes of a training, as terminals and service managers do; return what it said."""
    os.killpg(process.pid, number)
    return process.communicate(timeout=PATIENCE)[0]


def assert_stopped_in_order(process: subprocess.Popen[str], said: str, out: Path) -> None:
    assert process.returncode == 0, said
    assert said.rstrip().endswith(f"stopped; continue with: distrl-train train --out {out} --resume")
    assert not any(word in said for word in ("Traceback", "WARNING", "resource_tracker")), said


def test_a_training_whose_terminal_goes_away_stops_in_order_and_a_killed_one_can_go_on(tmp_path, train):
    out = tmp_path / "run"
    first = train(*WORDS)
    wait_for_checkpoint(out, first)
    assert_stopped_in_order(first, stop(first, signal.SIGHUP), out)
    # The stop itself writes one: an older mark would say of the second that it runs while it still starts.
    reached = max(path.name for path in (out / "checkpoints").glob("step-*"))

    second = train("--resume")
    wait_for_checkpoint(out, second, newer_than=reached)
    other = train("--resume")
    refused = other.communicate(timeout=PATIENCE)[0].strip().splitlines()
    assert other.returncode == 1 and f"in use by process {second.pid} on " in refused[-1]
    second.kill()
    second.wait()

    third = train("--resume", "--run.total_env_steps", "1")  # it has done more than that
    assert "success" in third.communicate(timeout=PATIENCE)[0] and third.returncode == 0
    assert (out / "summary.json").exists()
    assert not [path for path in out.rglob(".*") if path.name.endswith(f"{second.pid}") or path.suffix == ".tmp"]


def test_of_two_trainings_resumed_at_one_instant_one_goes_on_and_a_service_manager_can_stop_it(tmp_path, train):
    out = tmp_path / "run"
    folder = RunFolder(out)
    with folder.own():
        folder.begin(load_config(None, WORDS))
    processes = [train("--resume") for _ in range(2)]
    deadline = time.monotonic() + PATIENCE
    while all(process.poll() is None for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.1)  # polls other processes
    (loser,) = [process for process in processes if process.poll() is not None]
    (winner,) = [process for process in processes if process is not loser]
    assert loser.returncode == 1 and f"in use by process {winner.pid} on " in loser.communicate()[0]
    wait_for_checkpoint(out, winner)
    assert_stopped_in_order(winner, stop(winner, signal.SIGTERM), out)
