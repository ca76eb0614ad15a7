"""`AsyncEnvPool`: many environments behind `send` and `recv`; whoever is ready is returned, none waits for another.

Invariants: every command sent gives exactly one result; an environment has at most one command under way; the
pool never resets by itself, so no last observation is lost (the caller sends `Reset`). Collectors call it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np

from android_env_gym.actions import Action, InvalidAction, validate
from android_env_gym.env import Observation, failure_info, make_info
from android_env_gym.vector_worker import Command, EnvSpec, Outcome, Processes, Reset, WorkerError, execute


class Result(msgspec.Struct, frozen=True):
    """What one command gave. After `Reset`, `reward` is 0 and both flags are False (unless the reset failed).

    An infrastructure failure is `truncated=True` with `info["failure"]`; `observation` then is the last good one.
    """

    id: int
    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether the next command must be a `Reset`."""
        return self.terminated or self.truncated


class AsyncEnvPool:
    """Steps environments in this process (`workers=0`, right for the embedded phone) or in worker processes.

    Environment `i` lives in worker `i % workers`, for as long as the worker lives. A worker that dies or
    gives no answer in time is killed and replaced: its commands under way give failures of kind "worker", and so
    does the next action sent to an environment whose running episode it lost. Workers are started by "spawn", so
    scripts need the usual `if __name__ == "__main__":` (but see `import_main`).

    Args:
        make_envs: One description per environment; its index is the environment's id.
        workers: Number of worker processes; 0 steps in the caller's process, during `recv`.
        step_timeout: Seconds that a worker may take for one command; more where a device's own bounds allow more.
        import_main: Whether workers first import the main script, for what it registers. If not, it needs no guard.

    Raises:
        WorkerError: A worker could not make its environments; the message holds the worker's traceback.
    """

    def __init__(
        self, make_envs: Sequence[EnvSpec], workers: int = 0, step_timeout: float = 60.0, import_main: bool = True
    ) -> None:
        if not make_envs:
            raise ValueError("make_envs is empty; give one EnvSpec per environment")
        if workers < 0 or step_timeout <= 0:
            raise ValueError(f"got workers={workers}, step_timeout={step_timeout}; allowed are >= 0 and > 0")
        self._specs = tuple(make_envs)
        self._backend: _InProcess | Processes = (
            Processes(self._specs, min(workers, len(self._specs)), step_timeout, import_main)
            if workers
            else _InProcess(self._specs)
        )
        self._finalizer = weakref.finalize(self, self._backend.close)
        self._underway: dict[int, Command] = {}
        self._running: set[int] = set()
        self._last: list[tuple[Observation, dict[str, Any]] | None] = [None] * len(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __enter__(self) -> AsyncEnvPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def specs(self) -> tuple[EnvSpec, ...]:
        """The environments' descriptions, by id."""
        return self._specs

    @property
    def outstanding(self) -> int:
        """How many results are still to come."""
        return len(self._underway)

    @property
    def replaced(self) -> int:
        """How many worker processes were replaced so far."""
        return 0 if isinstance(self._backend, _InProcess) else self._backend.replaced

    def send(self, commands: Sequence[Command], ids: Sequence[int]) -> None:
        """Give `commands[k]` to environment `ids[k]`; returns at once. Nothing is sent if anything is wrong.

        Raises:
            ActionError: A command is not a valid action.
            ValueError: An id is unknown or given twice, has a command under way, or gets an action without
                a running episode.
        """
        if len(commands) != len(ids):
            raise ValueError(f"got {len(commands)} commands for {len(ids)} ids")
        if len(set(ids)) != len(ids):
            raise ValueError(f"got the ids {list(ids)}; each may occur once")
        checked = [self._check(command, id_) for command, id_ in zip(commands, ids, strict=True)]
        for command, id_ in zip(checked, ids, strict=True):
            self._underway[id_] = command
            self._backend.submit(id_, command)

    def recv(
        self, min_ready: int = 1, timeout: float | None = None, *, executed: Callable[[], None] | None = None
    ) -> list[Result]:
        """Return the results that are ready, at least `min_ready`, fewer only after `timeout` seconds.

        Args:
            min_ready: How many results to wait for.
            timeout: Seconds to wait at most; None waits as long as it takes (a hung worker is ended by the
                pool's `step_timeout`). Ignored with `workers=0`, where every command is executed here and now.
            executed: Called after each command that is executed in this process, as a sign of life.

        Raises:
            ValueError: `min_ready` exceeds the number of commands under way.
            WorkerError: A worker failed again and again without ever finishing a command.
        """
        if not 0 <= min_ready <= len(self._underway):
            raise ValueError(f"min_ready: got {min_ready}, but {len(self._underway)} commands are under way")
        if isinstance(self._backend, _InProcess):
            outcomes = self._backend.collect(executed)
        else:
            outcomes = self._backend.collect(min_ready, timeout)
        return [self._result(outcome) for outcome in outcomes]

    def close(self) -> None:
        """Close the environments and end the worker processes; may be called twice, and happens at exit."""
        self._finalizer()

    def _check(self, command: Command, id_: int) -> Command:
        if not 0 <= id_ < len(self._specs):
            raise ValueError(f"got the id {id_}; this pool has 0 to {len(self._specs) - 1}")
        if id_ in self._underway:
            raise ValueError(f"environment {id_} has a command under way; recv its result first")
        if isinstance(command, Reset):
            return command
        if id_ not in self._running:
            raise ValueError(f"environment {id_} has no running episode; send Reset() first")
        return command if isinstance(command, InvalidAction) else validate(command)

    def _result(self, outcome: Outcome) -> Result:
        id_ = outcome.id
        command = self._underway.pop(id_)
        if outcome.failure is not None:
            outcome = self._fill_failure(outcome, command)
        assert outcome.observation is not None
        result = Result(id_, outcome.observation, outcome.reward, outcome.terminated, outcome.truncated, outcome.info)
        self._last[id_] = (result.observation, result.info)
        (self._running.discard if result.ended else self._running.add)(id_)
        return result

    def _fill_failure(self, outcome: Outcome, command: Command) -> Outcome:
        """Return the failed `outcome` with the last good observation and what is known of the episode."""
        assert outcome.failure is not None
        spec, last = self._specs[outcome.id], self._last[outcome.id]
        if isinstance(command, Reset):
            info = make_info(template=command.template or "", instance=command.instance or 0, split=spec.split)
        else:
            info = dict(last[1]) if last else make_info(split=spec.split)
        if last is None:
            observation: Observation = {"screenshot": np.zeros((*spec.screen, 3), np.uint8), "instruction": ""}
        else:
            observation = {"screenshot": last[0]["screenshot"].copy(), "instruction": last[0]["instruction"]}
        return msgspec.structs.replace(
            outcome, observation=observation, truncated=True, info=info | failure_info(*outcome.failure)
        )


class _InProcess:
    """Steps environments one after the other in the caller's process."""

    def __init__(self, specs: Sequence[EnvSpec]) -> None:
        self._envs: list[gym.Env[Any, Any]] = [spec.make() for spec in specs]
        self._queue: deque[tuple[int, Command]] = deque()

    def submit(self, id_: int, command: Command) -> None:
        self._queue.append((id_, command))

    def collect(self, executed: Callable[[], None] | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while self._queue:
            id_, command = self._queue.popleft()
            outcomes.append(execute(self._envs[id_], id_, command))
            if executed is not None:
                executed()
        return outcomes

    def close(self) -> None:
        for env in self._envs:
            env.close()


__all__ = ["Action", "AsyncEnvPool", "Command", "EnvSpec", "InvalidAction", "Reset", "Result", "WorkerError"]
