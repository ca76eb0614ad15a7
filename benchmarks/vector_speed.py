"""How fast, and how right, is `gym.make_vec("AndroidTask-v0")`? Against the vectors of Gymnasium and Stable-Baselines3.

Run with `python -m benchmarks.vector_speed [--quick] --json`. Speed: windows of fixed length on embedded phones, all
rivals in the same run, the order of each round drawn anew (`benchmarks.collection`). A step is one action of one phone;
resets take time and are no steps. Instructions: in each autoreset mode, every text that an observation shows is
compared with the text of the task that `info` names, drawn afresh.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import concatenate, create_empty_array

import android_env_gym  # noqa: F401  (registers AndroidTask-v0)
from android_env_gym.actions import clean_text, to_sample
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.tasks import suites
from android_env_gym.vector import EnvSpec
from benchmarks.collection import MAX_STEPS, GymRival, Rival, SB3Rival, draw, measure, results_of, typed
from benchmarks.measure import report, share

SUITE = "general"
Shown = tuple[str, str, int]
"""An instruction as an observation shows it, and the template and instance that `info` names."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few, short windows on four phones")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument("--envs", type=int, metavar="N", help="phones (default: 8, quick: 4)")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    # The rivals' processes are forked from one that has imported what they need, not once for each.
    multiprocessing.set_forkserver_preload(["stable_baselines3.common.vec_env", "android_env_gym.env"])
    envs = arguments.envs or (4 if arguments.quick else 8)
    repetitions, seconds, steps = (3, 0.4, 15) if arguments.quick else (10, 2.0, 60)
    tallies = measure(rivals(envs), repetitions, seconds, np.random.default_rng(0))
    instructions = {
        name: {mode.name: share(*right_texts(make(envs, mode), mode, steps)) for mode in AutoresetMode}
        for name, make in VECTORS.items()
    }
    results = {**results_of(tallies, envs), "instructions": instructions}
    if not arguments.json:
        _print_table(results)
    print(report("vector_speed", sum(tally.steps for runs in tallies.values() for tally in runs), results))
    return 0


def rivals(envs: int) -> dict[str, Callable[[], Rival]]:
    """Return the vectors to be timed, ours first."""
    specs = [EnvSpec(suite=SUITE, max_steps=MAX_STEPS)] * envs
    mode = AutoresetMode.NEXT_STEP
    return {
        "make_vec": lambda: GymRival(_ours(envs, mode), np.random.default_rng(0)),
        "make_vec_no_workers": lambda: GymRival(_ours(envs, mode, workers=0), np.random.default_rng(0)),
        "gymnasium_sync": lambda: GymRival(_gymnasium_sync(envs, mode), np.random.default_rng(0)),
        "gymnasium_async": lambda: GymRival(_gymnasium_async(envs, mode), np.random.default_rng(0)),
        "sb3_dummy": lambda: SB3Rival(specs, np.random.default_rng(0), in_process=True),
        "sb3_subproc": lambda: SB3Rival(specs, np.random.default_rng(0)),
    }


def _ours(envs: int, mode: AutoresetMode, workers: int | None = None) -> gym.vector.VectorEnv:
    known: dict[str, Any] = {"suite": SUITE, "max_steps": MAX_STEPS, "autoreset_mode": mode, "workers": workers}
    return gym.make_vec("AndroidTask-v0", num_envs=envs, **known)


def _gymnasium_sync(envs: int, mode: AutoresetMode) -> gym.vector.VectorEnv:
    return gym.vector.SyncVectorEnv([EnvSpec(suite=SUITE, max_steps=MAX_STEPS).make] * envs, autoreset_mode=mode)


def _gymnasium_async(envs: int, mode: AutoresetMode) -> gym.vector.VectorEnv:
    makers = [EnvSpec(suite=SUITE, max_steps=MAX_STEPS).make] * envs
    return gym.vector.AsyncVectorEnv(makers, shared_memory=True, context="forkserver", autoreset_mode=mode)


VECTORS: dict[str, Callable[[int, AutoresetMode], gym.vector.VectorEnv]] = {
    "make_vec": _ours,
    "gymnasium_sync": _gymnasium_sync,
    "gymnasium_async": _gymnasium_async,
}


def right_texts(envs: gym.vector.VectorEnv, mode: AutoresetMode, steps: int) -> tuple[int, int]:
    """Return how many of the instructions that `envs` shows within `steps` steps are right, and how many it shows."""
    rng = np.random.default_rng(0)
    observation, infos = envs.reset(seed=0)
    shown = _shown(observation["instruction"], infos)
    for _ in range(steps):
        observation, _, terminated, truncated, infos = envs.step(_random_actions(envs, rng))
        shown += _shown(observation["instruction"], infos)
        ended = terminated | truncated
        if mode == AutoresetMode.SAME_STEP and ended.any():
            last = [None if final is None else final["instruction"] for final in infos["final_obs"]]
            shown += _shown(last, infos["final_info"])
        if mode == AutoresetMode.DISABLED and ended.any():
            observation, infos = envs.reset(options={"reset_mask": ended})
            shown += _shown(observation["instruction"], infos)
    envs.close()
    return sum(text == instruction(template, instance) for text, template, instance in shown), len(shown)


def _shown(texts: Any, infos: Mapping[str, Any]) -> list[Shown]:
    """Return what is shown of the phones that `infos` tells about."""
    ids = np.flatnonzero(infos["_instance"])
    return [(texts[id_], infos["template"][id_], int(infos["instance"][id_])) for id_ in ids]


def _random_actions(envs: gym.vector.VectorEnv, rng: np.random.Generator) -> Any:
    space = envs.single_action_space
    samples = [to_sample(typed(draw(rng))) for _ in range(envs.num_envs)]
    return concatenate(space, samples, create_empty_array(space, envs.num_envs))


@cache
def instruction(template: str, instance: int) -> str:
    """Return the text of a task."""
    task, _ = suites.draw_task(suites.template(template), "train", instance, DeviceConfig())
    return clean_text(task.instruction)


def _print_table(results: Mapping[str, Any]) -> None:
    print(f"{results['envs']} phones; steps per second: median, 95% interval; right instructions by autoreset mode")
    for name, measures in results["rivals"].items():
        rate = measures["steps_per_second"]
        modes = results["instructions"].get(name, {}).items()
        right = "   ".join(f"{mode} {found['k']} of {found['n']}" for mode, found in modes)
        print(f"  {name:<20} {rate['median']:7,.0f} [{rate['low']:,.0f}, {rate['high']:,.0f}]   {right}")


if __name__ == "__main__":
    sys.exit(main())
