"""The collector loop, one for every fleet: receive whoever is ready, let the policy act on the batch, send.

Invariants: a finished trajectory is emitted before its phone is reset; what an episode draws depends on (run
seed, collector, incarnation, episode number) alone; an episode that ends by an infrastructure failure is
emitted as invalid and never as reward 0. The loop keeps nothing between episodes but a counter. Callers:
`fleet.SerialFleet` in the learner's thread and `fleet.ProcessFleet` in processes of their own.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, InvalidAction
from android_env_gym.vector import AsyncEnvPool, Reset, Result
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.observations import View, encode_action, encode_frame, window
from distrl_trainer.policy.base import Decision, Observation, Policy
from distrl_trainer.prompts import action_text
from distrl_trainer.quarantine import Quarantine, QuarantineState
from distrl_trainer.shaping import ShapingConfig, shaping_reward
from distrl_trainer.trajectory import Step, Trajectory

logger = logging.getLogger(__name__)

MAX_FAILURES_IN_A_ROW = 30
# A guess at real devices: eight of them, each of which takes 2 s for a step, answer every quarter of a second.
TURN_SECONDS = 0.25


class CollectorError(RuntimeError):
    """The phones keep failing; the message carries the last failure."""


class TaskSource(Protocol):
    """Where episodes come from."""

    def next(self, generator: np.random.Generator) -> TaskRequest | None:
        """Return the next task to run, drawn with `generator`; None while collection is held back."""
        ...


class WeightSource(Protocol):
    """Where newer weights come from."""

    def refresh(self, policy: Policy) -> bool:
        """Install the newest published weights in `policy` if they are newer; return whether they were."""
        ...


class CollectorName(msgspec.Struct, frozen=True):
    """Who collects: the run's seed, the collector's index, how often it was started anew."""

    seed: int
    index: int = 0
    incarnation: int = 0

    def __str__(self) -> str:
        return f"c{self.index}.{self.incarnation}"

    def draw_seed(self, episode: int, purpose: str) -> int:
        """Return the 63-bit seed of one episode's draws for one purpose."""
        key = f"{self.seed}/{self.index}/{self.incarnation}/{episode}/{purpose}"
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def episode_number(trajectory_id: str) -> int:
    """Return the number of the episode that a collector gave this id, -1 if no collector did."""
    digits = trajectory_id.rpartition("-")[2]
    return int(digits) if re.fullmatch(r"c\d+\.\d+-\d{8,}", trajectory_id, re.ASCII) else -1


class CollectorStats(msgspec.Struct):
    """Counts since the collector started. Of its `seconds`, `act` + `step` is the time it was busy."""

    env_steps: int = 0
    episodes: int = 0
    failures: int = 0
    in_flight: int = 0
    steps_in_flight: int = 0
    seconds: float = 0.0
    act_seconds: float = 0.0
    step_seconds: float = 0.0


class CollectorState(msgspec.Struct, frozen=True):
    """Where a collector continues that has no episode in flight: all that its further draws and choices follow from."""

    episodes: int
    turns: int
    failures_in_a_row: int
    quarantine: QuarantineState


class _Episode:
    """An episode being played; becomes one `Trajectory`. `stream` gives the numbers that its actions are drawn with."""

    def __init__(self, number: int, request: TaskRequest, stream: np.random.Generator) -> None:
        self.number = number
        self.request = request
        self.stream = stream
        self.instruction = ""
        self.info: Mapping[str, Any] = {}
        self.frames: list[NDArray[np.uint8]] = []
        self.encoded: list[bytes] = []
        self.decisions: list[Decision] = []
        self.versions: list[int] = []
        self.rewards: list[float] = []
        self.shaping: list[float] = []
        self.invalid: list[str] = []
        self.repeats = 0
        self.started = time.monotonic()

    def see(self, observation: Mapping[str, Any]) -> None:
        """Take in what the phone shows now; an unchanged screen is not encoded twice."""
        frame = observation["screenshot"]
        unchanged = bool(self.frames) and np.array_equal(frame, self.frames[-1])
        self.encoded.append(self.encoded[-1] if unchanged else encode_frame(frame))
        self.frames.append(self.frames[-1] if unchanged else frame)
        self.instruction = str(observation["instruction"])

    def choose(self, decision: Decision, version: int, config: ShapingConfig) -> None:
        """Take in what the policy chose on the last frame."""
        previous = self.decisions[-1].action if self.decisions else None
        unchanged = len(self.frames) > 1 and self.frames[-1] is self.frames[-2]
        shaping, self.repeats = shaping_reward(decision.action, previous, unchanged, self.repeats, config)
        self.decisions.append(decision)
        self.versions.append(version)
        self.shaping.append(shaping)

    def observation(self, view: View) -> Observation:
        """Return what the policy is shown next."""
        texts = [action_text(decision.action) for decision in self.decisions]
        return window(self.instruction, self.frames, texts, len(self.decisions), view)


class Collector:
    """Plays episodes on a pool of phones with one policy.

    Args:
        pool: The phones; the collector is its only user.
        policy: Acts; `weights` keeps it fresh between two steps.
        tasks: Hands out episodes.
        weights: Polled before every batch of actions.
        emit: Takes each finished trajectory; when it returns, the trajectory is safe.
        name: Determines every random draw.
        view: How much of the past the policy is shown.
        shaping: Penalties stored beside the task reward.
        clock: Seconds by which phones that fail sit out; None: every turn counts as `TURN_SECONDS`, so that equal
            seeds play equal episodes however fast the machine is.
        beat: Called whenever a part of a turn is done: a step, acting on a batch, handing over an episode. Whoever
            hears nothing for longer than any of these may take knows that the collector hangs.
    """

    def __init__(
        self,
        pool: AsyncEnvPool,
        policy: Policy,
        tasks: TaskSource,
        weights: WeightSource,
        emit: Callable[[Trajectory], None],
        *,
        name: CollectorName,
        view: View,
        shaping: ShapingConfig | None = None,
        clock: Callable[[], float] | None = None,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self.stats = CollectorStats()
        self.episodes_started = 0
        self._pool = pool
        self._policy = policy
        self._tasks = tasks
        self._weights = weights
        self._emit = emit
        self._name = name
        self._view = view
        self._shaping = shaping or ShapingConfig()
        self._playing: dict[int, _Episode] = {}
        self._free = list(range(len(pool)))
        self._failures_in_a_row = 0
        self._turns = 0
        self._quarantine = Quarantine(len(pool), clock or (lambda: TURN_SECONDS * self._turns))
        self._beat = beat or (lambda: None)
        self._started = time.monotonic()

    @property
    def in_flight(self) -> int:
        """Return how many episodes are being played."""
        return len(self._playing)

    def count(self) -> CollectorStats:
        """Return `stats`, brought up to now."""
        self.stats.in_flight = len(self._playing)
        self.stats.steps_in_flight = sum(len(episode.rewards) for episode in self._playing.values())
        self.stats.seconds = time.monotonic() - self._started
        return self.stats

    def state(self) -> CollectorState:
        """Return where to continue; exact while no episode is in flight."""
        return CollectorState(self.episodes_started, self._turns, self._failures_in_a_row, self._quarantine.state())

    def load_state(self, state: CollectorState) -> None:
        """Install what `state` returned."""
        self.episodes_started, self._turns = state.episodes, state.turns
        self._failures_in_a_row = state.failures_in_a_row
        self._quarantine.load_state(state.quarantine)

    def turn(self, timeout: float | None = None) -> int:
        """Hand out episodes, receive whoever is ready, act on their observations, send.

        Args:
            timeout: Seconds to wait for the first phone; None: as long as it takes.

        Returns:
            How many environment steps were received; 0 also if nothing is handed out or ready.

        Raises:
            CollectorError: `MAX_FAILURES_IN_A_ROW` episodes in a row failed for reasons of the infrastructure.
        """
        self._turns += 1
        self._beat()
        self._hand_out()
        if not self._playing:
            return 0
        begun = time.perf_counter()
        arrived = self._pool.recv(min_ready=1, timeout=timeout, executed=self._beat)
        results = sorted(arrived, key=lambda result: result.id)
        before = self.stats.env_steps
        waiting = [result.id for result in results if self._receive(result)]
        received = time.perf_counter()
        self.stats.step_seconds += received - begun
        if waiting:
            self._act(waiting)
            self.stats.act_seconds += time.perf_counter() - received
        return self.stats.env_steps - before

    def _hand_out(self) -> None:
        """Start an episode on every free phone, as far as tasks are handed out."""
        resets: list[tuple[int, Reset]] = []
        # Lowest first: which phone plays an episode must not depend on who finished before.
        ready = self._quarantine.fit(self._free)
        while ready:
            number = self.episodes_started
            generator = np.random.default_rng(self._name.draw_seed(number, "task"))
            request = self._tasks.next(generator)
            if request is None:
                break
            phone = ready.pop(0)
            self._free.remove(phone)
            self.episodes_started += 1
            stream = np.random.default_rng(self._name.draw_seed(number, "actions"))
            self._playing[phone] = _Episode(number, request, stream)
            world = self._name.draw_seed(number, "world") >> 32
            resets.append((phone, Reset(template=request.template, instance=request.instance, seed=world)))
        if resets:
            self._pool.send([reset for _, reset in resets], [phone for phone, _ in resets])

    def _receive(self, result: Result) -> bool:
        """Record one result; return whether its phone waits for an action."""
        episode = self._playing[result.id]
        failed = bool(_failure(result.info)["kind"])
        if episode.decisions:
            episode.rewards.append(float(result.reward))
            episode.invalid.append(_invalid_reason(episode.decisions[-1], result.info))
            self.stats.env_steps += 1
        episode.see(result.observation)
        episode.info = result.info
        if not (result.terminated or result.truncated or failed):
            return True
        del self._playing[result.id]
        self.stats.episodes += 1
        self.stats.failures += failed
        self._emit(self._finish(episode, result))
        self._beat()
        self._free.append(result.id)
        self._count_failures(failed, result)
        return False

    def _count_failures(self, failed: bool, result: Result) -> None:
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
        if failed:
            logger.warning("phone %d: its episode does not count: %s", result.id, result.info["failure"]["message"])
        # A judge that fails says nothing about the phone.
        self._quarantine.record(result.id, failed and result.info["failure"]["kind"] != "judge")
        if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise CollectorError(
                f"{self._failures_in_a_row} episodes in a row failed, the last with {result.info['failure']}; "
                "check the devices, then resume"
            )

    def _act(self, phones: list[int]) -> None:
        """Choose an action for each of `phones` in one batch and send them."""
        self._weights.refresh(self._policy)
        self._beat()
        episodes = [self._playing[phone] for phone in phones]
        shown = [episode.observation(self._view) for episode in episodes]
        decisions = self._policy.act(shown, streams=[episode.stream for episode in episodes])
        actions: list[Action | InvalidAction] = []
        for episode, decision in zip(episodes, decisions, strict=True):
            episode.choose(decision, self._policy.version, self._shaping)
            actions.append(decision.action)
        self._pool.send(actions, phones)

    def _finish(self, episode: _Episode, result: Result) -> Trajectory:
        """Return the trajectory of a finished episode."""
        info = episode.info
        failure = _failure(info)
        success = bool(info.get("is_success", False)) and not failure["kind"]
        return Trajectory(
            id=f"{self._name}-{episode.number:08d}",
            template=str(info.get("template") or episode.request.template),
            task_id=str(info.get("task_id", "")),
            split=str(info.get("split", "")),
            instance=int(info.get("instance", episode.request.instance)),
            instruction=episode.instruction,
            steps=_steps(episode),
            frames=tuple(episode.encoded),
            terminated=bool(result.terminated),
            truncated=bool(result.truncated) and not result.terminated,
            success=success,
            reward_valid=bool(info.get("reward_valid", True)) and not failure["kind"],
            verdict_reason=str(info["verdict"]["reason"]) if "verdict" in info else "",
            failure_kind=failure["kind"],
            failure_message=failure["message"],
            false_completion=bool(info.get("false_completion", False)),
            side_effects=len(info.get("side_effects", "").split()),
            collector=str(self._name),
            seed=self._name.seed,
            seconds=time.monotonic() - episode.started,
        )


def _failure(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind and message of the failure that ended an episode, empty if none did.

    An environment of the user's own may leave out what it does not know.
    """
    return {"kind": "", "message": "", **info.get("failure", {})}


def _invalid_reason(decision: Decision, info: Mapping[str, Any]) -> str:
    if isinstance(decision.action, InvalidAction):
        return decision.action.reason or "invalid"
    reason = info.get("invalid_action")
    return str(reason) if reason else ""


def _steps(episode: _Episode) -> tuple[Step, ...]:
    """Return the steps of `episode`."""
    return tuple(
        Step(
            token_ids=decision.token_ids,
            logprobs=decision.logprobs,
            text=decision.text,
            action=encode_action(decision.action),
            version=version,
            value=decision.value,
            reward_task=reward,
            reward_shaping=shaping,
            invalid=invalid,
        )
        for decision, version, reward, shaping, invalid in zip(
            episode.decisions, episode.versions, episode.rewards, episode.shaping, episode.invalid, strict=True
        )
    )
