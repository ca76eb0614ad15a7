"""What runs inside a collector process: phones, a policy, the collector's loop, and a few words to the learner.

Invariants: a finished trajectory is in the inbox before anything else happens; the process says `Ready` once it has
phones and a policy, and `Failed` with its reason before it ends by an error; it gives a sign of life on the board
after every part of a turn. Started by `process_fleet.ProcessFleet`.
"""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import msgspec
import torch

from android_env_gym.devices.base import DeviceFailure
from android_env_gym.errors import ResetError
from android_env_gym.vector import AsyncEnvPool, EnvSpec, WorkerError
from distrl_trainer.board import Board, BoardTasks
from distrl_trainer.collector import Collector, CollectorName
from distrl_trainer.config import PolicyConfig
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import TaskQueue
from distrl_trainer.inbox import Inbox
from distrl_trainer.observations import View
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.shaping import ShapingConfig
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.weights import WeightStore

# How long an idle collector waits for news: short beside an episode, long beside the cost of looking.
WAIT_SECONDS = 0.2
MAX_REASON = 1000
TRANSIENT = (ConnectionError, DeviceFailure, ResetError, TimeoutError, WorkerError)
"""Errors that may be over when a collector starts again: a device that is away, a server that does not answer."""


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

    @property
    def command_seconds(self) -> float:
        """How many seconds one step or reset of a phone may take."""
        return max(self.step_timeout, *(env.patience for env in self.envs))


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The collector has phones and a policy."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The collector ends by an error; `transient`: another one may do better."""

    reason: str
    transient: bool


Word = Ready | Failed
Build = Callable[[CollectorSetup], tuple[AsyncEnvPool, Policy]]


def build_collector(setup: CollectorSetup) -> tuple[AsyncEnvPool, Policy]:
    """Return phones and policy of a collector process; its weights come from the store."""
    pool = AsyncEnvPool(setup.envs, workers=setup.workers, step_timeout=setup.step_timeout)
    return pool, load_policy(setup.policy, seed=setup.name.seed)


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
    setup: CollectorSetup, build: Build, cells: Any, collectors: int, doorbell: Any, pipe: Connection
) -> None:
    """Collect until the board says stop or the learner is gone: the body of a collector process.

    Args:
        setup: What it is made of.
        build: Makes phones and policy.
        cells: Of the `Board`.
        collectors: How many the board is for.
        doorbell: Semaphore, released for each finished trajectory.
        pipe: `Word`s go out, tasks to run again come in.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(setup.threads)
    cv2.setNumThreads(1)
    try:
        _collect(setup, build, Board(len(setup.templates), collectors, cells), doorbell, pipe)
    except Exception as error:
        reason = "".join(traceback.format_exception_only(error)).strip()[-MAX_REASON:]
        _say(pipe, Failed(reason, isinstance(error, TRANSIENT)))
        raise


def _collect(setup: CollectorSetup, build: Build, board: Board, doorbell: Any, pipe: Connection) -> None:
    inbox = Inbox(Path(setup.inbox))
    tasks = BoardTasks(board, setup.templates)
    pool, policy = build(setup)

    def emit(trajectory: Trajectory) -> None:
        inbox.put(trajectory)
        doorbell.release()

    collector = Collector(
        pool,
        policy,
        tasks,
        StoredWeights(WeightStore(Path(setup.weights))),
        emit,
        name=setup.name,
        view=setup.view,
        shaping=setup.shaping,
        clock=time.monotonic,
        beat=lambda: board.beat(setup.name.index),
    )
    _say(pipe, Ready())
    try:
        while not board.stopped:
            collector.turn(timeout=WAIT_SECONDS)
            board.write(setup.name.index, collector.count())
            if not _follow(pipe, tasks, 0.0 if collector.in_flight else WAIT_SECONDS):
                break
    finally:
        pool.close()


def _say(pipe: Connection, word: Word) -> None:
    with contextlib.suppress(OSError):  # the learner is gone; nobody is left to be told
        pipe.send_bytes(msgspec.msgpack.encode(word))


def _follow(pipe: Connection, tasks: TaskQueue, timeout: float) -> bool:
    """Take in the tasks to run again, waiting up to `timeout` for one; return whether the learner still lives."""
    try:
        while pipe.poll(timeout):
            tasks.again(msgspec.msgpack.decode(pipe.recv_bytes(), type=TaskRequest))
            timeout = 0.0
    except (EOFError, OSError):
        return False
    return True
