"""`Fleet`: who collects. `SerialFleet` takes turns with the learner; `process_fleet` has processes of their own.

Invariants, for every fleet: each finished trajectory is a file in the inbox before it is handed to the learner, and is
handed over again after a resume unless the learner moved the file on; an episode that
failed for reasons of the infrastructure is handed over as invalid, and its task runs again on another phone, at
most `MAX_ATTEMPTS` times. `SerialFleet` depends on its seed alone, bit for bit: no clock enters what it draws.
Called by `algorithm.DistRL`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.vector import AsyncEnvPool
from distrl_trainer.collector import (
    Collector,
    CollectorError,
    CollectorName,
    CollectorState,
    CollectorStats,
    episode_number,
)
from distrl_trainer.curriculum import TaskRequest, draw_task
from distrl_trainer.inbox import Inbox, Received
from distrl_trainer.observations import View
from distrl_trainer.policy.base import Policy
from distrl_trainer.shaping import ShapingConfig
from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory import Trajectory

MAX_ATTEMPTS = 3


class FleetError(RuntimeError):
    """The fleet cannot go on; the message says which collector, why and what to do."""


class FleetStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet did so far. `busy` is the share of wall-clock its collectors spent acting or stepping; `lost` are
    the episodes that were under way in collectors that ended: other episodes take their place.
    """

    env_steps: int = 0
    episodes: int = 0
    failures: int = 0
    in_flight: int = 0
    restarts: int = 0
    lost: int = 0
    busy: float = 0.0
    act_seconds: float = 0.0
    step_seconds: float = 0.0


class Fleet(Protocol):
    """Collectors behind one door. The learner's thread is the only caller."""

    def start(self) -> None:
        """Begin; a version must have been published."""
        ...

    def recall(self, leftovers: set[str]) -> set[str]:
        """Take note, before `start`, of the ids of finished episodes that the state installed does not know.

        Returns:
            Those that this fleet will play again itself, to the same ids; the others arrive by `collect`.
        """
        ...

    def collect(self, steps: int, stop: Callable[[], bool]) -> list[Received]:
        """Return trajectories that finished since the last call, oldest first.

        Waits until `steps` environment steps are among them, those of failed episodes too, or `stop()` is true; 0:
        what is there already.

        Raises:
            FleetError: A collector cannot be kept alive.
        """
        ...

    def allow(self, ahead: float) -> None:
        """Let collectors start episodes while they are less than `ahead` steps ahead of what `collect` returned."""
        ...

    def share(self, probabilities: NDArray[np.float64]) -> None:
        """Set the probabilities of the task templates, in the order the fleet was made with."""
        ...

    def publish(self, policy: Policy, version: int) -> None:
        """Make the weights of `policy` the newest version; it must be higher than any before."""
        ...

    def newest_version(self) -> int:
        """Return the highest version that was ever published where this fleet works, -1 if none was."""
        ...

    def stats(self) -> FleetStats:
        """Return counts and shares since `start`."""
        ...

    def state(self) -> dict[str, Any]:
        """Return plain data from which `load_state` continues without drawing anything twice."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Install what `state` returned; before `start`."""
        ...

    def close(self) -> None:
        """Stop collecting and free phones and processes; may be called twice."""
        ...


class TaskQueue:
    """A `TaskSource`: tasks to run again first, then draws by the shared probabilities; nothing while closed."""

    def __init__(self, templates: Sequence[str]) -> None:
        self.templates = tuple(templates)
        self.probabilities = np.full(len(self.templates), 1.0 / max(1, len(self.templates)))
        self.open = True
        self._again: deque[TaskRequest] = deque()

    def again(self, request: TaskRequest) -> None:
        """Run `request` before anything is drawn, if `templates` has its template: a resumed run may have others."""
        if request.template in self.templates:
            self._again.append(request)

    def due(self) -> list[TaskRequest]:
        """Return the tasks that wait to run again."""
        return list(self._again)

    def next(self, generator: np.random.Generator) -> TaskRequest | None:
        """Return the next task, None while closed."""
        if not self.open:
            return None
        if self._again:
            return self._again.popleft()
        return draw_task(self.templates, self.probabilities, generator)


class Retries:
    """How often each failed task was tried."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int], int] = {}

    def request(self, trajectory: Trajectory) -> TaskRequest | None:
        """Return the task of an arriving trajectory if it has to run again, else None."""
        key = (trajectory.template, trajectory.instance)
        if trajectory.reward_valid:
            self._attempts.pop(key, None)
            return None
        attempt = self._attempts.get(key, 0) + 1
        if attempt >= MAX_ATTEMPTS:
            self._attempts.pop(key, None)
            return None
        self._attempts[key] = attempt
        return TaskRequest(*key, attempt=attempt)

    def state(self) -> list[list[Any]]:
        """Return template, instance and attempts of each task that failed and is not through yet."""
        return [[*key, attempts] for key, attempts in self._attempts.items()]

    def load_state(self, state: list[list[Any]]) -> None:
        """Install what `state` returned."""
        self._attempts = {(str(template), int(instance)): int(attempts) for template, instance, attempts in state}


class SharedWeights:
    """A `WeightSource` for a policy that the learner trains in place: nothing has to be loaded."""

    def refresh(self, policy: Policy) -> bool:
        """Return False."""
        return False


class SerialFleet:
    """Collects in the learner's thread, in rounds: no episode is in flight between two calls of `collect`.

    Resumed from a state, a fleet of embedded phones plays the episodes after it again, bit for bit and to the same ids.
    What a killed run had finished of them is therefore set aside (`recall`). Real devices cannot repeat themselves:
    there such episodes arrive from the inbox, and the numbers of new ones go on above theirs, those of versions above
    all that they may have been collected with.

    Args:
        pool: The phones; the fleet closes it.
        inbox: Where finished episodes go, and come from.
        policy: The learner's policy itself.
        templates: Task templates to draw from.
        seed: Seed of the run.
        view: How much of the past the policy is shown.
        shaping: Penalties stored beside the task reward.
        published: File of the newest version, for phones that do not do the same again for the same episode; None:
            embedded ones in this process do.
    """

    def __init__(
        self,
        pool: AsyncEnvPool,
        policy: Policy,
        templates: Sequence[str],
        *,
        inbox: Inbox,
        seed: int,
        view: View,
        shaping: ShapingConfig | None = None,
        published: Path | None = None,
    ) -> None:
        self._pool = pool
        self._inbox = inbox
        self._published = published
        self._queue = TaskQueue(templates)
        self._retries = Retries()
        self._collector = Collector(
            pool,
            policy,
            self._queue,
            SharedWeights(),
            self._take,
            name=CollectorName(seed=seed),
            view=view,
            shaping=shaping,
        )

    def start(self) -> None:
        """Do nothing: a serial fleet collects when asked."""

    def recall(self, leftovers: set[str]) -> set[str]:
        """Return the `leftovers` that come after the state installed, if the phones repeat themselves."""
        numbers = {leftover: episode_number(leftover) for leftover in leftovers}
        later = {leftover for leftover, number in numbers.items() if number >= self._collector.episodes_started}
        if self._published is None:
            return later
        self._collector.episodes_started = max(
            [self._collector.episodes_started, *(numbers[leftover] + 1 for leftover in later)]
        )
        return set()

    def collect(self, steps: int, stop: Callable[[], bool]) -> list[Received]:
        """Run one round: hand out episodes until `steps` were made, then finish those that run.

        Raises:
            FleetError: The phones keep failing.
        """
        if steps <= 0:
            return []
        made = 0
        self._queue.open = True
        while True:
            if made >= steps or stop():
                self._queue.open = False
            made += self._turn()
            if not self._collector.in_flight and not self._queue.open:
                break
        return self._inbox.drain()

    def _turn(self) -> int:
        try:
            return self._collector.turn()
        except CollectorError as error:
            raise FleetError(str(error)) from error

    def allow(self, ahead: float) -> None:
        """Do nothing: a serial fleet collects when asked."""

    def share(self, probabilities: NDArray[np.float64]) -> None:
        """Set the probabilities of the task templates."""
        self._queue.probabilities = probabilities

    def publish(self, policy: Policy, version: int) -> None:
        """Name the version, on the disk before anything is collected with it; the weights are the learner's own.

        Raises:
            StorageError: The disk refused.
        """
        if self._published is not None:
            self._published.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._published, msgspec.json.encode(version))
        policy.version = version

    def newest_version(self) -> int:
        """Return the highest version that leftovers may have been collected with, -1 if there are none to arrive.

        Raises:
            FleetError: The file is damaged.
        """
        if self._published is None or not self._published.exists():
            return -1
        try:
            return msgspec.json.decode(self._published.read_bytes(), type=int)
        except msgspec.DecodeError as error:
            raise FleetError(
                f"{self._published} is damaged: {error}. It keeps the versions of episodes apart: restore it from a "
                "copy, or write a number above all in use, such as 1000000"
            ) from error

    def stats(self) -> FleetStats:
        """Return counts and shares since `start`."""
        return fleet_stats([self._collector.count()])

    def state(self) -> dict[str, Any]:
        """Return where collector, tasks due again and their attempts stand; exact between two rounds."""
        return {
            "collector": msgspec.to_builtins(self._collector.state()),
            "probabilities": self._queue.probabilities,
            "again": msgspec.to_builtins(self._queue.due()),
            "attempts": self._retries.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` stood."""
        self._collector.load_state(msgspec.convert(state["collector"], CollectorState))
        self._retries.load_state(state["attempts"])
        self._queue.probabilities = np.asarray(state["probabilities"], dtype=np.float64)
        for request in msgspec.convert(state["again"], list[TaskRequest]):
            self._queue.again(request)

    def close(self) -> None:
        """Close the phones."""
        self._pool.close()

    def _take(self, trajectory: Trajectory) -> None:
        self._inbox.put(trajectory)
        request = self._retries.request(trajectory)
        if request is not None:
            self._queue.again(request)


def fleet_stats(collectors: Sequence[CollectorStats], restarts: int = 0, lost: int = 0) -> FleetStats:
    """Return the sum over `collectors`."""
    act = sum(stats.act_seconds for stats in collectors)
    step = sum(stats.step_seconds for stats in collectors)
    seconds = sum(stats.seconds for stats in collectors)
    return FleetStats(
        env_steps=sum(stats.env_steps for stats in collectors),
        episodes=sum(stats.episodes for stats in collectors),
        failures=sum(stats.failures for stats in collectors),
        in_flight=sum(stats.in_flight for stats in collectors),
        restarts=restarts,
        lost=lost,
        busy=(act + step) / seconds if seconds > 0 else 0.0,
        act_seconds=act,
        step_seconds=step,
    )
