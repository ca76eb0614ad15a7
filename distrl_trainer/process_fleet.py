"""`ProcessFleet`: collectors in processes of their own, which keep running while the learner trains.

Trajectories come as `Inbox` files, weights go as `WeightStore` files, tasks to run again through a pipe; all
else (how many steps are allowed, task probabilities, counts) lies on a `Board` of shared numbers that nobody
locks. Invariants: a collector may be killed or stopped at any instant: what it finished is in the inbox, nobody waits
for it, and another one takes its place; no two collectors of a run folder, nor two versions, ever have the same number.
Collectors ignore SIGINT and SIGHUP and end when the learner does. Made by `make_fleet`.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from distrl_trainer.board import Board
from distrl_trainer.collector import CollectorStats
from distrl_trainer.collector_process import (
    WAIT_SECONDS,
    Build,
    CollectorSetup,
    Failed,
    Ready,
    build_collector,
    run_collector,
)
from distrl_trainer.config import FleetConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import FleetError, FleetStats, Retries, fleet_stats
from distrl_trainer.inbox import Inbox, Received
from distrl_trainer.incarnations import Incarnations
from distrl_trainer.lifeline import Lifeline, run_tied
from distrl_trainer.main_guard import GUARD, script_without_guard
from distrl_trainer.policy.base import Policy
from distrl_trainer.supervision import Bounds, Pulse, RestartBudget, bounds_of
from distrl_trainer.weights import WeightStore

logger = logging.getLogger(__name__)

# The wait before a dead collector is replaced doubles with each that achieved nothing: a device has time to come back.
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
CLOSE_SECONDS = 10.0
# How often a collector that has never been ready in this run is tried, where the cause may pass (`TRANSIENT`, a signal,
# or no answer in time). Any other cause ends the run at the first time: it would be the same again.
START_ATTEMPTS = 3
_CONTEXT = multiprocessing.get_context("spawn")


class _Worker:
    """One running collector process, the learner's end of its pipe, and what was heard of it.

    `ready` and `failed` are its own words; `pulse` tells whether it hangs.
    """

    def __init__(
        self, setup: CollectorSetup, build: Build, bounds: Bounds, board: Board, collectors: int, doorbell: Any
    ) -> None:
        self.pipe, theirs = _CONTEXT.Pipe(duplex=True)
        collector = (run_collector, setup, build, board.cells, collectors, doorbell, theirs)
        # Workers of a pool are children of the collector, which a daemonic process may not have.
        self.process = _CONTEXT.Process(
            target=run_tied, args=(Lifeline(os.getpid()), *collector), name=str(setup.name), daemon=setup.workers == 0
        )
        with _interrupts_blocked():
            self.process.start()
        theirs.close()
        self._bounds = bounds
        self.pulse = Pulse(bounds.start, time.monotonic())
        self.ready = False
        self.failed: Failed | None = None

    def listen(self) -> None:
        """Take in what the collector has said."""
        try:
            while self.pipe.poll():
                word = msgspec.msgpack.decode(self.pipe.recv_bytes(), type=Ready | Failed)
                if isinstance(word, Failed):
                    self.failed = word
                else:
                    self.ready, self.pulse = True, Pulse(self._bounds.silence, time.monotonic())
        except (EOFError, OSError):
            return  # it has ended, as `process` will tell

    def again(self, request: TaskRequest) -> bool:
        """Send `request`; return whether somebody is there to take it."""
        try:
            self.pipe.send_bytes(msgspec.msgpack.encode(request))
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End the process at once, also a stopped one."""
        self.process.kill()
        self.process.join()

    def end(self, deadline: float) -> None:
        """Wait for the process until `deadline` (monotonic), then end it by force."""
        self.process.join(max(0.0, deadline - time.monotonic()))
        for force in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                force()
                self.process.join(2.0)
        self.pipe.close()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start children that never see what a terminal sends to all its processes (Ctrl-C, its end), also while they
    import: a signal mask outlives `exec`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ProcessFleet:
    """Supervised collector processes.

    Args:
        setups: One per collector, with distinct `name.index` 0, 1, ...; all with the same templates, inbox, weights.
        inbox: Where the learner takes trajectories from: the folder that the setups name.
        incarnations: Numbers the collectors.
        config: How many may be replaced, and how long they may be silent.
        bounds: On their silence; None: those that follow from `config` and the setups.
        build: Makes phones and policy inside a collector process; must be importable by name.

    Raises:
        ValueError: The setups do not fit together.
    """

    def __init__(
        self,
        setups: Sequence[CollectorSetup],
        *,
        inbox: Inbox,
        incarnations: Incarnations,
        config: FleetConfig | None = None,
        bounds: Bounds | None = None,
        build: Build = build_collector,
    ) -> None:
        if [setup.name.index for setup in setups] != list(range(len(setups))) or not setups:
            raise ValueError(f"got collectors {[setup.name.index for setup in setups]}; they are numbered 0, 1, ...")
        self._setups = list(setups)
        self._build = build
        self._incarnations = incarnations
        config = config or FleetConfig()
        self._bounds = bounds or bounds_of(config, setups)
        self._budget = RestartBudget(config.restarts, 3600.0 * config.restart_hours, time.monotonic())
        self._board = Board(len(setups[0].templates), len(setups))
        self._board.probabilities[:] = 1.0 / max(1, len(setups[0].templates))
        with _interrupts_blocked():  # the first semaphore starts Python's resource tracker
            self._doorbell = _CONTEXT.Semaphore(0)
        self._inbox = inbox
        self._store = WeightStore(Path(setups[0].weights))
        self._workers: dict[int, _Worker] = {}
        self._began = [False] * len(setups)
        self._failed_starts = [0] * len(setups)
        self._start_at = [0.0] * len(setups)
        self._fruitless = [0] * len(setups)
        self._retries = Retries()
        self._again: deque[TaskRequest] = deque()
        self._retired: list[CollectorStats] = []
        self._handed_over = 0
        self._restarts = 0
        self._lost = 0
        self._next = 0

    @property
    def processes(self) -> list[int]:
        """Return the ids of the running collector processes."""
        return [worker.process.pid for worker in self._workers.values() if worker.process.pid is not None]

    def start(self) -> None:
        """Start the collectors; a version must have been published.

        Raises:
            FleetError: The main script is one that collectors would run again.
        """
        script = script_without_guard()
        if script is not None:
            raise FleetError(f"collectors are processes that import {script}: {GUARD}")
        atexit.register(self.close)
        self._supervise()

    def recall(self, leftovers: set[str]) -> set[str]:
        """Return nothing: collectors never repeat an episode."""
        return set()

    def collect(self, steps: int, stop: Callable[[], bool]) -> list[Received]:
        """Return what arrived, after waiting until `steps` environment steps did (see `Fleet.collect`)."""
        arrived: list[Received] = []
        refused_before = self._inbox.refused_steps
        made = 0
        while True:
            if not stop():  # a signal that asks for the end may have gone to the collectors too
                self._supervise()
            for received in self._inbox.drain():
                arrived.append(received)
                made += len(received.trajectory.steps)
                if received.trajectory.reward_valid:
                    self._budget.succeed()
                request = self._retries.request(received.trajectory)
                if request is not None:
                    self._again.append(request)
            self._send_again()
            if made >= steps or stop():
                break
            self._doorbell.acquire(timeout=WAIT_SECONDS)
        while self._doorbell.acquire(block=False):
            pass
        # Refused ones were made as well; left out, collectors would count as ahead by them for ever.
        self._handed_over += made + self._inbox.refused_steps - refused_before
        return arrived

    def allow(self, ahead: float) -> None:
        """Let collectors start episodes while they are less than `ahead` steps ahead of what `collect` returned."""
        self._board.allow(self._handed_over + ahead)

    def share(self, probabilities: NDArray[np.float64]) -> None:
        """Set the probabilities of the task templates."""
        self._board.probabilities[:] = probabilities

    def publish(self, policy: Policy, version: int) -> None:
        """Store the weights as `version`."""
        self._store.publish(policy.state_dict(), version)
        policy.version = version

    def stats(self) -> FleetStats:
        """Return counts and shares since `start`."""
        running = [self._board.read(index) for index in self._workers]
        return fleet_stats([*self._retired, *running], self._restarts, self._lost)

    def newest_version(self) -> int:
        """Return the highest version in the folder of weights, -1 if there is none."""
        newest = self._store.latest()
        return -1 if newest is None else newest

    def state(self) -> dict[str, Any]:
        """Return the numbers of incarnations in use, for a run that goes on in another folder."""
        return {"incarnations": self._incarnations.free()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Number the collectors on from `state`, or from the folder's own numbers where they are higher."""
        self._incarnations.raise_to([int(number) for number in state["incarnations"]])

    def close(self) -> None:
        """End all collectors; what they finished stays in the inbox."""
        atexit.unregister(self.close)
        self._board.stop()
        # A collector with workers ends after them, and they after their devices.
        grace = max((env.close_seconds for setup in self._setups if setup.workers for env in setup.envs), default=0.0)
        deadline = time.monotonic() + CLOSE_SECONDS + grace
        for index in list(self._workers):
            worker = self._workers.pop(index)
            worker.end(deadline)
            self._retired.append(msgspec.structs.replace(self._board.read(index), in_flight=0))

    def _supervise(self) -> None:
        """Replace collectors that have died or hang, and start those whose time has come."""
        now = time.monotonic()
        for index in range(len(self._setups)):
            if index in self._workers:
                complaint = self._complaint(index, now)
                if complaint:
                    self._remove(index, complaint, now)
            if index not in self._workers and now >= self._start_at[index]:
                self._start(index)

    def _start(self, index: int) -> None:
        """Start a collector under a number that none had before."""
        setup = self._setups[index]
        name = msgspec.structs.replace(setup.name, incarnation=self._incarnations.take(index))
        self._setups[index] = setup = msgspec.structs.replace(setup, name=name)
        self._workers[index] = _Worker(setup, self._build, self._bounds, self._board, len(self._setups), self._doorbell)

    def _complaint(self, index: int, now: float) -> str:
        """Return why a collector has to be replaced, "" if it has not."""
        worker = self._workers[index]
        alive = worker.process.is_alive()
        worker.listen()  # after the look: who has died has said all
        self._began[index] = self._began[index] or worker.ready
        if not alive:
            reason = f": {worker.failed.reason}" if worker.failed else ""
            return f"ended with exit code {worker.process.exitcode}{reason}"
        if worker.pulse.look(self._board.beats(index), now):
            worker.kill()
            what = "gave no sign of life" if worker.ready else "had no phones and no policy"
            return f"{what} for {worker.pulse.bound:g} s"
        return ""

    def _remove(self, index: int, complaint: str, now: float) -> None:
        """Take note of a collector's end, and when another one may take its place.

        Raises:
            FleetError: None may.
        """
        worker = self._workers.pop(index)
        worker.end(now)
        stats = self._board.read(index)
        # The steps of unfinished episodes will never arrive: they must not count as made.
        self._board.retire(stats.env_steps - stats.steps_in_flight)
        self._board.clear(index)
        self._retired.append(msgspec.structs.replace(stats, in_flight=0))
        self._lost += stats.in_flight
        name = self._setups[index].name
        self._check_start(index, worker, complaint)
        if not self._budget.spend(now):
            raise FleetError(
                f"collector {name} {complaint}, and {self._restarts} were already replaced. Finished episodes are "
                "safe: look into the reason, then resume, or raise fleet.restarts"
            )
        self._restarts += 1
        self._fruitless[index] = 0 if stats.episodes > stats.failures else self._fruitless[index] + 1
        wait = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** self._fruitless[index])
        logger.warning(
            "collector %s %s; %d unfinished episodes are lost, another collector starts in %.1f s",
            name, complaint, stats.in_flight, wait,
        )  # fmt: skip
        self._start_at[index] = now + wait

    def _check_start(self, index: int, worker: _Worker, complaint: str) -> None:
        """Give up on a collector that never was ready, if there is no hope for the next one (`START_ATTEMPTS`)."""
        if self._began[index]:
            return
        self._failed_starts[index] += 1
        code = worker.process.exitcode or 0
        passing = worker.failed.transient if worker.failed else code < 0
        if passing and self._failed_starts[index] < START_ATTEMPTS:
            return
        told = "" if worker.failed or code < 0 else f"; its error is in the log above. If it says so, {GUARD}"
        raise FleetError(f"collector {self._setups[index].name} could not begin: it {complaint}{told}")

    def _send_again(self) -> None:
        """Spread failed tasks over the collectors in turn."""
        while self._again and self._workers:
            self._next += 1
            index = sorted(self._workers)[self._next % len(self._workers)]
            if not self._workers[index].again(self._again[0]):
                return
            self._again.popleft()
