"""The supervised start: demonstrations of the oracle on train goals, then behaviour cloning for a fixed schedule.

Invariant: the oracle is asked in `record_demonstrations` alone, before RL, for a stated number of episodes; what
it returns is a finished list, and nothing that runs during RL imports this module. Demonstrations are played
through the environment, so each is a verified success and its frames, history and token ids are what the policy
itself would see and say. Called by `train_command` and `distrl-train warmup`; cloning uses RL's policy and loss.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch

from android_env_gym.actions import ActionError, validate
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.tasks.base import TaskTemplate
from android_env_gym.tasks.pilot import oracle_actions
from android_env_gym.tasks.suites import goal_of
from android_env_gym.vector import EnvSpec
from distrl_trainer.config import WarmupConfig
from distrl_trainer.curriculum import MAX_INSTANCE
from distrl_trainer.demonstrations import Demonstrations, imitation_loss, imitation_losses
from distrl_trainer.inspect_html import InspectError, read_episode
from distrl_trainer.observations import (
    FrameError,
    View,
    decode_action,
    encode_action,
    encode_frame,
    observations,
    window,
)
from distrl_trainer.optimisation import MasterOptimizer
from distrl_trainer.policy.base import Policy
from distrl_trainer.prompts import action_text
from distrl_trainer.trajectory import Step, Trajectory

logger = logging.getLogger(__name__)

ATTEMPTS_PER_DEMONSTRATION = 4
WARM_STEPS = 50
LAST_RATE = 0.1
FLAT_EPOCHS = 5
MAX_GRAD_NORM = 1.0


class WarmupError(RuntimeError):
    """The warm start cannot be made; the message says why and what to do."""


class CloningResult(msgspec.Struct, frozen=True, kw_only=True):
    """How cloning went. Losses are mean `- log pi` per decision, per epoch.

    `flattened`: the last `FLAT_EPOCHS` brought no lower validation loss than those before.
    """

    epochs: int
    train_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    flattened: bool
    seconds: float


def record_demonstrations(
    count: int,
    spec: EnvSpec,
    policy: Policy,
    *,
    view: View,
    seed: int,
    progress: Callable[[int], None] | None = None,
    record: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """Return `count` successful episodes of the oracle, spread evenly over the templates of `spec`.

    An episode that fails, or that the policy's vocabulary cannot express, is replaced by another instance.

    Args:
        count: How many; the only ones that a run ever gets.
        spec: The embedded phone and the suite; the split must be "train".
        policy: Encodes the actions.
        view: How much of the past the policy is shown.
        seed: Picks the instances.
        progress: Is told the number of finished demonstrations.
        record: Is given every one as soon as it is finished.

    Raises:
        WarmupError: The split is not "train", the device is no embedded phone, the suite is of instruction files
            (no oracle), or the oracle keeps failing.
    """
    if spec.split != "train":
        raise WarmupError(f"demonstrations are drawn from train goals only, got split {spec.split!r}")
    generator = np.random.default_rng([seed, 3])
    env = spec.make()
    try:
        phone = cast(AndroidTaskEnv, env.unwrapped)
        if phone.world is None or not all(template.needs_world for template in phone.templates):
            raise WarmupError(
                "only the package's own task templates have an oracle, and it reads the state of the embedded phone; "
                f"got device {spec.device!r}, suite {spec.suite!r}: set warmup.demonstrations 0, clone recorded "
                "trajectories with warmup.trajectories, or start from a trained policy with warmup.weights"
            )
        found: list[Trajectory] = []
        while len(found) < count:
            template = phone.templates[len(found) % len(phone.templates)]
            found.append(_demonstrate(phone, template, policy, view, generator, f"demo-{seed}-{len(found):05d}"))
            if record is not None:
                record(found[-1])
            if progress is not None:
                progress(len(found))
    finally:
        env.close()
    return found


def _demonstrate(
    env: AndroidTaskEnv,
    template: TaskTemplate,
    policy: Policy,
    view: View,
    generator: np.random.Generator,
    name: str,
) -> Trajectory:
    problem = ""
    for _ in range(ATTEMPTS_PER_DEMONSTRATION):
        instance = int(generator.integers(MAX_INSTANCE))
        try:
            trajectory = _play(env, template, policy, view, instance, name)
        except ActionError as error:
            problem = str(error)
            continue
        if trajectory.success:
            return trajectory
        problem = f"it failed: {trajectory.verdict_reason or trajectory.failure_message or 'step limit'}"
    raise WarmupError(
        f"{ATTEMPTS_PER_DEMONSTRATION} instances of {template.id} gave no demonstration, the last because {problem}; "
        "check the template with `python -m android_env_gym check`, or raise env.max_steps"
    )


def _play(
    env: AndroidTaskEnv, template: TaskTemplate, policy: Policy, view: View, instance: int, name: str
) -> Trajectory:
    """Return one episode of the oracle, successful or not.

    Raises:
        ActionError: The policy's vocabulary cannot express one of its actions.
    """
    begun = time.monotonic()
    observation, info = env.reset(options={"task": template.id, "instance": instance})
    frames = [observation["screenshot"]]
    texts: list[str] = []
    steps: list[Step] = []
    reward, terminated, truncated = 0.0, False, False
    for action in oracle_actions(template, env.device, goal_of(env.task)):
        shown = window(observation["instruction"], frames, texts, len(steps), view)
        tokens = policy.encode_action(action, shown)
        observation, reward, terminated, truncated, info = env.step(action)
        frames.append(observation["screenshot"])
        texts.append(action_text(action))
        # The oracle is certain of its action: its behaviour log-prob is 0.
        certain = (0.0,) * len(tokens)
        steps.append(Step(tuple(tokens), certain, texts[-1], encode_action(action), 0, 0.0, float(reward)))
        if terminated or truncated:
            break
    return Trajectory(
        id=name,
        template=template.id,
        task_id=info["task_id"],
        split=info["split"],
        instance=instance,
        instruction=observation["instruction"],
        steps=tuple(steps),
        frames=tuple(encode_frame(frame) for frame in frames),
        terminated=terminated,
        truncated=truncated,
        success=bool(info["is_success"]),
        reward_valid=bool(info["reward_valid"]),
        verdict_reason=info["verdict"]["reason"],
        failure_kind=info["failure"]["kind"],
        failure_message=info["failure"]["message"],
        collector="oracle",
        seconds=time.monotonic() - begun,
    )


def load_demonstrations(folder: Path, policy: Policy, *, view: View) -> list[Trajectory]:
    """Return the successful recorded trajectories (`*.traj`) of `folder`, with token ids of `policy`.

    Their actions are encoded anew, since another model may have recorded them. A file that cannot be read, and an
    episode that the policy cannot express, are left out and named in the log.

    Raises:
        WarmupError: Nothing remains.
    """
    found: list[Trajectory] = []
    files = sorted(Path(folder).glob("*.traj"))
    for path in files:
        try:
            trajectory = read_episode(path)
            if trajectory.success and trajectory.reward_valid and trajectory.steps:
                found.append(_reencoded(trajectory, policy, view))
        except (InspectError, FrameError, ActionError) as error:
            logger.warning("left out %s: %s", path, error)
    if not found:
        raise WarmupError(
            f"{folder} has {len(files)} files *.traj and no successful episode that this policy can express; "
            "record some with `distrl-train collect`"
        )
    return found


def _reencoded(trajectory: Trajectory, policy: Policy, view: View) -> Trajectory:
    steps: list[Step] = []
    for step, shown in zip(trajectory.steps, observations(trajectory, view), strict=False):
        action: Any = decode_action(step)
        tokens = policy.encode_action(validate(action), shown)
        certain = (0.0,) * len(tokens)
        steps.append(msgspec.structs.replace(step, token_ids=tuple(tokens), logprobs=certain))
    return msgspec.structs.replace(trajectory, steps=tuple(steps))


def clone(
    policy: Policy,
    demonstrations: Sequence[Trajectory],
    config: WarmupConfig,
    *,
    view: View,
    seed: int,
    micro_batch: int = 0,
    progress: Callable[[int, float, float], None] | None = None,
) -> CloningResult:
    """Clone `demonstrations` for `config.epochs` epochs.

    The learning rate warms up over 50 steps and falls by a cosine to a tenth at the end. A fixed share of the
    demonstrations, whole episodes, is held out: its loss tells whether cloning was long enough (`flattened`). It does
    not choose an epoch: success keeps rising for long after a small held-out loss has come to rest.

    Args:
        policy: Is trained in place.
        demonstrations: At least two.
        config: `lr`, `batch`, `epochs`, `validation_share`.
        view: How much of the past the policy is shown.
        seed: Of the split and the order of samples.
        micro_batch: Samples per forward and backward pass; 0: a whole `config.batch`.
        progress: Is told (epoch, training loss, validation loss).

    Raises:
        WarmupError: There are fewer than two demonstrations.
    """
    if len(demonstrations) < 2:
        raise WarmupError(f"cloning needs at least 2 demonstrations, got {len(demonstrations)}")
    begun = time.monotonic()
    generator = np.random.default_rng([seed, 4])
    order = generator.permutation(len(demonstrations)).tolist()
    held = min(len(order) - 1, max(1, round(config.validation_share * len(order))))
    unseen = Demonstrations([demonstrations[i] for i in sorted(order[:held])], view)
    seen = Demonstrations([demonstrations[i] for i in sorted(order[held:])], view)
    cloning = _Cloning(policy, config, math.ceil(len(seen) / config.batch), micro_batch)
    train_losses: list[float] = []
    losses: list[float] = []
    for _ in range(config.epochs):
        with torch.random.fork_rng(devices=[]):  # dropout draws from torch's own generator
            torch.manual_seed(int(generator.integers(2**63)))
            train_losses.append(cloning.epoch(seen, generator))
        losses.append(imitation_loss(policy, unseen.take(range(len(unseen))), micro_batch or config.batch))
        if progress is not None:
            progress(len(losses), train_losses[-1], losses[-1])
    return CloningResult(
        epochs=len(losses),
        train_losses=tuple(train_losses),
        validation_losses=tuple(losses),
        flattened=min(losses[:-FLAT_EPOCHS], default=math.inf) <= min(losses[-FLAT_EPOCHS:]),
        seconds=time.monotonic() - begun,
    )


class _Cloning:
    """The optimizer of cloning and its schedule, counted in steps."""

    def __init__(self, policy: Policy, config: WarmupConfig, steps_per_epoch: int, micro_batch: int) -> None:
        self._policy = policy
        self._config = config
        self._micro_batch = micro_batch
        self._planned = max(1, steps_per_epoch * config.epochs)
        self._steps = 0
        self._optimizer = MasterOptimizer(policy.parameter_groups(config.lr, config.lr), MAX_GRAD_NORM)

    def epoch(self, seen: Demonstrations, generator: np.random.Generator) -> float:
        """Pass once over `seen` in random order; return the mean loss per decision."""
        parts = math.ceil(len(seen) / self._config.batch)
        self._policy.module.train()
        total = 0.0
        for places in np.array_split(generator.permutation(len(seen)), parts):
            self._optimizer.set_rate(self._config.lr * self._factor())
            self._optimizer.zero_grad()
            for loss in imitation_losses(self._policy, seen.take(places.tolist()), self._micro_batch):
                self._optimizer.backward(loss)
                total += loss.item() * len(places)
            if not math.isfinite(self._optimizer.clip()):
                raise WarmupError(f"cloning diverged at step {self._steps}; lower warmup.lr ({self._config.lr})")
            self._optimizer.step()
            self._steps += 1
        self._policy.module.eval()
        return total / len(seen)

    def _factor(self) -> float:
        warm = min(1.0, (self._steps + 1) / WARM_STEPS)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self._steps / self._planned)))
        return warm * (LAST_RATE + (1.0 - LAST_RATE) * cosine)
