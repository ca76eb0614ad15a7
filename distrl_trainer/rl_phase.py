"""The RL phase of a run, or its control arm: learning, validation, checkpoints, the choice of the final policy.

Invariants: the final policy is chosen by its success on train goals (`VALIDATION_FIRST` on), never on test goals; a
checkpoint is written only where `DistRL.training_state` is exact. Caller: `train_command`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from distrl_trainer import checkpoint
from distrl_trainer.algorithm import DistRL
from distrl_trainer.config import RunConfig
from distrl_trainer.evaluation import evaluate
from distrl_trainer.fleet import FleetError
from distrl_trainer.interrupts import Interrupted, Interrupts
from distrl_trainer.live import LiveView, Status
from distrl_trainer.observations import View
from distrl_trainer.phones import env_specs, workers_for
from distrl_trainer.policy.base import Policy
from distrl_trainer.report import CurvePoint
from distrl_trainer.run_folder import RunFolder
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.vec_env import PhoneVecEnv

logger = logging.getLogger(__name__)

VALIDATION_FIRST = 2**31
"""First instance of validation: beyond all that collectors draw."""
LOG_EPISODES = 16


class Progress(msgspec.Struct, kw_only=True):
    """What the phase knows besides `DistRL`'s own state; part of every checkpoint.

    `best_rate` and `best_steps` belong to the weights kept as best so far; `validated_at` is the step of the last
    validation, -1 before the first; `seconds` is wall-clock. `last` is the validation at the end, where none was due:
    it takes part in the choice, and a run that goes on forgets it, as if it had not ended.
    """

    curve: list[CurvePoint] = []
    best_rate: float = -1.0
    best_steps: int = 0
    validated_at: int = -1
    last: CurvePoint | None = None
    updates: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    busy: dict[str, float] = {}
    self_check: dict[str, float] = {}
    finished: bool = False


class RLPhase:
    """Runs the phase, from the start or from the newest intact checkpoint.

    Args:
        config: Settings.
        folder: Of the run; `folder.warm` holds the warm policy.
        demonstrations: The warm start's.
        view: Shows how it goes.
        interrupts: Asked to stop by signals.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        demonstrations: Sequence[Trajectory],
        view: LiveView,
        interrupts: Interrupts,
    ) -> None:
        self.config = config
        self.folder = folder
        self.progress = Progress()
        self._view = view
        self._interrupts = interrupts
        self._best: dict[str, torch.Tensor] = {}
        fleet = config.fleet
        specs = env_specs(config.env, "train", fleet.collectors * fleet.envs_per_collector)
        # Who validates on real devices needs the very ones that collect: the fleet gives them back for that time.
        self._takes_turns = workers_for(specs) > 0
        phones = PhoneVecEnv(specs, workers=workers_for(specs), step_timeout=config.env.step_timeout)
        warm = msgspec.structs.replace(config.policy, model=str(folder.warm))
        self.model = DistRL(warm, phones, config=config, folder=folder.root, demonstrations=demonstrations)
        # A run that is resumed goes back to a checkpoint, whose trajectories have to be there still.
        self.model.replay.files.keep_spent = True
        self.model.set_logger(self._make_logger())
        self._saved_at = -1
        self._begun = time.monotonic()

    @property
    def policy(self) -> Policy:
        """The policy that learns."""
        return cast(Policy, self.model.policy)

    @property
    def done(self) -> int:
        """Return environment steps; for the control arm, those that RL would have made by now."""
        if not self.is_control:
            return self.model.num_timesteps
        run, algorithm = self.config.run, self.config.algorithm
        if run.control_seconds:
            learning = self.progress.seconds + time.monotonic() - self._begun - self.progress.validation_seconds
            return min(run.total_env_steps, int(run.total_env_steps * learning / run.control_seconds))
        if run.control_updates:
            return run.total_env_steps * self.progress.updates // run.control_updates
        return round(self.progress.updates * algorithm.batch_steps / algorithm.replay_ratio)

    @property
    def is_control(self) -> bool:
        """Whether this is the control arm, which clones demonstrations and collects nothing."""
        return self.config.algorithm.name == "clone-only"

    def run(self) -> None:
        """Learn until the budget is used, then leave the chosen weights in `policy`.

        Raises:
            Interrupted: A signal came; a checkpoint says where to continue.
            FleetError, LearnerError, StorageError: As `DistRL.learn`.
        """
        self._restore()
        self._begun = time.monotonic()
        if not self.progress.finished or self.done < self._total():
            self.progress.finished, self.progress.last = False, None
            self._learn()
        if self._best and not self._last_is_best:
            self.policy.load_state_dict(self._best)

    @property
    def curve(self) -> list[CurvePoint]:
        """All validations, in order."""
        return [*self.progress.curve, *([self.progress.last] if self.progress.last else [])]

    @property
    def chosen_steps(self) -> int:
        """Return after how many steps the final policy was there; 0 if none was validated."""
        return self.done if self._last_is_best else self.progress.best_steps

    @property
    def _last_is_best(self) -> bool:
        return self.progress.last is not None and self._is_best(self.progress.last)

    def _is_best(self, point: CurvePoint) -> bool:
        """Return whether `point` is as good as the best so far; a validation without any verdict chooses nothing."""
        return point.rate.unjudged < point.rate.n and point.rate.rate >= self.progress.best_rate

    def chosen(self) -> str:
        """Return which policy is final, for the summary."""
        if not self._best and not self._last_is_best:
            return f"the last one, after {self.done} steps"
        return f"validated best, after {self.chosen_steps} steps"

    def at_rest(self) -> None:
        """Save and validate where due; called where the training state is exact.

        In this order: what validation runs into, a phone that is away or a judge that is silent, costs no training.
        """
        validation = self._validation_is_due()
        unsaved = self.done - max(self._saved_at, 0)
        if unsaved >= self.config.run.save_every_env_steps or self._interrupts.requested or (validation and unsaved):
            self.save()
        if validation and self._takes_turns and self.model.fleet is not None:
            self.model.request_stop()
        elif validation:
            self._validate()

    def save(self) -> None:
        """Write a checkpoint and remove the oldest.

        Raises:
            StorageError: The disk refused.
        """
        if self._saved_at == self.done and not self.progress.finished:
            return
        progress = msgspec.structs.replace(
            self.progress, seconds=self.progress.seconds + time.monotonic() - self._begun
        )
        parts = {**self.model.training_state(), "phase": msgspec.to_builtins(progress), "best": self._best}
        files = {"config.yaml": self.folder.settings_text(self.config)}
        checkpoint.save(self.folder.checkpoints, self.done, parts, files=files)
        if not self.folder.saved.exists():
            self.folder.write(self.folder.saved, {"first_checkpoint": self.done})
        kept = checkpoint.prune(self.folder.checkpoints, self.config.run.keep_checkpoints)
        self.model.replay.files.sweep(checkpoint.read_part(folder, "replay")["spent"] for folder in kept)
        self._saved_at = self.done

    def _learn(self) -> None:
        with self._interrupts.deferred(self._stop_soon):
            self.at_rest()
            if not self._interrupts.requested:
                self._clone() if self.is_control else self._reinforce()
            if self._interrupts.requested:
                self.save()
                raise Interrupted
            if 0 <= self.progress.validated_at < self.done:
                self.save()
                self.progress.last = self._measure()
            self._interrupts.check()
        self.progress.seconds += time.monotonic() - self._begun
        self._begun = time.monotonic()
        self.progress.finished = True
        self.save()

    def _make_logger(self) -> Logger:
        formats: list[KVWriter] = [] if self.is_control else [_LiveWriter(self._view, self.config.run.total_env_steps)]
        if self.config.run.tensorboard:
            formats.append(TensorBoardOutputFormat(str(self.folder.root)))
        return Logger(str(self.folder.root), formats)

    def _reinforce(self) -> None:
        while self.done < self._total() and not self._interrupts.requested:
            remaining = self._total() - self.model.planned_timesteps
            try:
                self.model.learn(remaining, _AtRest(self), log_interval=LOG_EPISODES, reset_num_timesteps=False)
            except FleetError:
                self.save()
                raise
            self.at_rest()
        self.progress.busy = self.model.busy()
        if self.model.self_check is not None:
            self.progress.self_check = self.model.self_check.numbers()
        self.progress.updates = self.model.books.counters.updates

    def _clone(self) -> None:
        while self.done < self._total() and not self._interrupts.requested:
            metrics = self.model.learner.clone()
            self.progress.updates += 1
            self.at_rest()
            self.model.logger.record("train/updates", self.progress.updates)
            self.model.logger.dump(self.done)
            self._view.update(
                Status(done=self.done, total=self._total(), updates=self.progress.updates, losses=dict(metrics))
            )
        self.progress.busy = {"learner": 1.0, "collectors": 0.0}

    def _total(self) -> int:
        return self.config.run.total_env_steps

    def _validation_is_due(self) -> bool:
        if not self.config.eval.validation_episodes:
            return False
        last = self.progress.validated_at
        return last < 0 or self.done - last >= self.config.run.eval_every_env_steps

    def _validate(self) -> None:
        """Measure the policy on train goals and keep its weights if none was better."""
        steps = self.done
        point = self._measure()
        if self._interrupts.requested:
            return  # the run stops; a resumed one validates again
        self.progress.validated_at = steps
        if point is None:
            return
        self.progress.curve.append(point)
        if self._is_best(point):
            self.progress.best_rate, self.progress.best_steps = point.rate.rate, steps
            self._best = self.policy.state_dict()

    def _measure(self) -> CurvePoint | None:
        """Return the success of the policy on train goals; None if it was interrupted.

        Episodes without a verdict count as failures: a policy is never chosen for what nobody has judged.
        """
        settings, steps, begun = self.config.eval, self.done, time.monotonic()
        try:
            result = evaluate(
                self.policy,
                self.config.env,
                split="train",
                episodes=settings.validation_episodes,
                seed=settings.seed,
                envs=settings.envs,
                view=View(self.config.policy.frames, self.config.policy.history),
                first_instance=VALIDATION_FIRST,
                progress=lambda _: self._interrupts.check(),
            )
        except Interrupted:
            return None
        self.progress.validation_seconds += time.monotonic() - begun
        if result.unjudged:
            logger.warning("validation at %d steps: %d episodes have no verdict", steps, result.unjudged)
        self.model.logger.record("eval/validation_success", result.success.rate)
        self.model.logger.record("eval/validation_unjudged_share", result.unjudged / max(1, result.success.n))
        self._view.evaluated(f"validation at {steps} steps", str(result.success))
        return CurvePoint(env_steps=steps, rate=result.success)

    def _stop_soon(self) -> None:
        self._view.note("stopping: finishing this batch, then a checkpoint; press again to stop at once")
        # In turn with the learner a batch comes soon, and stopping at rest keeps the run reproducible bit for bit.
        if self.config.fleet.kind != "serial":
            self.model.request_stop()

    def _restore(self) -> None:
        newest = checkpoint.latest_good(self.folder.checkpoints)
        if newest is None:
            self.folder.check_nothing_saved()
            return
        self.folder.check_settings_of(newest, self.config)
        parts = checkpoint.load(newest)
        try:
            self.progress = msgspec.convert(parts.pop("phase"), Progress)
            self._best = parts.pop("best")
            self.model.load_training_state(parts)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise checkpoint.CheckpointError(
                f"checkpoint {newest} does not fit this run ({type(error).__name__}: {error})"
            ) from error
        self._saved_at = self.done
        self._view.note(f"continuing from {newest.name}")


class _AtRest(BaseCallback):
    """Calls `RLPhase.at_rest` before every rollout."""

    def __init__(self, phase: RLPhase) -> None:
        super().__init__()
        self._phase = phase

    def _on_rollout_start(self) -> None:
        self._phase.at_rest()
        if self._phase._interrupts.requested:
            self._phase.model.request_stop()

    def _on_step(self) -> bool:
        return True


class _LiveWriter(KVWriter):
    """Shows what SB3 logs in the live view."""

    def __init__(self, view: LiveView, total: int) -> None:
        self._view = view
        self._total = total

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Show the numbers of one dump."""
        self._view.update(status(key_values, step, self._total))

    def close(self) -> None:
        """Do nothing."""


def status(values: Mapping[str, Any], done: int, total: int) -> Status:
    """Return the `Status` that logged `values` amount to."""
    lags: dict[int, int] = {}
    for lag in values["collect/lags"].tolist() if "collect/lags" in values else ():
        lags[int(lag)] = lags.get(int(lag), 0) + 1
    return Status(
        done=done,
        total=total,
        success=values.get("collect/success_rate"),
        steps_per_second=values.get("time/steps_per_second", 0.0),
        episodes=values.get("collect/episodes", 0),
        updates=values.get("train/updates", 0),
        version=values.get("train/version", 0),
        lags=lags,
        dropped=values.get("collect/dropped_lag", 0),
        invalid_reward_share=values.get("collect/invalid_reward_share", 0.0),
        infra_errors=values.get("collect/infra_errors", 0),
        losses={name: values[f"train/{name}"] for name in ("policy_loss", "value_loss", "entropy", "kl_behaviour")
                if f"train/{name}" in values},
        busy={name: values[f"time/{name}_busy"] for name in ("learner", "collectors") if f"time/{name}_busy" in values},
    )  # fmt: skip
