"""From settings to a fleet: who collects, with which phones and which policy.

Invariant: every phone of the `PhoneVecEnv` belongs to exactly one collector. Called by `algorithm.DistRL` when
learning begins.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from android_env_gym.devices.make import is_blocking
from android_env_gym.vector import AsyncEnvPool
from distrl_trainer.collector import CollectorName
from distrl_trainer.collector_process import CollectorSetup
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.fleet import Fleet, FleetError, SerialFleet
from distrl_trainer.inbox import Inbox
from distrl_trainer.incarnations import Incarnations
from distrl_trainer.observations import View
from distrl_trainer.policy.base import Policy
from distrl_trainer.process_fleet import ProcessFleet
from distrl_trainer.vec_env import PhoneVecEnv


def make_fleet(
    config: RunConfig,
    phones: PhoneVecEnv,
    policy: Policy,
    policy_config: PolicyConfig | None,
    *,
    seed: int,
    folder: Path,
    inbox: Inbox,
) -> Fleet:
    """Return the fleet that `config.fleet` names, not started.

    Args:
        config: Settings.
        phones: Its phones are dealt out; it keeps none open.
        policy: The learner's.
        policy_config: How a collector process makes the policy; None: from a copy of `policy` saved in `folder`.
        seed: Of the run.
        folder: For the weights of processes, their numbers, and those of versions.
        inbox: Where finished episodes go, and come from.

    Raises:
        FleetError: There is no such kind of fleet, or `fleet.json` or `published.json` in `folder` is damaged.
    """
    templates = phones.templates
    view = View(frames=config.policy.frames, history=config.policy.history)
    if config.fleet.kind == "serial":
        pool = AsyncEnvPool(phones.specs, workers=phones.workers, step_timeout=phones.step_timeout)
        repeats = not phones.workers and not any(is_blocking(spec.device) for spec in phones.specs)
        return SerialFleet(
            pool,
            policy,
            templates,
            inbox=inbox,
            seed=seed,
            view=view,
            shaping=config.shaping,
            published=None if repeats else folder / "published.json",
        )
    if config.fleet.kind != "process":
        raise FleetError(f'fleet.kind is {config.fleet.kind!r}; this version knows "serial" and "process"')
    count = min(config.fleet.collectors, phones.num_envs)
    model = policy_config or _saved(policy, config.policy, folder / "collector_policy")
    setups = [
        CollectorSetup(
            name=CollectorName(seed=seed, index=index),
            envs=tuple(phones.specs[index::count]),
            policy=model,
            templates=templates,
            inbox=str(inbox.folder),
            weights=str(folder / "weights"),
            view=view,
            shaping=config.shaping,
            workers=math.ceil(phones.workers / count),
            step_timeout=phones.step_timeout,
            threads=config.run.threads,
        )
        for index in range(count)
    ]
    return ProcessFleet(setups, inbox=inbox, incarnations=Incarnations(folder / "fleet.json"), config=config.fleet)


def _saved(policy: Policy, config: PolicyConfig, folder: Path) -> PolicyConfig:
    policy.save(folder)
    return msgspec.structs.replace(config, model=str(folder))
