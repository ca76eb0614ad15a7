"""`ProcessFleet`: collectors in processes of their own, which keep running while the learner trains.

Trajectories come as `Inbox` files, weights go as `WeightStore` files, tasks to run again through a pipe; all
else (how many steps are allowed, task probabilities, counts) lies on a `Board` of shared numbers that nobody
locks. Invariant: a collector may be killed at any instant: what it finished is in the inbox, nobody waits for
it, and another one takes its place. Collectors ignore SIGINT and end when the learner does. Made by `algorithm.DistRL`.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from android_env_gym.vector import AsyncEnvPool, EnvSpec
from distrl_trainer.collector import Collector, CollectorName, CollectorStats
from distrl_trainer.config import PolicyConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import FleetError, FleetStats, Retries, TaskQueue, fleet_stats
from distrl_trainer.inbox import Inbox, Received
from distrl_trainer.observations import View
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.shaping import ShapingConfig
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.weights import WeightStore

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.2
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
CLOSE_SECONDS = 10.0
_STATS = tuple(CollectorStats.__struct_fields__)
_CONTEXT = multiprocessing.get_context("spawn")


class CollectorSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What a collector process is made of; `envs` are its phones, `workers` their processes (0: in its own)."""

    name: CollectorName
    envs: tuple[EnvSpec, ...]
    policy: PolicyConfig
    templates: tuple[str, ...]
    inbox: str
    weights: str
    view: View = View()
    shaping: ShapingConfig = ShapingConfig()
    workers: int = 0
    step_timeout: float = 60.0
    threads: int = 1


Build = Callable[[CollectorSetup], tuple[AsyncEnvPool, Policy]]


def build_collector(setup: CollectorSetup) -> tuple[AsyncEnvPool, Policy]:
    """Return phones and policy of a collector process; its weights come from the store."""
    pool = AsyncEnvPool(setup.envs, workers=setup.workers, step_timeout=setup.step_timeout)
    return pool, load_policy(setup.policy, seed=setup.name.seed)


class Board:
    """Numbers that learner and collectors share without a lock; every cell has one writer."""

    def __init__(self, templates: int, collectors: int, cells: Any = None) -> None:
        """Lay out `cells`, or make them."""
        self.cells = _CONTEXT.RawArray("d", 3 + templates + collectors * len(_STATS)) if cells is None else cells
        numbers = np.frombuffer(self.cells, dtype=np.float64)
        self._orders = numbers[:3]
        self.probabilities = numbers[3 : 3 + templates]
        self._rows = numbers[3 + templates :].reshape(collectors, len(_STATS))

    def allow(self, steps: float) -> None:
        """Set how many environment steps all collectors may make in all."""
        self._orders[0] = steps

    def retire(self, steps: int) -> None:
        """Add the steps of a collector that ended."""
        self._orders[1] += steps

    def stop(self) -> None:
        """Tell collectors to end."""
        self._orders[2] = 1.0

    @property
    def stopped(self) -> bool:
        """Whether collectors have to end."""
        return bool(self._orders[2])

    @property
    def held(self) -> bool:
        """Whether collectors have made all the steps that they are allowed."""
        made = self._orders[1] + self._rows[:, _STATS.index("env_steps")].sum()
        return bool(made >= self._orders[0])

    def write(self, collector: int, stats: CollectorStats) -> None:
        """Store the counts of one collector."""
        self._rows[collector] = [float(getattr(stats, name)) for name in _STATS]

    def read(self, collector: int) -> CollectorStats:
        """Return the counts of one collector."""
        row = dict(zip(_STATS, self._rows[collector].tolist(), strict=True))
        return CollectorStats(**{name: row[name] if name.endswith("seconds") else int(row[name]) for name in _STATS})

    def clear(self, collector: int) -> None:
        """Forget the counts of one collector."""
        self._rows[collector] = 0.0


class BoardTasks(TaskQueue):
    """Hands out tasks by the board's probabilities, none while it holds collectors back."""

    def __init__(self, board: Board, templates: Sequence[str]) -> None:
        super().__init__(templates)
        self._board = board

    def next(self, generator: np.random.Generator) -> TaskRequest | None:
        """Return the next task, None while held back."""
        self.open = not self._board.held
        # `draw_task` normalises, so a set that is being written is harmless.
        self.probabilities = self._board.probabilities
        return super().next(generator)


class StoredWeights:
    """A `WeightSource` over a `WeightStore`."""

    def __init__(self, store: WeightStore) -> None:
        self._store = store
        self._seen = -1

    def refresh(self, policy: Policy) -> bool:
        """Install the newest version if it is newer than the last one installed."""
        loaded = self._store.load_latest(self._seen)
        if loaded is None:
            return False
        policy.load_state_dict(loaded.tensors)
        policy.version = self._seen = loaded.version
        return True


def run_collector(
    setup: CollectorSetup, build: Build, cells: Any, collectors: int, doorbell: Any, orders: Connection
) -> None:
    """Collect until the board says stop or the learner is gone: the body of a collector process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(setup.threads)
    cv2.setNumThreads(1)
    board = Board(len(setup.templates), collectors, cells)
    inbox = Inbox(Path(setup.inbox))
    tasks = BoardTasks(board, setup.templates)
    pool, policy = build(setup)

    def emit(trajectory: Trajectory) -> None:
        inbox.put(trajectory)
        doorbell.release()

    weights = StoredWeights(WeightStore(Path(setup.weights)))
    collector = Collector(pool, policy, tasks, weights, emit, name=setup.name, view=setup.view, shaping=setup.shaping)
    try:
        while not board.stopped:
            collector.turn(timeout=WAIT_SECONDS)
            board.write(setup.name.index, collector.count())
            if not _follow(orders, tasks, 0.0 if collector.in_flight else WAIT_SECONDS):
                break
    finally:
        pool.close()


def _follow(orders: Connection, tasks: TaskQueue, timeout: float) -> bool:
    """Take in the tasks to run again, waiting up to `timeout` for one; return whether the learner still lives."""
    try:
        while orders.poll(timeout):
            tasks.again(msgspec.msgpack.decode(orders.recv_bytes(), type=TaskRequest))
            timeout = 0.0
    except (EOFError, OSError):
        return False
    return True


class _Worker:
    """One running collector process and the learner's end of its pipe."""

    def __init__(self, setup: CollectorSetup, build: Build, board: Board, collectors: int, doorbell: Any) -> None:
        self.orders, theirs = _CONTEXT.Pipe(duplex=True)
        arguments = (setup, build, board.cells, collectors, doorbell, theirs)
        # Workers of a pool are children of the collector, which a daemonic process may not have.
        self.process = _CONTEXT.Process(
            target=run_collector, args=arguments, name=str(setup.name), daemon=setup.workers == 0
        )
        with _interrupts_blocked():
            self.process.start()
        theirs.close()

    def again(self, request: TaskRequest) -> bool:
        """Send `request`; return whether somebody is there to take it."""
        try:
            self.orders.send_bytes(msgspec.msgpack.encode(request))
        except OSError:
            return False
        return True

    def end(self, deadline: float) -> None:
        """Wait for the process until `deadline` (monotonic), then end it by force."""
        self.process.join(max(0.0, deadline - time.monotonic()))
        for force in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                force()
                self.process.join(2.0)
        self.orders.close()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start children that never see SIGINT, also while they import: a signal mask outlives `exec`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ProcessFleet:
    """Supervised collector processes.

    Args:
        setups: One per collector, with distinct `name.index` 0, 1, ...; all with the same templates, inbox, weights.
        restarts: How many dead collectors are replaced before the run fails.
        build: Makes phones and policy inside a collector process; must be importable by name.

    Raises:
        ValueError: The setups do not fit together.
    """

    def __init__(self, setups: Sequence[CollectorSetup], *, restarts: int = 10, build: Build = build_collector) -> None:
        if [setup.name.index for setup in setups] != list(range(len(setups))) or not setups:
            raise ValueError(f"got collectors {[setup.name.index for setup in setups]}; they are numbered 0, 1, ...")
        self._setups = list(setups)
        self._build = build
        self._restarts_left = restarts
        self._board = Board(len(setups[0].templates), len(setups))
        self._board.probabilities[:] = 1.0 / max(1, len(setups[0].templates))
        self._doorbell = _CONTEXT.Semaphore(0)
        self._inbox = Inbox(Path(setups[0].inbox))
        self._store = WeightStore(Path(setups[0].weights))
        self._workers: dict[int, _Worker] = {}
        self._start_at = [0.0] * len(setups)
        self._fruitless = [0] * len(setups)
        self._retries = Retries()
        self._again: deque[TaskRequest] = deque()
        self._unacknowledged: list[Received] = []
        self._retired: list[CollectorStats] = []
        self._handed_over = 0
        self._restarts = 0
        self._next = 0

    @property
    def processes(self) -> list[int]:
        """Return the ids of the running collector processes."""
        return [worker.process.pid for worker in self._workers.values() if worker.process.pid is not None]

    def start(self) -> None:
        """Start the collectors; a version must have been published."""
        atexit.register(self.close)
        self._supervise()

    def collect(self, steps: int, stop: Callable[[], bool]) -> list[Trajectory]:
        """Return what arrived, after waiting until `steps` environment steps did (see `Fleet.collect`)."""
        arrived: list[Trajectory] = []
        made = 0
        while True:
            self._supervise()
            for received in self._inbox.drain():
                self._unacknowledged.append(received)
                arrived.append(received.trajectory)
                made += len(received.trajectory.steps)
                request = self._retries.request(received.trajectory)
                if request is not None:
                    self._again.append(request)
            self._send_again()
            if made >= steps or stop():
                break
            self._doorbell.acquire(timeout=WAIT_SECONDS)
        while self._doorbell.acquire(block=False):
            pass
        self._handed_over += made
        return arrived

    def acknowledge(self) -> None:
        """Delete the inbox files of everything that `collect` returned."""
        for received in self._unacknowledged:
            self._inbox.acknowledge(received)
        self._unacknowledged = []

    def allow(self, ahead: float) -> None:
        """Let collectors start episodes while they are less than `ahead` steps ahead of what `collect` returned."""
        self._board.allow(self._handed_over + ahead)

    def share(self, probabilities: NDArray[np.float64]) -> None:
        """Set the probabilities of the task templates."""
        self._board.probabilities[:] = probabilities

    def publish(self, policy: Policy, version: int) -> None:
        """Store the weights as `version`; newer ones, of a run that was resumed, are set aside."""
        self._store.rewind(version - 1)
        self._store.publish(policy.state_dict(), version)
        policy.version = version

    def stats(self) -> FleetStats:
        """Return counts and shares since `start`."""
        running = [self._board.read(index) for index in self._workers]
        return fleet_stats([*self._retired, *running], self._restarts)

    def state(self) -> dict[str, Any]:
        """Return the incarnations, so that no resumed collector repeats draws of an earlier one."""
        return {"incarnations": [setup.name.incarnation for setup in self._setups]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Number the collectors on from `state`."""
        for index, incarnation in enumerate(state["incarnations"][: len(self._setups)]):
            self._renumber(index, int(incarnation) + 1)

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
            self._retired.append(self._board.read(index))

    def _supervise(self) -> None:
        """Bury the dead and start whoever is due."""
        now = time.monotonic()
        for index in range(len(self._setups)):
            worker = self._workers.get(index)
            if worker is not None and not worker.process.is_alive():
                self._bury(index, now)
            if index not in self._workers and now >= self._start_at[index]:
                self._workers[index] = _Worker(
                    self._setups[index], self._build, self._board, len(self._setups), self._doorbell
                )

    def _bury(self, index: int, now: float) -> None:
        worker = self._workers.pop(index)
        worker.end(now)
        stats = self._board.read(index)
        # The steps of unfinished episodes will never arrive: they must not count as made.
        self._board.retire(stats.env_steps - stats.steps_in_flight)
        self._board.clear(index)
        self._retired.append(stats)
        self._fruitless[index] = 0 if stats.episodes > stats.failures else self._fruitless[index] + 1
        name, code = self._setups[index].name, worker.process.exitcode
        if self._restarts_left <= 0:
            raise FleetError(
                f"collector {name} ended with exit code {code} and {self._restarts} were already replaced; "
                "its error is in the log above. Finished episodes are safe; raise fleet.restarts or resume"
            )
        self._restarts_left -= 1
        self._restarts += 1
        wait = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** self._fruitless[index])
        logger.warning("collector %s ended with exit code %s; another one takes its place in %.1f s", name, code, wait)
        self._start_at[index] = now + wait
        self._renumber(index, name.incarnation + 1)

    def _renumber(self, index: int, incarnation: int) -> None:
        setup = self._setups[index]
        name = msgspec.structs.replace(setup.name, incarnation=incarnation)
        self._setups[index] = msgspec.structs.replace(setup, name=name)

    def _send_again(self) -> None:
        """Spread failed tasks over the collectors in turn."""
        while self._again and self._workers:
            self._next += 1
            index = sorted(self._workers)[self._next % len(self._workers)]
            if not self._workers[index].again(self._again[0]):
                return
            self._again.popleft()
