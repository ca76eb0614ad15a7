"""Is every finished episode accounted for when a run is killed? SIGKILL at random moments, resume, count by id.

Run with `python -m benchmarks.crash [--quick] --json`. A real `distrl-train train` with collector processes is killed
again and again: at a random instant, while a checkpoint is being written, or while weights are being published. Each
life resumes the one before. What was finished is known independently of the code under test: a watcher keeps a hard
link of every trajectory file that ever appears in the run's folders. In the end

- `lost` are ids that were finished and that neither the last summary's counts nor a waiting file account for,
- `twice` are ids that were counted more than once,
- `orphans` are processes of a killed run that live 5 s later.

Last, the only collector of a run is stopped (SIGSTOP): `replaced_after` is when another one has finished an episode.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks.measure import report
from distrl_trainer.trajectory import decode

FOLDERS = ("inbox", "replay", "counted")
POLL_SECONDS = 0.005
"""Between two looks at the folders; a trajectory's file stays in them for longer, since it is deleted only after a
checkpoint that counts it."""
ORPHAN_SECONDS = 5.0
"""After a SIGKILL of the learner; by then no process of its run may live."""
BEGIN_SECONDS = 300.0
"""Until a life must have finished an episode: imports, policy, validation; on a busy machine."""
SETTINGS = [
    "--policy.model", "tiny-untrained", "--fleet.kind", "process", "--fleet.envs_per_collector", "4",
    "--warmup.demonstrations", "12", "--warmup.epochs", "1", "--warmup.value_steps", "16",
    "--replay.min_steps", "16", "--eval.episodes", "12", "--eval.validation_episodes", "0", "--env.max_steps", "6",
    "--run.save_every_env_steps", "48", "--run.eval_every_env_steps", "1000000", "--run.tensorboard", "False",
    "--algorithm.batch_steps", "32", "--algorithm.minibatch", "32", "--algorithm.cloning_batch", "4",
    "--fleet.act_seconds", "10", "--env.step_timeout", "10", "--run.record_episodes", "0",
]  # fmt: skip
"""A run of small updates that writes checkpoints and versions all the time."""
ENDLESS = ["--run.total_env_steps", "10000000"]
LAST_STEPS = 64
"""Of the last life, which is not killed: one that learns no more would leave what the life before had taken in, but
not yet checkpointed, where it lies."""


class Kill(msgspec.Struct, frozen=True):
    """One SIGKILL: at what `moment`, after how many seconds of collecting, and how many processes lived on."""

    moment: str
    seconds: float
    orphans: int


class Watcher:
    """Keeps a hard link of every trajectory file that appears in a run's folders, by polling in a thread."""

    def __init__(self, run: Path, kept: Path) -> None:
        self._run, self._kept = run, kept
        self._seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        kept.mkdir()
        self._thread.start()

    @property
    def count(self) -> int:
        """How many files were seen."""
        return len(self._seen)

    def stop(self) -> list[str]:
        """End watching and return the ids of all files, in the order of their names."""
        self._ended.set()
        self._thread.join()
        return [decode(path.read_bytes()).id for path in sorted(self._kept.iterdir())]

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            for name in FOLDERS:
                self._look(self._run / name)

    def _look(self, folder: Path) -> None:
        for path in folder.glob("*.traj"):
            if path.name in self._seen:
                continue
            # A file that moves on between the two calls is met in its next folder.
            with contextlib.suppress(FileNotFoundError):
                os.link(path, self._kept / path.name)
                self._seen.add(path.name)


def start(run: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start `distrl-train train` in the folder `run`; its log goes to a file beside it."""
    with Path(f"{run}.log").open("ab") as log:
        command = [sys.executable, "-m", "distrl_trainer.cli", "train", "--out", str(run), "--json", *words]
        return subprocess.Popen(command, stdout=log, stderr=log)


def wait_until(condition: Callable[[], bool], learner: subprocess.Popen[bytes], run: Path) -> None:
    """Wait for `condition`.

    Raises:
        RuntimeError: The run ended before, or `BEGIN_SECONDS` have passed.
    """
    deadline = time.monotonic() + BEGIN_SECONDS
    while not condition():
        if learner.poll() is not None or time.monotonic() > deadline:
            tail = Path(f"{run}.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the run {'ended' if learner.poll() is not None else 'does not begin'}:\n{tail}")
        time.sleep(POLL_SECONDS)


def moment_comes(run: Path, moment: str) -> Callable[[], bool]:
    """Return a function that says whether the learner is just doing what `moment` names."""
    if moment == "checkpoint":
        return lambda: any((run / "checkpoints").glob(".draft-*"))
    if moment == "publish":
        return lambda: any((run / "weights").glob(".*.tmp"))
    return lambda: True


def kill(learner: subprocess.Popen[bytes]) -> int:
    """SIGKILL the learner; return how many of its descendants live `ORPHAN_SECONDS` later."""
    family = psutil.Process(learner.pid).children(recursive=True)
    learner.kill()
    learner.wait()
    _, alive = psutil.wait_procs(family, timeout=ORPHAN_SECONDS)
    orphans = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in orphans:
        process.kill()
    return len(orphans)


def killed_again_and_again(root: Path, kills: int, rng: np.random.Generator) -> tuple[list[Kill], dict[str, Any]]:
    """Kill a run `kills` times, end it, and return the kills and what became of the finished episodes."""
    run = root / "run"
    watcher = Watcher(run, root / "kept")
    done: list[Kill] = []
    for number in range(kills):
        before, begun = watcher.count, time.monotonic()
        learner = start(run, *(["--resume", *ENDLESS] if number else [*SETTINGS, *ENDLESS]))
        wait_until(lambda: watcher.count > before, learner, run)  # noqa: B023 (called before `before` changes)
        begun = time.monotonic()
        moment = ("random", "checkpoint", "random", "publish")[number % 4]
        time.sleep(float(rng.uniform(0.0, 6.0)))
        wait_until(moment_comes(run, moment), learner, run)
        seconds = time.monotonic() - begun
        done.append(Kill(moment, seconds, kill(learner)))
    reached = max(int(path.name.split("-")[1]) for path in (run / "checkpoints").glob("step-*"))
    learner = start(run, "--resume", "--run.total_env_steps", str(reached + LAST_STEPS))
    if learner.wait():
        raise RuntimeError(f"the last resume failed:\n{Path(f'{run}.log').read_text(errors='replace')[-2000:]}")
    time.sleep(10 * POLL_SECONDS)
    return done, account(run, watcher.stop())


def account(run: Path, finished: list[str]) -> dict[str, Any]:
    """Hold the ids that were finished against what the run counted and what still waits."""
    summary = json.loads((run / "summary.json").read_text())
    waiting = {decode(path.read_bytes()).id for path in (run / "inbox").glob("*.traj")}
    distinct = set(finished)
    counted = int(summary["trajectories"])
    return {
        "finished": len(distinct),
        "repeated_ids": len(finished) - len(distinct),
        "counted": counted,
        "waiting": len(waiting),
        "dropped_lag": int(summary["dropped_lag"]),
        "lost": max(0, len(distinct) - counted - len(waiting)),
        "twice": max(0, counted + len(waiting) - len(distinct)),
    }


def only_collector_stopped(root: Path) -> dict[str, float]:
    """Return how many seconds after a SIGSTOP of the only collector another one has finished an episode."""
    run = root / "stopped"
    watcher = Watcher(run, root / "kept-stopped")
    learner = start(run, *SETTINGS, *ENDLESS)
    try:
        wait_until(lambda: watcher.count > 0, learner, run)
        collectors = [child for child in psutil.Process(learner.pid).children() if is_collector(child)]
        for collector in collectors:
            collector.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        time.sleep(1.0)  # what it had finished has been seen by now
        before = watcher.count
        wait_until(lambda: watcher.count > before, learner, run)
        return {"stopped": len(collectors), "replaced_after": time.monotonic() - begun}
    finally:
        kill(learner)
        watcher.stop()


def is_collector(process: psutil.Process) -> bool:
    """Return whether `process` is a spawned child that is no resource tracker."""
    return "spawn_main" in " ".join(process.cmdline())


def main(argv: list[str] | None = None) -> int:
    """Kill, resume, count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="4 kills instead of 20")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args(argv)
    kills = 4 if arguments.quick else 20
    with TemporaryDirectory(prefix="crash-") as folder:
        done, found = killed_again_and_again(Path(folder), kills, np.random.default_rng(arguments.seed))
        stopped = only_collector_stopped(Path(folder))
    results = {"kills": msgspec.to_builtins(done), "episodes": found, "stopped": stopped}
    results["orphans"] = sum(item.orphans for item in done)
    if not arguments.json:
        for item in done:
            print(f"  {item.moment:<11} {item.seconds:6.2f} s  orphans {item.orphans}")
        print("  " + "  ".join(f"{name} {value}" for name, value in found.items()))
        print(f"  stopped collector replaced after {stopped['replaced_after']:.1f} s")
    print(report("crash", found["finished"], results))
    return 1 if found["lost"] or found["twice"] or results["orphans"] else 0


if __name__ == "__main__":
    sys.exit(main())
