"""What users of Stable-Baselines3 pass to an algorithm's constructor, and what it means here.

Invariant: an argument either changes the one setting that it names, within that setting's bounds, or is refused in one
line that says what to use instead; none is accepted and ignored. Called by `algorithm.DistRL`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import msgspec
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecMonitor, VecNormalize, VecTransposeImage
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from distrl_trainer.config import AlgorithmConfig, PolicyConfig, RunConfig
from distrl_trainer.vec_env import PhoneVecEnv


class SB3Arguments(TypedDict, total=False):
    """Constructor arguments of Stable-Baselines3 that have a meaning here; behind each the setting that it replaces."""

    learning_rate: float
    """`algorithm.lr`; a constant."""
    buffer_size: int
    """`replay.capacity_steps`."""
    learning_starts: int
    """`replay.min_steps` and `warmup.value_steps`: steps in replay before the values are fitted and learning starts."""
    batch_size: int
    """`algorithm.batch_steps`."""
    gamma: float
    """`algorithm.gamma`."""
    train_freq: int | tuple[int, str]
    """With `gradient_steps` and `batch_size` it makes `algorithm.replay_ratio`; steps, or (steps, "step")."""
    gradient_steps: int
    """Batches per `train_freq` steps; -1: as many as steps."""
    ent_coef: float
    """`algorithm.entropy_coef`."""
    max_grad_norm: float
    """`algorithm.max_grad_norm`."""
    device: str
    """`policy.device`; "auto" leaves the choice to that setting."""


SETTINGS = {
    "learning_rate": "algorithm.lr",
    "buffer_size": "replay.capacity_steps",
    "batch_size": "algorithm.batch_steps",
    "gamma": "algorithm.gamma",
    "ent_coef": "algorithm.entropy_coef",
    "max_grad_norm": "algorithm.max_grad_norm",
}
"""Arguments that are one setting under another name."""

_NO_TARGET = "there is no target network: values come from Retrace (algorithm.lambda_)"
_NO_EXPLORATION = "actions are sampled from the policy; algorithm.entropy_coef keeps it exploring"
_REPLAY = "the replay is of whole trajectories; its settings are RunConfig(replay=ReplayConfig(...))"
_RETRACE = "returns come from Retrace: set algorithm.lambda_ (1 is V-trace, 0 is TD(0))"
REMEDIES = {
    "tau": _NO_TARGET,
    "target_update_interval": _NO_TARGET,
    "target_entropy": "the entropy bonus is constant: set algorithm.entropy_coef",
    "action_noise": _NO_EXPLORATION,
    "exploration_fraction": _NO_EXPLORATION,
    "exploration_initial_eps": _NO_EXPLORATION,
    "exploration_final_eps": _NO_EXPLORATION,
    "use_sde": _NO_EXPLORATION,
    "sde_sample_freq": _NO_EXPLORATION,
    "use_sde_at_warmup": _NO_EXPLORATION,
    "replay_buffer_class": _REPLAY,
    "replay_buffer_kwargs": _REPLAY,
    "optimize_memory_usage": _REPLAY,
    "n_steps": _RETRACE,
    "gae_lambda": _RETRACE,
    "policy_kwargs": 'the model is described by DistRL(PolicyConfig(model="tiny", tuning=..., dtype=...))',
    "n_epochs": "set algorithm.epochs_per_batch",
    "clip_range": "set algorithm.clip_eps",
    "vf_coef": "set algorithm.value_coef",
    "monitor_wrapper": "a PhoneVecEnv reports episodes itself, as Monitor does",
    "_init_setup_model": "the model is always set up",
}
"""Arguments of Stable-Baselines3 that have no meaning here, and what to do instead."""


def with_arguments(config: RunConfig, arguments: Mapping[str, Any], has_policy: bool = False) -> RunConfig:
    """Return `config` with what `arguments` say; those that are None are taken as not given.

    Args:
        config: Settings.
        arguments: As in `SB3Arguments`.
        has_policy: The policy exists already, so that its device cannot be chosen any more.

    Raises:
        TypeError: An argument has no meaning here; the message says what to use.
        ValueError: A value is out of bounds.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    _refuse_meaningless(given)
    for name, setting in SETTINGS.items():
        if name in given:
            config = _replaced(config, setting, given[name], name)
    if "learning_starts" in given:
        for setting in ("replay.min_steps", "warmup.value_steps"):
            config = _replaced(config, setting, given["learning_starts"], "learning_starts")
    if "train_freq" in given or "gradient_steps" in given:
        frequency = given.get("train_freq", rhythm(config.algorithm)[0])
        batches = given.get("gradient_steps", 1)
        ratio = config.algorithm.batch_steps / _steps_per_batch(frequency, batches)
        config = _replaced(config, "algorithm.replay_ratio", ratio, "train_freq")
    device = str(given.get("device", "auto"))
    if device != "auto":
        if has_policy:
            raise TypeError(
                f"got device={device!r} beside a policy that is on its device already: make it there, "
                f'DistRL(PolicyConfig(model=..., device="{device}"), ...)'
            )
        config = _replaced(config, "policy.device", device, "device")
    return config


def rhythm(config: AlgorithmConfig) -> tuple[int, int]:
    """Return how many new steps there are between two trainings, and how many batches one training learns from.

    One of the two is 1; together they keep `replay_ratio`, up to rounding.
    """
    steps = config.batch_steps / config.replay_ratio
    return max(1, round(steps)), max(1, round(1 / steps))


def check_policy(policy: Any) -> None:
    """Refuse what stock algorithms take as policy.

    Raises:
        TypeError: `policy` is a class, a stock policy's name or nothing that can be a policy.
    """
    stock = isinstance(policy, str) and policy.endswith("Policy") and "/" not in policy
    made = hasattr(policy, "act") and hasattr(policy, "evaluate") and not isinstance(policy, type)
    if stock or not (made or isinstance(policy, str | PolicyConfig)):
        raise TypeError(
            f'DistRL has no policy {policy!r}: give "tiny" (built in), "tiny-untrained", a folder, a hub id '
            '("owner/name"), a PolicyConfig, or a Policy from load_policy'
        )


def check_env(env: Any) -> PhoneVecEnv:
    """Return the phones behind `env`, a `PhoneVecEnv` or one in a `VecMonitor`.

    Raises:
        TypeError: It is another environment, or in a wrapper that would have no effect, because the fleet drives the
            phones itself.
    """
    if not isinstance(env, VecEnv) or not isinstance(env.unwrapped, PhoneVecEnv):
        raise TypeError(
            f"DistRL runs phones asynchronously and takes a PhoneVecEnv, got {type(env).__name__}: pass "
            'distrl_trainer.vec_env.PhoneVecEnv(8, suite="starter"), or the id "android_env_gym:AndroidTask-v0"'
        )
    layer = env
    while isinstance(layer, VecEnvWrapper):
        if not isinstance(layer, VecMonitor) or layer.results_writer is not None:
            raise TypeError(
                f"DistRL drives the phones itself and would bypass {type(layer).__name__}: pass the PhoneVecEnv, "
                f"and {_instead_of(layer)}"
            )
        layer = layer.venv
    return cast(PhoneVecEnv, layer)


def _refuse_meaningless(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in SB3Arguments.__annotations__:
            raise TypeError(f"DistRL takes no {name}: {REMEDIES.get(name) or _suggestion(name)}")
    rate = given.get("learning_rate")
    if callable(rate) or isinstance(rate, str):
        raise TypeError(
            "DistRL takes a constant learning_rate, because a schedule cannot be stored among the settings of a run; "
            f"got {rate!r}: give a float, for instance 2e-4, and load(path, learning_rate=...) to change it later"
        )


def _instead_of(wrapper: VecEnvWrapper) -> str:
    if isinstance(wrapper, VecFrameStack):
        return "show several screenshots with PolicyConfig(frames=...)"
    if isinstance(wrapper, VecNormalize):
        return 'leave scaling to the policy (screenshots) and to AlgorithmConfig(advantage="std") (rewards)'
    if isinstance(wrapper, VecTransposeImage):
        return "leave screenshots as (height, width, 3)"
    if isinstance(wrapper, VecMonitor):
        return "read episodes from a callback's infos or from tensorboard_log instead of a monitor file"
    return "change rewards with RunConfig(shaping=ShapingConfig(...)), what is observed with PolicyConfig(frames=...)"


def _steps_per_batch(train_freq: Any, gradient_steps: int) -> float:
    """Return how many new steps there are per batch learned."""
    frequency, unit = train_freq if isinstance(train_freq, tuple) else (train_freq, "step")
    if getattr(unit, "value", unit) != "step" or not isinstance(frequency, int) or frequency < 1:
        raise ValueError(
            f'got train_freq={train_freq!r}; give a number of steps of at least 1, or (steps, "step"): episodes of '
            "many phones end at different times, so that they cannot be the unit"
        )
    if not isinstance(gradient_steps, int) or gradient_steps == 0 or gradient_steps < -1:
        raise ValueError(
            f"got gradient_steps={gradient_steps!r}; give a number of at least 1, or -1 for one batch per step"
        )
    return 1.0 if gradient_steps == -1 else frequency / gradient_steps


def _replaced(config: RunConfig, setting: str, value: Any, argument: str) -> RunConfig:
    section, _, field = setting.partition(".")
    changed = msgspec.structs.replace(getattr(config, section), **{field: value})
    try:
        checked = msgspec.convert(msgspec.to_builtins(changed), type(changed))
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"got {argument}={value!r}, which is {setting}: {error}") from error
    return msgspec.structs.replace(config, **{section: checked})


def _suggestion(name: str) -> str:
    known = sorted(SB3Arguments.__annotations__)
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}its constructor takes {', '.join(known)}; every other setting is in RunConfig"
