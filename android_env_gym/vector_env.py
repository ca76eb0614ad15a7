"""`PhoneVectorEnv`: what `gym.make_vec("AndroidTask-v0", num_envs=8)` gives, a `VectorEnv` over `AsyncEnvPool`.

Embedded phones step in as many workers as there are cores, real devices each in a worker of their own. Invariants:
every array that is returned is new; every reward belongs to the action that was given in the same call; what is
returned does not depend on the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import msgspec
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from android_env_gym.actions import Action, InvalidAction, from_sample, make_action_space
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.make import is_blocking, split_devices
from android_env_gym.env import RESET_ATTEMPTS, RESET_OPTIONS, AndroidTaskEnv, as_config, make_observation_space
from android_env_gym.errors import ResetError, unknown_name
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset, Result

MODES = tuple(mode.value for mode in AutoresetMode)
RENDER_MODES = (None, "rgb_array")


class PhoneVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` phones that take one action each per step.

    Observation: `Dict(screenshot: uint8 (num_envs, H, W, 3), instruction: num_envs texts)`. Action: a member of
    `action_space`, or a sequence of one typed action, `InvalidAction` or single sample per phone. `infos` are arrays by
    key with their masks, as in every vector environment of Gymnasium.

    Args:
        num_envs: How many phones.
        autoreset_mode: What happens after an episode's last step: "NextStep" (the next `step` ignores the action and
            starts an episode), "SameStep" (the same `step` does; the last observation and info are `final_obs` and
            `final_info`), "Disabled" (the caller calls `reset` with `options={"reset_mask": ...}`).
        workers: Processes that step phones; 0: none, the caller steps them. None: one per real device; for embedded
            phones one per core, and none where they cannot help or cannot be: one phone, one core, a daemonic process,
            a suite or judge that is an object.
        step_timeout: Seconds that a worker may take for one step.
        render_mode: None or "rgb_array": `render` returns the screenshots last observed.
        spec: Keyword arguments of `gym.make("AndroidTask-v0", ...)` that are plain data. `device` may name several
            devices, separated by commas, one per phone.

    Raises:
        ValueError: No phones, or devices are fewer or more than phones.
        UnknownNameError: Unknown autoreset or render mode.
        WorkerError: A worker could not make its phones.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        workers: int | None = None,
        step_timeout: float = 60.0,
        render_mode: str | None = None,
        **spec: Any,
    ) -> None:
        if autoreset_mode not in (*AutoresetMode, *MODES):
            raise unknown_name("autoreset_mode", str(autoreset_mode), MODES)
        if render_mode not in RENDER_MODES:
            raise unknown_name("render_mode of a vector", str(render_mode), ["rgb_array"])
        specs = _specs(num_envs, _env_spec(spec))
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**AndroidTaskEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = make_observation_space(specs[0].screen)
        self.single_action_space = make_action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._tasks = _task_ids(specs[0])
        if workers is None:
            workers = workers_for(specs)
        # The workers import what they need by name: a script without `if __name__ == "__main__":` does no harm.
        self._pool = AsyncEnvPool(specs, workers, step_timeout, import_main=False)
        self._last: list[Result | None] = [None] * num_envs

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode on every phone, or on those that `options["reset_mask"]` names.

        Args:
            seed: An int K seeds phone i with K + i; a sequence has one seed per phone.
            options: "task" and "instance" as in `AndroidTaskEnv.reset`, for all; "reset_mask": bool `(num_envs,)`.

        Raises:
            UnknownNameError: Unknown option or template.
            ResetError: A device failed again and again.
            ValueError: Seeds or mask do not fit the number of phones, or a phone has no episode and is not reset.
        """
        options = dict(options or {})
        ids = self._masked(options.pop("reset_mask", None))
        if unknown := sorted(set(options) - set(RESET_OPTIONS)):
            raise unknown_name("reset option", unknown[0], (*RESET_OPTIONS, "reset_mask"))
        seeds, task, instance = self._seeds(seed), options.get("task"), options.get("instance")
        if task is not None and self._tasks and task not in self._tasks:
            raise unknown_name("task template of this suite and split", task, self._tasks)
        instance = None if instance is None else int(instance)
        commands = {id_: Reset(task, instance, seeds[id_]) for id_ in ids}
        infos: dict[str, Any] = {}
        for result in self._start(commands):
            infos = self._add_info(infos, result.info, result.id)
        return self._observations(), infos

    def step(
        self, actions: Any
    ) -> tuple[dict[str, Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Perform one action per phone.

        Raises:
            ActionError: An action is not valid; nothing was performed.
            ResetNeeded: There is a phone without a running episode, and `autoreset_mode` starts none.
            ResetError: With "SameStep", a device failed again and again.
        """
        typed = self._typed(actions)
        commands = [self._command(id_, action) for id_, action in enumerate(typed)]
        self._pool.send(commands, range(self.num_envs))
        results = self._take(self.num_envs)
        infos: dict[str, Any] = {}
        following = self._same_step(results) if self.autoreset_mode == AutoresetMode.SAME_STEP else {}
        for result in results:
            if after := following.get(result.id):
                final = {"final_obs": result.observation, "final_info": result.info}
                infos = self._add_info(infos, final, result.id)
                infos = self._add_info(infos, after.info, result.id)
            else:
                infos = self._add_info(infos, result.info, result.id)
        rewards = np.array([result.reward for result in results])
        terminated = np.array([result.terminated for result in results])
        truncated = np.array([result.truncated for result in results])
        return self._observations(), rewards, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return a copy of each phone's last screenshot, `(H, W, 3)`, if `render_mode` is "rgb_array".

        Raises:
            ResetNeeded: Before the first reset.
        """
        if self.render_mode is None:
            return None
        return tuple(result.observation["screenshot"].copy() for result in self._shown())

    def close_extras(self, **kwargs: Any) -> None:
        """Close the phones and end the worker processes."""
        self._pool.close()

    def _masked(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            got = f"{mask.dtype} of shape {mask.shape}, {np.count_nonzero(mask)} of them true"
            raise ValueError(f"reset_mask: got {got}, allowed is bool of shape ({self.num_envs},) with a True in it")
        ids = [int(id_) for id_ in np.flatnonzero(mask)]
        if fresh := [id_ for id_, last in enumerate(self._last) if last is None and id_ not in ids]:
            raise ValueError(
                f"reset_mask leaves out phone {fresh[0]}, which has had no episode: reset all of them first"
            )
        return ids

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + id_ for id_ in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: got {len(seed)} seeds for {self.num_envs} phones; give one each, or one int")
        seeds = [None if one is None else int(one) for one in seed]
        if negative := [one for one in seeds if one is not None and one < 0]:
            raise ValueError(f"seed: got {negative[0]}, allowed are integers from 0")
        return seeds

    def _typed(self, actions: Any) -> list[Action | InvalidAction]:
        """Return one typed action per phone, from a member of `action_space` or a sequence."""
        singles = list(iterate(self.action_space, actions)) if isinstance(actions, Mapping) else list(actions)
        if len(singles) != self.num_envs:
            raise ValueError(f"got {len(singles)} actions for {self.num_envs} phones")
        return [from_sample(one) if isinstance(one, Mapping) else one for one in singles]

    def _command(self, id_: int, action: Action | InvalidAction) -> Action | InvalidAction | Reset:
        last = self._last[id_]
        if last is not None and not last.ended:
            return action
        if last is None or self.autoreset_mode != AutoresetMode.NEXT_STEP:
            raise ResetNeeded(f"phone {id_} has no running episode; call reset() first")
        return Reset()

    def _same_step(self, results: Sequence[Result]) -> dict[int, Result]:
        """Start an episode where one has ended; return the first results of these by phone."""
        return {result.id: result for result in self._start({result.id: Reset() for result in results if result.ended})}

    def _start(self, commands: Mapping[int, Reset]) -> list[Result]:
        """Reset phones, those that fail again a bounded number of times."""
        started: list[Result] = []
        waiting = dict(commands)
        for attempt in range(1, RESET_ATTEMPTS + 1):
            self._pool.send(list(waiting.values()), list(waiting))
            results = self._take(len(waiting))
            started += [result for result in results if not result.ended]
            failed = [result for result in results if result.ended]
            if not failed:
                break
            if attempt == RESET_ATTEMPTS:
                failure = failed[0].info["failure"]
                raise ResetError(failure["kind"], attempt, f"phone {failed[0].id}: {failure['message']}")
            waiting = {result.id: waiting[result.id] for result in failed}
        return sorted(started, key=lambda result: result.id)

    def _take(self, count: int) -> list[Result]:
        results = sorted(self._pool.recv(count), key=lambda result: result.id)
        for result in results:
            self._last[result.id] = result
        return results

    def _shown(self) -> list[Result]:
        if None in self._last:
            raise ResetNeeded("there is nothing to show before the first reset()")
        return cast(list[Result], self._last)

    def _observations(self) -> dict[str, Any]:
        shown = [result.observation for result in self._shown()]
        return {
            "screenshot": np.stack([one["screenshot"] for one in shown]),  # n times (H, W, 3) -> (n, H, W, 3)
            "instruction": tuple(one["instruction"] for one in shown),
        }


def _task_ids(spec: EnvSpec) -> tuple[str, ...]:
    """Return the templates that tasks are drawn from, () for a real device, which is opened only once.

    Makes one embedded phone to know them, so that a wrong argument is an error here and not a worker that dies.
    """
    if is_blocking(spec.device):
        return ()
    with closing(spec.make().unwrapped) as env:
        return tuple(template.id for template in env.templates) if isinstance(env, AndroidTaskEnv) else ()


def workers_for(specs: Sequence[EnvSpec]) -> int:
    """Return how many workers step phones fastest."""
    if blocking := sum(is_blocking(one.device) for one in specs):
        return blocking
    suite, judge = specs[0].suite, specs[0].judge
    plain = isinstance(suite, str) and isinstance(judge, str) and not judge.startswith("__main__:")
    if not plain or len(specs) == 1 or multiprocessing.current_process().daemon:
        return 0
    # Where there is no affinity (macOS, Windows), a process may use every core.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, len(specs)) if cores > 1 else 0


def _env_spec(known: Mapping[str, Any]) -> EnvSpec:
    kinds: dict[str, type[msgspec.Struct]] = {"device_config": DeviceConfig, "adb": AdbConfig}
    configs = {name: as_config(known[name], kind) for name, kind in kinds.items() if known.get(name) is not None}
    return EnvSpec(**{**known, **configs})


def _specs(num_envs: int, spec: EnvSpec) -> list[EnvSpec]:
    """Return one description per phone: the same for embedded ones, its own device for each real one."""
    if num_envs < 1:
        raise ValueError(f"num_envs: got {num_envs}, allowed is 1 or more")
    devices = split_devices(spec.device, spec.adb)
    if len(devices) == 1 and not is_blocking(devices[0]):
        devices *= num_envs
    if len(devices) != num_envs:
        raise ValueError(
            f"got {len(devices)} devices ({spec.device!r}) for num_envs={num_envs}: "
            "name one per phone, separated by commas"
        )
    return [msgspec.structs.replace(spec, device=device) for device in devices]
