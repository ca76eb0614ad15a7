"""`PhoneVecEnv`: phones as a Stable-Baselines3 `VecEnv`, over `AsyncEnvPool`.

`DistRL` takes it as its `env`, `EvalCallback` as its evaluation environment. Invariant: no phone is opened
before the first `reset`, so that the environment of a trainer whose collectors own the devices opens none of
them. Episodes end as SB3 expects: the returned observation is the next episode's first, the last one is in
`info["terminal_observation"]`, and `info["episode"]` holds return and length as `Monitor` would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from android_env_gym.actions import Action, InvalidAction, from_sample, make_action_space
from android_env_gym.env import RESET_ATTEMPTS, make_observation_space
from android_env_gym.errors import ResetError
from android_env_gym.tasks.suites import suite as suite_templates
from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset, Result


class PhoneVecEnv(VecEnv):
    """`num_envs` phones.

    Args:
        envs: How many phones alike, described by `spec`; or one `EnvSpec` per phone, for instance one per device.
        workers: Worker processes of the pool; 0, right for the embedded phone, steps in the caller's process.
        step_timeout: Seconds that a worker may take for one command.
        spec: Keyword arguments of `EnvSpec` (those of `gym.make("AndroidTask-v0", ...)`).

    Raises:
        ValueError: There is no phone, or they differ in screen size or tasks.
    """

    def __init__(
        self, envs: int | Sequence[EnvSpec] = 1, *, workers: int = 0, step_timeout: float = 60.0, **spec: Any
    ) -> None:
        specs = (EnvSpec(**spec),) * envs if isinstance(envs, int) else tuple(envs)
        if not specs:
            raise ValueError(f"got {envs!r} phones; give a number of at least 1, or one EnvSpec per phone")
        if len({(one.screen, one.suite, one.split) for one in specs}) > 1:
            raise ValueError("phones of one PhoneVecEnv show the same screen size and run the same suite and split")
        self.specs = specs
        self.workers = workers
        self.step_timeout = step_timeout
        self._pool: AsyncEnvPool | None = None
        self._actions: list[Action | InvalidAction] = []
        self._frames: list[np.ndarray | None] = [None] * len(specs)
        self._returns = np.zeros(len(specs))
        self._lengths = np.zeros(len(specs), dtype=int)
        self._begun = time.monotonic()
        super().__init__(len(specs), make_observation_space(specs[0].screen), make_action_space())

    @property
    def templates(self) -> tuple[str, ...]:
        """Return the ids of the task templates that have instances in the split."""
        spec = self.specs[0]
        return tuple(template.id for template in suite_templates(spec.suite) if spec.split in template.splits())

    def reset(self) -> VecEnvObs:
        """Start an episode on every phone; seeds and options set before (`seed`, `set_options`) count once."""
        results = self._reset(list(range(self.num_envs)), self._seeds, self._options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [result.info for result in results]
        return _stack(results)

    def step_async(self, actions: Any) -> None:
        """Take one action per phone: typed actions, `InvalidAction`, or samples of the action space."""
        self._actions = [from_sample(action) if isinstance(action, Mapping) else action for action in actions]

    def step_wait(self) -> VecEnvStepReturn:
        """Perform the actions; phones whose episode ends start the next one."""
        pool = self._opened()
        pool.send(self._actions, list(range(self.num_envs)))
        results = _by_id(pool.recv(min_ready=self.num_envs))
        rewards = np.array([result.reward for result in results], dtype=np.float32)
        dones = np.array([result.ended for result in results])
        infos = [self._info(result) for result in results]
        ended = [result.id for result in results if result.ended]
        none: list[int | None] = [None] * len(ended)
        for result in self._reset(ended, none, [{} for _ in ended]):
            self.reset_infos[result.id] = result.info
            results[result.id] = result
        self._remember(results)
        return _stack(results), rewards, dones, infos

    def close(self) -> None:
        """Close the phones; may be called twice."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return what each phone shows, `(height, width, 3)` uint8, None before the first reset."""
        return list(self._frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return `render_mode` or `spec` per phone; the phones themselves are out of reach."""
        count = len(list(self._get_indices(indices)))
        if attr_name == "render_mode":
            return ["rgb_array"] * count
        if attr_name == "spec":
            return [self.specs[index] for index in self._get_indices(indices)]
        raise AttributeError(f"phones behind a pool show render_mode and spec only, got {attr_name!r}")

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: a phone is described by its `EnvSpec`."""
        raise AttributeError(f"cannot set {attr_name!r} on phones behind a pool; make another PhoneVecEnv")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Refuse: phones may live in other processes and are driven by actions only."""
        raise AttributeError(f"cannot call {method_name!r} on phones behind a pool; use set_options, reset and step")

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """Say yes to `Monitor`, whose work `info["episode"]` does, and no to everything else."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def _opened(self) -> AsyncEnvPool:
        if self._pool is None:
            self._pool = AsyncEnvPool(self.specs, workers=self.workers, step_timeout=self.step_timeout)
        return self._pool

    def _reset(
        self, ids: Sequence[int], seeds: Sequence[int | None], options: Sequence[Mapping[str, Any]]
    ) -> list[Result]:
        pool = self._opened()
        commands = {
            id_: Reset(template=option.get("task"), instance=option.get("instance"), seed=seed)
            for id_, seed, option in zip(ids, seeds, options, strict=True)
        }
        done: dict[int, Result] = {}
        failure: Mapping[str, Any] = {}
        for _ in range(RESET_ATTEMPTS):
            waiting = [id_ for id_ in ids if id_ not in done]
            if not waiting:
                break
            pool.send([commands[id_] for id_ in waiting], waiting)
            for result in pool.recv(min_ready=len(waiting)):
                if result.ended:
                    failure = result.info.get("failure", {})
                else:
                    done[result.id] = result
        if len(done) < len(ids):
            raise ResetError(failure.get("kind") or "reset", RESET_ATTEMPTS, str(failure.get("message", "")))
        for id_ in ids:
            self._returns[id_], self._lengths[id_] = 0.0, 0
        results = [done[id_] for id_ in ids]
        self._remember(results)
        return results

    def _info(self, result: Result) -> dict[str, Any]:
        self._returns[result.id] += result.reward
        self._lengths[result.id] += 1
        info = dict(result.info)
        info["TimeLimit.truncated"] = result.truncated and not result.terminated
        if result.ended:
            info["terminal_observation"] = result.observation
            info["episode"] = {
                "r": float(self._returns[result.id]),
                "l": int(self._lengths[result.id]),
                "t": round(time.monotonic() - self._begun, 6),
            }
        return info

    def _remember(self, results: Sequence[Result]) -> None:
        for result in results:
            self._frames[result.id] = result.observation["screenshot"]


def _by_id(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.id)


def _stack(results: Sequence[Result]) -> dict[str, np.ndarray]:
    """Return a batch: `screenshot` `(n, height, width, 3)` uint8, `instruction` `(n,)` of str."""
    return {
        "screenshot": np.stack([result.observation["screenshot"] for result in results]),
        "instruction": np.array([str(result.observation["instruction"]) for result in results], dtype=object),
    }
