"""The process side of `AsyncEnvPool`: what is sent, the worker's loop, and the supervision of workers.

Commands and replies are msgpack bytes over pipes, small enough to be written at once; frames travel through
memory shared with the worker, one slot per environment. No pickle crosses after the start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import connection, get_context, parent_process
from types import ModuleType
from typing import Any

import cv2
import gymnasium as gym
import msgspec
import numpy as np

from android_env_gym.actions import Action, InvalidAction
from android_env_gym.devices.base import FailureKind
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.make import is_blocking
from android_env_gym.env import Observation, longest_command
from android_env_gym.errors import ResetError
from android_env_gym.judges.state import SideEffects
from android_env_gym.phone.state import DeviceConfig

logger = logging.getLogger(__name__)

START_SECONDS = 180.0
CLOSE_SECONDS = 3.0
MAX_FAILURES_IN_A_ROW = 3
MAX_TRACEBACK = 6000
_CONTEXT = get_context("spawn")


class EnvSpec(msgspec.Struct, frozen=True):
    """One environment of a pool: the keyword arguments of `gym.make(id, ...)`, plain data."""

    device: str = "sim"
    suite: str = "starter"
    split: str = "train"
    judge: str = "state"
    judge_at: str = ""
    max_steps: int | None = 15
    screen: tuple[int, int] = (448, 224)
    device_config: DeviceConfig | None = None
    adb: AdbConfig | None = None
    side_effects: SideEffects = "fail"
    id: str = "android_env_gym:AndroidTask-v0"

    @property
    def patience(self) -> float:
        """How many seconds a command may take without anything being wrong; 0: nothing here says."""
        return 0.0 if not is_blocking(self.device) else longest_command(self.device, self.adb or AdbConfig())

    @property
    def close_seconds(self) -> float:
        """How many seconds closing may take: a real device finishes its step first, and is then given back."""
        if not is_blocking(self.device):
            return CLOSE_SECONDS
        adb = self.adb or AdbConfig()
        stop = adb.emulator.stop_seconds if self.device.startswith("emulator:") else 0.0
        return CLOSE_SECONDS + adb.step_seconds + adb.command_seconds + stop

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Return the environment."""
        arguments = {name: getattr(self, name) for name in self.__struct_fields__ if name != "id"}
        if self.adb is None:  # an environment without real devices need not know of them
            del arguments["adb"]
        return gym.make(self.id, disable_env_checker=True, render_mode=render_mode, **arguments)


class Reset(msgspec.Struct, frozen=True, tag="reset"):
    """Start an episode: of task `template` and `instance` (drawn where None), after seeding with `seed`."""

    template: str | None = None
    instance: int | None = None
    seed: int | None = None


Command = Action | InvalidAction | Reset


class Outcome(msgspec.Struct, frozen=True):
    """What a command gave; `failure` is (kind, message) if the environment could not execute it."""

    id: int
    observation: Observation | None = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = {}
    failure: tuple[FailureKind, str] | None = None


class WorkerError(RuntimeError):
    """Worker processes cannot run the environments; the message holds the last reason."""


def execute(env: gym.Env[Any, Any], id_: int, command: Command) -> Outcome:
    """Return what `command` gives in `env`; a reset that failed for good is a failure of kind "reset"."""
    if not isinstance(command, Reset):
        observation, reward, terminated, truncated, info = env.step(command)
        return Outcome(id_, observation, float(reward), bool(terminated), bool(truncated), info)
    chosen = {"task": command.template, "instance": command.instance}
    try:
        observation, info = env.reset(seed=command.seed, options=chosen)
    except ResetError as error:
        return Outcome(id_, failure=("reset", str(error)))
    return Outcome(id_, observation, info=info)


# --- on the wire ---


class _Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has made its environments."""


class _Reply(msgspec.Struct, frozen=True, tag="reply"):
    """An outcome; the screenshot lies in the environment's slot."""

    outcome: Outcome


class _Crash(msgspec.Struct, frozen=True, tag="crash"):
    """The worker ends by an exception."""

    text: str


class _Order(msgspec.Struct, frozen=True):
    id: int
    command: Command


_ORDERS = msgspec.msgpack.Decoder(_Order)
_MESSAGES = msgspec.msgpack.Decoder(_Ready | _Reply | _Crash)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"info holds a {type(value).__name__}, which cannot leave a worker process; allowed is plain data")


def _to_slot(outcome: Outcome, slot: np.ndarray) -> Outcome:
    if outcome.observation is None:
        return outcome
    slot[:] = outcome.observation["screenshot"]
    return msgspec.structs.replace(outcome, observation={"instruction": outcome.observation["instruction"]})


def _from_slot(outcome: Outcome, slot: np.ndarray) -> Outcome:
    """Return `outcome` with a copy of the screenshot, which lies in the slot."""
    if outcome.observation is None:
        return outcome
    observation = {"screenshot": slot.copy(), "instruction": outcome.observation["instruction"]}
    return msgspec.structs.replace(outcome, observation=observation)


def _slot_array(memory: Any, screen: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(memory, np.uint8).reshape(*screen, 3)


def _run_worker(pipe: connection.Connection, specs: bytes, ids: list[int], memories: list[Any]) -> None:
    """Serve commands until the pipe closes (also by the parent's death) or an empty message comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when to stop
    cv2.setNumThreads(1)  # there may be a worker per core already, and pictures this small gain nothing from more
    encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
    envs: dict[int, gym.Env[Any, Any]] = {}
    try:
        decoded = msgspec.msgpack.decode(specs, type=list[EnvSpec])
        grace = max(spec.close_seconds for spec in decoded)
        threading.Thread(target=_die_with_parent, args=(grace,), daemon=True).start()
        slots = {id_: _slot_array(m, s.screen) for id_, m, s in zip(ids, memories, decoded, strict=True)}
        envs.update({id_: spec.make() for id_, spec in zip(ids, decoded, strict=True)})
        pipe.send_bytes(encoder.encode(_Ready()))
        while data := pipe.recv_bytes():
            order = _ORDERS.decode(data)
            outcome = _to_slot(execute(envs[order.id], order.id, order.command), slots[order.id])
            pipe.send_bytes(encoder.encode(_Reply(outcome)))
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except Exception:
        pipe.send_bytes(encoder.encode(_Crash(traceback.format_exc()[-MAX_TRACEBACK:])))
        raise
    finally:
        for env in envs.values():
            env.close()


def _die_with_parent(grace: float) -> None:
    """End this process `grace` seconds after its parent, also while a device blocks the worker's loop."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        threading.Event().wait(grace)
        os._exit(1)


# --- the parent's side ---


class _Worker:
    """One worker process and the commands it has under way, oldest first."""

    def __init__(self, ids: list[int], specs: Sequence[EnvSpec], step_timeout: float, import_main: bool) -> None:
        self.ids = ids
        self._import_main = import_main
        self.pending: dict[int, None] = {}
        self.failures = 0
        self._specs = [specs[id_] for id_ in ids]
        self._step_timeout = max(step_timeout, *(spec.patience for spec in self._specs))
        self.close_seconds = max(spec.close_seconds for spec in self._specs)
        self._memories = [_CONTEXT.RawArray("B", spec.screen[0] * spec.screen[1] * 3) for spec in self._specs]
        self.slots = {
            id_: _slot_array(memory, spec.screen)
            for id_, memory, spec in zip(ids, self._memories, self._specs, strict=True)
        }
        self.start()

    def start(self) -> None:
        self.ready = False
        self.closed = False
        self.reason = ""
        self.pipe, theirs = _CONTEXT.Pipe()
        encoded = msgspec.msgpack.encode(self._specs)
        arguments = (theirs, encoded, self.ids, self._memories)
        self.process = _CONTEXT.Process(
            target=_run_worker, args=arguments, daemon=True, name=f"env-worker-{self.ids[0]}"
        )
        with contextlib.nullcontext() if self._import_main else _without_main():
            self.process.start()
        theirs.close()
        self.deadline = time.monotonic() + START_SECONDS

    def submit(self, id_: int, command: Command) -> None:
        if self.ready and not self.pending:
            self.deadline = time.monotonic() + self._step_timeout
        self.pending[id_] = None
        try:
            self.pipe.send_bytes(msgspec.msgpack.encode(_Order(id_, command)))
        except OSError:  # dead: `collect` reports every pending command
            self.closed = True

    def read(self) -> list[Outcome]:
        """Return the outcomes that lie in the pipe."""
        outcomes: list[Outcome] = []
        try:
            while self.pipe.poll():
                self._take(_MESSAGES.decode(self.pipe.recv_bytes()), outcomes)
        except (EOFError, OSError):
            self.closed = True
        return outcomes

    def _take(self, message: _Ready | _Reply | _Crash, outcomes: list[Outcome]) -> None:
        self.deadline = time.monotonic() + self._step_timeout
        if isinstance(message, _Ready):
            self.ready = True
        elif isinstance(message, _Crash):
            self.reason = message.text
        else:
            self.failures = 0
            self.pending.pop(message.outcome.id)
            outcomes.append(_from_slot(message.outcome, self.slots[message.outcome.id]))

    def complaint(self) -> str:
        """Return why the worker must be replaced, "" if it need not."""
        if self.closed:
            self.process.join(CLOSE_SECONDS)  # it is about to end: wait for its exit code
        if self.closed or not self.process.is_alive():
            return self.reason or f"worker process {self.process.pid} died with exit code {self.process.exitcode}"
        if (self.pending or not self.ready) and time.monotonic() > self.deadline:
            limit = self._step_timeout if self.ready else START_SECONDS
            return f"worker process {self.process.pid} gave no answer within {limit:g} s"
        return ""

    def ask_to_stop(self) -> None:
        """Let the process close its environments and end, once it is through with its commands."""
        with contextlib.suppress(OSError):  # it has ended already
            self.pipe.send_bytes(b"")

    def stop(self, grace: float = 0.0) -> None:
        """End the process, by force after `grace` seconds."""
        self.process.join(grace)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let processes that are started in here not import the main script, as "spawn" otherwise has them do first.

    One without `if __name__ == "__main__":` would start processes again in each of them, which Python refuses.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class Processes:
    """Supervises `workers` processes; see `AsyncEnvPool` for what callers may rely on."""

    def __init__(self, specs: Sequence[EnvSpec], workers: int, step_timeout: float, import_main: bool) -> None:
        self.replaced = 0
        self._lost: set[int] = set()
        self._ready: list[Outcome] = []
        self._workers: list[_Worker] = []
        try:
            for index in range(workers):
                ids = list(range(index, len(specs), workers))
                self._workers.append(_Worker(ids, specs, step_timeout, import_main))
            self._await_start()
        except BaseException:
            self.close()
            raise

    def submit(self, id_: int, command: Command) -> None:
        """Give `command` to the environment's worker."""
        if id_ in self._lost and not isinstance(command, Reset):
            message = "the worker that held this episode was replaced; the episode is lost"
            self._ready.append(Outcome(id_, failure=("worker", message)))
            return
        self._lost.discard(id_)
        self._workers[id_ % len(self._workers)].submit(id_, command)

    def collect(self, min_ready: int, timeout: float | None) -> list[Outcome]:
        """Return what is ready, at least `min_ready` outcomes unless `timeout` seconds have passed."""
        until = None if timeout is None else time.monotonic() + timeout
        self._pump(0.0)
        while len(self._ready) < min_ready:
            now = time.monotonic()
            if until is not None and now >= until:
                break
            alarms = [worker.deadline for worker in self._workers if worker.pending]
            alarms += [] if until is None else [until]
            self._pump(max(0.0, min(alarms) - now) + 0.001 if alarms else None)
        outcomes, self._ready = self._ready, []
        return outcomes

    def close(self) -> None:
        """End every worker process: asked first, then by force."""
        started = time.monotonic()
        for worker in self._workers:
            worker.ask_to_stop()
        longest = max((worker.close_seconds for worker in self._workers if worker.pending), default=0.0)
        if longest > CLOSE_SECONDS:
            logger.info("devices end their step and are given back; this takes up to %.0f s", longest)
        for worker in self._workers:
            worker.stop(max(0.0, started + worker.close_seconds - time.monotonic()))
        self._workers.clear()

    def _pump(self, seconds: float | None) -> None:
        """Wait up to `seconds` for anything to happen, take what came, replace what failed."""
        handles = [handle for worker in self._workers for handle in (worker.pipe, worker.process.sentinel)]
        connection.wait(handles, seconds)
        for worker in self._workers:
            self._ready += worker.read()
            complaint = worker.complaint()
            if complaint:
                self._replace(worker, complaint)

    def _replace(self, worker: _Worker, complaint: str) -> None:
        worker.stop()
        self._ready += [Outcome(id_, failure=("worker", complaint)) for id_ in worker.pending]
        self._lost |= set(worker.ids) - set(worker.pending)
        worker.pending.clear()
        worker.failures += 1
        if worker.failures >= MAX_FAILURES_IN_A_ROW:
            raise WorkerError(f"a worker failed {worker.failures} times without finishing a command, last: {complaint}")
        worker.start()
        self.replaced += 1

    def _await_start(self) -> None:
        while not all(worker.ready for worker in self._workers):
            connection.wait([h for w in self._workers for h in (w.pipe, w.process.sentinel)], 1.0)
            for worker in self._workers:
                worker.read()
                complaint = worker.complaint()
                if complaint:
                    raise WorkerError(f"a worker could not make its environments: {complaint}")
