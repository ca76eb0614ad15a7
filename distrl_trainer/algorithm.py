"""`DistRL`: the trainer as a Stable-Baselines3 algorithm, a thin adapter.

`collect_rollouts` drains the fleet until `train_freq`, `train` samples replay and hands the batch to the
learner; SB3's loop, callbacks, logger and progress bar do the rest. Invariants: every trajectory that arrives
is counted, and enters replay only if its reward is valid and its lag within the bound; before SB3's
`on_rollout_start` event `training_state` is exact, and a serial run resumed from it goes on bit for bit. The
oracle is never asked here: demonstrations come in as a finished list.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback, RolloutReturn, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import configure_logger, safe_mean
from stable_baselines3.common.vec_env import VecEnv

from android_env_gym.actions import make_action_space
from android_env_gym.env import make_observation_space
from distrl_trainer.archived_algorithm import ArchivedAlgorithm
from distrl_trainer.books import Books
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.demonstrations import Demonstrations
from distrl_trainer.door import Rules
from distrl_trainer.fleet import Fleet, FleetStats
from distrl_trainer.inbox import Inbox, Received
from distrl_trainer.learner import Learner
from distrl_trainer.main_guard import require_main_guard
from distrl_trainer.make_fleet import make_fleet
from distrl_trainer.observations import View
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.prediction import predict_actions
from distrl_trainer.replay import Replay
from distrl_trainer.run_lock import hold
from distrl_trainer.sb3_arguments import SB3Arguments, check_env, check_policy, rhythm, with_arguments
from distrl_trainer.self_check import SelfCheck, check
from distrl_trainer.step_stream import StepStream
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.value_fit import fit_values
from distrl_trainer.vec_env import PhoneVecEnv

logger = logging.getLogger(__name__)

SELF_CHECK_EPISODES = 64
"""Episodes from which the self-check chooses its decisions: the first that arrive, so all templates of a suite."""


class DistRL(ArchivedAlgorithm):
    """A-RIDE with distributed collection (DistRL, arXiv 2410.14803).

    Args:
        policy: A `Policy`, a `PolicyConfig`, or a model name as in `PolicyConfig.model` ("tiny", a folder, a hub id);
            None: what `config.policy` describes.
        env: A `PhoneVecEnv`, whose phones the fleet drives; an environment id for `gym.make`, of which the fleet's
            number of phones is made with `env_kwargs`; or None to predict only.
        config: All settings. Whatever other arguments say goes into the trainer's own copy, the attribute `config`.
        folder: Where trajectories, weights and other working files live; None: a temporary folder.
        demonstrations: The warm start's, for the cloning term.
        env_kwargs: Keyword arguments of `EnvSpec`, if `env` is an id.
        seed: Of every random draw; None: `config.run.seed`.
        tensorboard_log: Folder for TensorBoard events.
        verbose: 0 silent, 1 prints the log table.
        stats_window_size: Number of recent episodes in logged means.
        arguments: Other constructor arguments of Stable-Baselines3: see `SB3Arguments`.

    Raises:
        TypeError: `env` is a raw environment or one in a wrapper that would have no effect, `policy` is a stock one, or
            an argument has no meaning here; the message says what to use.
        ValueError: An argument's value is out of bounds.
    """

    def __init__(
        self,
        policy: Policy | PolicyConfig | str | None = None,
        env: PhoneVecEnv | str | None = None,
        *,
        config: RunConfig | None = None,
        folder: Path | str | None = None,
        demonstrations: Sequence[Trajectory] = (),
        env_kwargs: dict[str, Any] | None = None,
        seed: int | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        stats_window_size: int = 100,
        **arguments: Unpack[SB3Arguments],
    ) -> None:
        config, made = _with_policy(config or RunConfig(), policy)
        config = with_arguments(config, arguments, has_policy=made is not None)
        run_seed = config.run.seed if seed is None else seed
        self.config = msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, seed=run_seed))
        algorithm, fleet = self.config.algorithm, self.config.fleet
        every_steps, batches = rhythm(algorithm)
        if isinstance(env, str):
            env = PhoneVecEnv(fleet.collectors * fleet.envs_per_collector, id=env, **(env_kwargs or {}))
        super().__init__(
            policy=cast(Any, type(policy)),  # SB3 would build its own network from this class; `_setup_model` does not
            env=cast(Any, env),
            learning_rate=algorithm.lr,
            buffer_size=self.config.replay.capacity_steps,
            learning_starts=max(self.config.replay.min_steps, self.config.warmup.value_steps),
            batch_size=algorithm.batch_steps,
            gamma=algorithm.gamma,
            train_freq=every_steps,
            gradient_steps=batches,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device="cpu",  # where the policy lives is the policy's own matter
            support_multi_env=True,
            seed=run_seed,
            sde_support=False,
        )
        if self.env is None:
            self.n_envs = 1
            self.observation_space = make_observation_space(self.config.env.screen)
            self.action_space = make_action_space()
        self.train_freq = TrainFreq(cast(int, self.train_freq), TrainFrequencyUnit.STEP)
        self._given_policy = made
        self._demonstrations = list(demonstrations)
        self._folder = Path(folder) if folder is not None else None
        self._temporary: TemporaryDirectory[str] | None = None
        self._stop_requested = False
        self._setup_model()

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Return `env` if it is a `PhoneVecEnv` that the fleet can drive.

        Raises:
            TypeError: It is not, see `check_env`.
        """
        check_env(env)
        return env

    def _setup_model(self) -> None:
        """Make policy, learner, replay and the books; the fleet is made when learning begins."""
        config, seed = self.config, cast(int, self.seed)
        self.policy_config = config.policy if self._given_policy is None else None
        policy = self._given_policy or load_policy(config.policy, seed=seed)
        self.device = next(policy.module.parameters()).device
        self.policy = cast(Any, policy)
        self.view = View(frames=config.policy.frames, history=config.policy.history)
        demonstrations = Demonstrations(self._demonstrations, self.view) if self._demonstrations else None
        self.learner = Learner(policy, config.algorithm, view=self.view, seed=seed, demonstrations=demonstrations)
        self.replay = Replay(config.replay, self.folder)
        self.replay_buffer = cast(Any, self.replay)
        templates = self._phones.templates if self.env is not None else ("none",)
        self.books = Books(config, templates, self._stats_window_size)
        self.fleet: Fleet | None = None
        self._fleet_state: dict[str, Any] | None = None
        self._fleet_stats = FleetStats()
        self._steps = StepStream()
        self._seed_draws(seed)
        self._metrics: dict[str, float] = {}
        self._learner_seconds = self._collect_seconds = self._cycle_seconds = 0.0
        self._logged_episodes = 0
        self.self_check: SelfCheck | None = None
        self._first_arrivals: list[Trajectory] = []

    def set_random_seed(self, seed: int | None = None) -> None:
        """Begin the draws of replay and of sampled predictions anew from `seed`, beside all that SB3 seeds.

        What collectors draw goes on from the constructor's seed: a number that an episode had is never given again.
        None changes nothing.
        """
        super().set_random_seed(seed)
        if seed is not None:
            self._seed_draws(seed)

    def _seed_draws(self, seed: int) -> None:
        self._generator = np.random.default_rng([seed, 0])
        self._predictions = np.random.default_rng([seed, 5])

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Learn on other phones from now on; their number and their tasks may be others.

        The curriculum follows: tasks that are new start at its prior, those that it knows keep their estimates.

        Args:
            env: A `PhoneVecEnv` whose screens are as large as before.
            force_reset: Accepted; phones always begin with new episodes.

        Raises:
            RuntimeError: `learn` is running.
            TypeError: It is another environment, see `check_env`.
            ValueError: The screens have another size.
        """
        if self.fleet is not None:
            raise RuntimeError("the fleet is driving its phones: call set_env before or after learn, not in a callback")
        phones = check_env(env)
        if self.env is not None and phones.observation_space != self.observation_space:
            raise ValueError(
                f"got phones that show {phones.specs[0].screen} pixels, this trainer learns on "
                f"{self._phones.specs[0].screen}: make them with the same screen, or DistRL.load(path, env)"
            )
        self.env, self.n_envs = cast(VecEnv, env), phones.num_envs
        self.observation_space, self.action_space = phones.observation_space, phones.action_space
        self.books.curriculum.templates = phones.templates

    @property
    def planned_timesteps(self) -> int:
        """The step from which `learn` with `reset_num_timesteps=False` counts.

        Where the last `learn` was to end, if it got there: what its last rollout brought beyond is part of the next, so
        that a run in parts is the run at once. Where it was stopped, if it was.
        """
        return self._total_timesteps if self.num_timesteps >= self._total_timesteps else self.num_timesteps

    @property
    def _phones(self) -> PhoneVecEnv:
        if self.env is None:
            raise ValueError("this DistRL has no environment: pass env=PhoneVecEnv(...) to learn")
        return cast(PhoneVecEnv, self.env.unwrapped)

    @property
    def folder(self) -> Path:
        """The folder of working files."""
        if self._folder is None:
            self._temporary = TemporaryDirectory(prefix="distrl-")
            self._folder = Path(self._temporary.name)
        return self._folder

    def request_stop(self) -> None:
        """Ask `learn`, now or when it is called, to return after the update under way; safe in a signal handler."""
        self._stop_requested = True

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "DistRL",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> DistRL:
        """Learn for `total_timesteps` environment steps; arguments as in SB3 (`log_interval` counts episodes).

        Ends early, with everything in order, after `request_stop` or when a callback returns False.

        Raises:
            UnguardedScriptError: The main script would start collectors in every collector.
            FolderInUseError: Another process learns in this folder.
            FleetError: Collectors cannot be kept alive.
            SelfCheckError: The policy gives one action several probabilities, or its gradient is not finite.
            LearnerError: A loss is not finite.
            StorageError: The disk is full.
        """
        if self.config.fleet.kind == "process":
            require_main_guard()
        self._first_arrivals = []  # what an earlier `learn` left may have been recorded with other weights
        with hold(self.folder):
            self.fleet = self._make_fleet()
            try:
                self._publish_first()
                self.fleet.start()
                return super().learn(
                    total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
                )
            finally:
                self._fleet_state = self.fleet.state()
                self.fleet.close()
                self._fleet_stats = self.fleet.stats()
                self.fleet = None
                self._stop_requested = False

    def _publish_first(self) -> None:
        """Publish the weights as they are, above every version that collectors of this folder may still speak of."""
        assert self.fleet is not None
        version = max(self.books.counters.version, self.fleet.newest_version() + 1)
        self.books.jump_to(version)
        self.fleet.publish(cast(Policy, self.policy), version)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        """Do what SB3 does here, but without a reset of `env`: its phones belong to the fleet."""
        self.start_time = time.time_ns()
        self._learner_seconds = self._collect_seconds = 0.0
        if self.ep_info_buffer is None or reset_num_timesteps:
            self.ep_info_buffer = deque(maxlen=self._stats_window_size)
            self.ep_success_buffer = deque(maxlen=self._stats_window_size)
        if reset_num_timesteps:
            self.num_timesteps = 0
            self._episode_num = self._logged_episodes = 0
            self._steps.clear()
        else:
            total_timesteps += self.planned_timesteps
        self._total_timesteps = total_timesteps
        self._num_timesteps_at_start = self.num_timesteps
        if not self._custom_logger:
            self._logger = configure_logger(self.verbose, self.tensorboard_log, tb_log_name, reset_num_timesteps)
        return total_timesteps, self._init_callback(callback, progress_bar)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: Any = None,
        action_noise: Any = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """Drain the fleet until `train_freq` new steps are there that no training step has used up yet.

        New are steps that entered replay. The others are counted as made, so that a fleet whose episodes fail uses
        up its budget; when that happens before there are enough new ones, learning ends here.
        """
        callback.on_rollout_start()
        episodes, steps, going_on = 0, 0, True
        counters, frequency = self.books.counters, train_freq.frequency
        while going_on:
            arrived = self._take_arrivals(frequency)
            episodes += len(arrived)
            made = sum(len(received.trajectory.steps) for received in arrived)
            steps += made
            callback.update_locals(locals())
            going_on = self._count_steps(arrived, callback) and not self._stop_requested
            if counters.surplus_steps >= frequency:
                break
            going_on = going_on and self.num_timesteps < self._total_timesteps
        if going_on:
            counters.surplus_steps -= frequency
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        callback.on_rollout_end()
        if log_interval and self._episode_num - self._logged_episodes >= log_interval:
            self._logged_episodes = self._episode_num
            self.dump_logs()
        return RolloutReturn(steps, episodes, continue_training=going_on)

    def _take_arrivals(self, frequency: int) -> list[Received]:
        """Wait for the steps that are missing to `frequency` new ones; count, admit and return what arrives."""
        assert self.fleet is not None
        begun = time.monotonic()
        surplus = self.books.counters.surplus_steps
        self.fleet.share(self.books.curriculum.probabilities())
        self.fleet.allow(self._ahead(frequency))
        arrived = self.fleet.collect(max(0, frequency - surplus), lambda: self._stop_requested)
        for received in arrived:
            self._episode_num += 1
            new = self.books.arrive(received, self.replay, self.learner, self._cycle_seconds)
            self.books.counters.surplus_steps += new
            if self.self_check is None and new:
                self._first_arrivals = [*self._first_arrivals, received.trajectory][:SELF_CHECK_EPISODES]
        self._collect_seconds += time.monotonic() - begun
        return arrived

    def _ahead(self, frequency: int) -> float:
        """Return how many steps collectors may be ahead: two updates' worth, and what lies in their hands."""
        in_hand = self._phones.num_envs * self.config.env.max_steps / 2
        return 2 * frequency + in_hand - max(0, self.books.counters.surplus_steps)

    def _count_steps(self, arrived: Sequence[Received], callback: BaseCallback) -> bool:
        """Advance the step count; SB3's `on_step` is called once per `n_envs` steps, as a VecEnv would.

        It finds `rewards`, `dones` and `infos` of these steps in its `locals`. Once it says that learning ends, the
        other steps that arrived are counted without it: they were made, and are in replay.
        """
        end = self.num_timesteps + sum(len(received.trajectory.steps) for received in arrived)
        reported = self.num_timesteps - len(self._steps)
        seconds = (time.time_ns() - self.start_time) / 1e9
        for received in arrived:
            infos = self._steps.add(received.trajectory, seconds)
            self._update_info_buffer(infos[-1:], np.ones(len(infos[-1:]), dtype=np.bool_))
        going_on = True
        for row in self._steps.rows(self.n_envs):
            if not going_on:
                continue
            reported += self.n_envs
            self.num_timesteps = reported
            callback.update_locals({"rewards": row.rewards, "dones": row.dones, "infos": row.infos})
            going_on = callback.on_step()
        self.num_timesteps = end
        return going_on

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Learn from `gradient_steps` batches of `batch_size` environment steps; before the first, fit the values."""
        begun = time.monotonic()
        # SB3 has compared `learning_starts` with all steps made; what counts is how many of them are in replay.
        if not len(self.replay) or self.books.counters.new_steps <= self.learning_starts:
            return
        if self.self_check is None:
            self._check_policy()
        if not self.books.counters.values_fitted:
            held = [self.replay[int(id_)] for id_ in self.replay.ids]
            seed = cast(int, self.seed)
            self._metrics |= fit_values(
                cast(Policy, self.policy), held, self.config.algorithm, view=self.view, seed=seed
            )
            self.books.counters.values_fitted = True
        for _ in range(gradient_steps):
            batch = self.replay.sample(self._generator, n_steps=batch_size, beta=self._beta())
            update = self.learner.update(batch)
            found = update.priorities
            self.replay.update(found.ids, found.deltas, found.rhos, found.entropies, found.mask)
            self._metrics |= update.metrics
            self._n_updates += 1
            self._publish_if_due()
        self._cycle_seconds = time.monotonic() - begun
        self._learner_seconds += self._cycle_seconds

    def _check_policy(self) -> None:
        """Refuse a policy whose probabilities or gradients cannot be trusted; once per process, resumed or not.

        Decisions are those that arrived first; a resumed run may have none yet, then replay's are taken.
        """
        shown = self._first_arrivals or [self.replay[int(id_)] for id_ in self.replay.ids[:SELF_CHECK_EPISODES]]
        # Before the first update of a run, and then alone, what collectors recorded was recorded with these weights.
        unchanged = bool(self._first_arrivals) and not self.learner.updates
        version = self.books.counters.version if unchanged else None
        self.self_check = check(cast(Policy, self.policy), self.learner, shown, recorded_version=version)
        self._first_arrivals = []
        self._metrics |= self.self_check.numbers()
        logger.info("%s", self.self_check)

    def _beta(self) -> float:
        """Return the exponent now; it depends on the steps done, not on how many are planned."""
        replay = self.config.replay
        return replay.beta_start + (1.0 - replay.beta_start) * min(1.0, self.num_timesteps / replay.beta_steps)

    def _publish_if_due(self) -> None:
        if self.fleet is None:
            return
        version = self.books.next_version(time.monotonic(), self.fleet.stats().in_flight)
        if version is not None:
            self.fleet.publish(cast(Policy, self.policy), version)

    def busy(self) -> dict[str, float]:
        """Return shares of wall-clock: the `learner` in training rather than waiting for data (callbacks aside), the
        `collectors` in acting and stepping.
        """
        learning = self._learner_seconds + self._collect_seconds
        collectors = self.fleet.stats() if self.fleet is not None else self._fleet_stats
        return {"learner": self._learner_seconds / learning if learning else 0.0, "collectors": collectors.busy}

    def dump_logs(self) -> None:
        """Write everything that is worth knowing, under `collect/ replay/ train/ time/`, and SB3's own `rollout/`."""
        stats = self.fleet.stats() if self.fleet is not None else self._fleet_stats
        collect = self.books.numbers() | {
            "in_flight": stats.in_flight,
            "restarts": stats.restarts,
            "lost_episodes": stats.lost,
        }
        lags = self.books.gate.lags()
        for namespace, numbers in (("collect", collect), ("replay", self.replay.stats()), ("train", self._metrics)):
            for name, value in numbers.items():
                self.logger.record(f"{namespace}/{name}", value)
        self._metrics = {}
        self.logger.record("train/updates", self.books.counters.updates)
        self.logger.record("train/version", self.books.counters.version)
        if self.ep_info_buffer:
            self.logger.record("rollout/ep_rew_mean", safe_mean([info["r"] for info in self.ep_info_buffer]))
            self.logger.record("rollout/ep_len_mean", safe_mean([info["l"] for info in self.ep_info_buffer]))
        if self.ep_success_buffer:
            self.logger.record("rollout/success_rate", safe_mean(self.ep_success_buffer))
        if lags:
            hidden = ("stdout", "log", "json", "csv")
            self.logger.record("collect/lags", torch.tensor(lags, dtype=torch.float32), exclude=hidden)
        elapsed = max(1e-9, (time.time_ns() - self.start_time) / 1e9)
        self.logger.record("time/steps_per_second", (self.num_timesteps - self._num_timesteps_at_start) / elapsed)
        self.logger.record("time/elapsed", elapsed)
        self.logger.record("time/total_timesteps", self.num_timesteps)
        self.logger.record("time/fps", int((self.num_timesteps - self._num_timesteps_at_start) / elapsed))
        self.logger.record("time/episodes", self._episode_num)
        for name, share in self.busy().items():
            self.logger.record(f"time/{name}_busy", share)
        self.logger.dump(step=self.num_timesteps)

    def predict(
        self,
        observation: Any,
        state: tuple[Any, ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return typed actions for a batch of observations (or one action for one), and the state to pass back.

        Args:
            observation: `screenshot` `(n, height, width, 3)` or `(height, width, 3)`, `instruction` `(n,)` or str.
            state: What the call before returned: past screenshots and action texts per phone.
            episode_start: `(n,)`, where the past is forgotten.
            deterministic: Decode greedily.
        """
        return predict_actions(
            cast(Policy, self.policy),
            self.view,
            observation,
            state,
            episode_start,
            greedy=deterministic,
            generator=self._predictions,
        )

    def training_state(self) -> dict[str, Any]:
        """Return everything that a run continues from, as trees for `checkpoint.save`; trajectories only by name.

        Exact where `on_rollout_start` is called: nothing has arrived that was not counted.
        """
        return {
            "policy": cast(Policy, self.policy).state_dict(),
            "learner": self.learner.state(),
            "replay": self.replay.state(),
            "books": self.books.state(),
            "loop": {
                "num_timesteps": self.num_timesteps,
                "episodes": self._episode_num,
                "updates": self._n_updates,
                "planned": self._total_timesteps,
                "generator": self._generator.bit_generator.state,
                "fleet": self.fleet.state() if self.fleet is not None else self._fleet_state,
            },
        }

    def load_training_state(self, parts: dict[str, Any]) -> None:
        """Install what `training_state` returned (`replay` may be missing); then learn with
        `reset_num_timesteps=False`.

        Raises:
            LearnerError: The optimizer belongs to another policy.
            ReplayFileError: The trajectories of the replay are not in this trainer's `folder`.
        """
        loop = parts["loop"]
        cast(Policy, self.policy).load_state_dict(parts["policy"])
        self.learner.load_state(parts["learner"])
        if "replay" in parts:
            self.replay.load_state(parts["replay"])
        self.books.load_state(parts["books"])
        self.num_timesteps = int(loop["num_timesteps"])
        self._steps.clear()
        self._episode_num = self._logged_episodes = int(loop["episodes"])
        self._n_updates = int(loop["updates"])
        self._total_timesteps = int(loop["planned"])
        self._generator.bit_generator.state = loop["generator"]
        self._fleet_state = loop["fleet"]

    def _make_fleet(self) -> Fleet:
        policy, seed = cast(Policy, self.policy), cast(int, self.seed)
        inbox = Inbox(self.replay.files.inbox, self._rules)
        fleet = make_fleet(
            self.config, self._phones, policy, self.policy_config, seed=seed, folder=self.folder, inbox=inbox
        )
        if self._fleet_state is not None:
            fleet.load_state(self._fleet_state)
        self.replay.files.restore(self.replay.file_names, fleet.recall)
        return fleet

    def _rules(self) -> Rules:
        """Return what trajectories of this run look like now."""
        spec = self._phones.specs[0]
        capacity = self.config.replay.capacity_steps
        return Rules(
            templates=frozenset(self._phones.templates),
            split=spec.split,
            screen=spec.screen,
            max_steps=min(spec.max_steps or capacity, capacity),
            newest_version=self.books.counters.version,
            shaping=self.config.shaping,
            check_tokens=cast(Policy, self.policy).check_tokens,
        )


def _with_policy(config: RunConfig, policy: Policy | PolicyConfig | str | None) -> tuple[RunConfig, Policy | None]:
    """Return `config` with what `policy` says about the model, and `policy` itself if it exists already."""
    if policy is None:
        return config, None
    check_policy(policy)
    if isinstance(policy, str):
        policy = msgspec.structs.replace(config.policy, model=policy)
    if isinstance(policy, PolicyConfig):
        return msgspec.structs.replace(config, policy=policy), None
    # Where and in which number type it lives is the policy's own matter, and a saved trainer has to come back so.
    # The largest tensor tells the type: adapters and value heads may have another.
    weights = max(policy.module.parameters(), key=torch.Tensor.numel)
    dtype = str(weights.dtype).removeprefix("torch.")
    described = msgspec.structs.replace(config.policy, device=str(weights.device), dtype=dtype)
    return msgspec.structs.replace(config, policy=described), policy
