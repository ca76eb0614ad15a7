"""How fast are episodes collected? `AsyncEnvPool` against the vector environments of Gymnasium and SB3.

Run with `python -m benchmarks.collection [--quick] --json`. Two settings, each with all rivals in the same run,
alternating in random order, every repetition a window of fixed length:

- `sim`: the embedded phone as it is. All that differs is what a vector environment costs by itself.
- `slow`: phones that take a lognormal time per action (`benchmarks.slow_phone`), one process each. What differs is who
  waits for whom: `any_ready` serves whoever has answered, `step_barrier` waits for all after every step (as vector
  environments do), `episode_barrier` waits until all have ended their episodes (as synchronous RL does).

Actions are random (mostly taps, a tenth ends the episode), so no policy's time is included. What is under way at
the end of a window is not counted, which is to the disadvantage of `any_ready`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import cv2
import gymnasium as gym
import msgspec
import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from android_env_gym.actions import Action, Finish, PressKey, Tap, to_sample
from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset, Result
from android_env_gym.wrappers import COLUMNS, ROWS, SB3_KINDS, SB3Compatible
from benchmarks.measure import ratio, report, summary
from benchmarks.slow_phone import device_name

MAX_STEPS = 10
KIND_SHARES = {"tap": 0.85, "back": 0.05, "finish": 0.1}


class Tally(msgspec.Struct):
    """What was collected in `seconds`; `device_seconds` is the summed time of the devices."""

    steps: int = 0
    trajectories: int = 0
    device_seconds: float = 0.0
    seconds: float = 0.0


class Rival(Protocol):
    """A way to collect."""

    def start(self) -> None:
        """Start an episode everywhere."""
        ...

    def turn(self, tally: Tally) -> None:
        """Give the next commands and count what comes back."""
        ...

    def settle(self) -> None:
        """Wait for whatever is under way."""
        ...

    def close(self) -> None:
        """End all processes; may be called twice."""
        ...


class PoolRival:
    """`AsyncEnvPool`; several may share one pool, for only one of them is at work at any time."""

    def __init__(self, pool: AsyncEnvPool, barrier: str, rng: np.random.Generator) -> None:
        self._pool, self._barrier, self._rng = pool, barrier, rng
        self._ended: set[int] = set()

    def start(self) -> None:
        """Start an episode everywhere."""
        ids = list(range(len(self._pool)))
        self._pool.send([Reset(seed=id_) for id_ in ids], ids)
        self._pool.recv(len(ids))
        self._ended = set()
        self._pool.send([self._action() for _ in ids], ids)

    def turn(self, tally: Tally) -> None:
        """Give the next commands and count what comes back."""
        step_barrier = self._barrier == "step"
        for result in self._pool.recv(self._pool.outstanding if step_barrier else 1):
            self._count(result, tally)
            if not (self._barrier == "episode" and result.ended) and not step_barrier:
                self._next(result.id)
        if not self._pool.outstanding:  # behind a barrier: everybody goes on
            for id_ in range(len(self._pool)):
                self._next(id_)

    def settle(self) -> None:
        """Wait for whatever is under way."""
        self._pool.recv(self._pool.outstanding)

    def close(self) -> None:
        """End the processes; may be called twice."""
        self._pool.close()

    def _next(self, id_: int) -> None:
        self._pool.send([Reset() if id_ in self._ended else self._action()], [id_])

    def _count(self, result: Result, tally: Tally) -> None:
        tally.device_seconds += result.info.get("device_seconds", 0.0)
        if result.id in self._ended:  # the answer to a reset
            self._ended.remove(result.id)
            return
        tally.steps += 1
        if result.ended:
            tally.trajectories += 1
            self._ended.add(result.id)

    def _action(self) -> Action:
        return typed(draw(self._rng))


class GymRival:
    """`SyncVectorEnv` or `AsyncVectorEnv`; they reset by themselves in the step after an end."""

    def __init__(self, envs: gym.vector.VectorEnv, rng: np.random.Generator) -> None:
        self._envs, self._rng = envs, rng
        self._ended = np.zeros(envs.num_envs, bool)

    def start(self) -> None:
        """Start an episode everywhere."""
        self._envs.reset(seed=0)
        self._ended[:] = False

    def turn(self, tally: Tally) -> None:
        """Give the next commands and count what comes back."""
        space, count = self._envs.single_action_space, self._envs.num_envs
        samples = [to_sample(typed(draw(self._rng))) for _ in range(count)]
        actions = concatenate(space, samples, create_empty_array(space, count))
        _, _, terminated, truncated, infos = self._envs.step(actions)
        tally.steps += count - int(self._ended.sum())
        self._ended = terminated | truncated
        tally.trajectories += int(self._ended.sum())
        tally.device_seconds += float(np.sum(infos.get("device_seconds", 0.0)))

    def settle(self) -> None:
        """Nothing is ever under way between two turns."""

    def close(self) -> None:
        """End the processes; may be called twice."""
        if not self._envs.closed:
            self._envs.close()


class SB3Rival:
    """SB3's `SubprocVecEnv` or `DummyVecEnv` on `SB3Compatible`; they reset within the step that ends an episode."""

    def __init__(self, specs: Sequence[EnvSpec], rng: np.random.Generator, in_process: bool = False) -> None:
        # Here, because every worker process imports this module and needs no torch.
        from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

        makers: list[Callable[[], gym.Env]] = [partial(sb3_env, spec) for spec in specs]
        self._envs = DummyVecEnv(makers) if in_process else SubprocVecEnv(makers, start_method="forkserver")
        self._rng = rng

    def start(self) -> None:
        """Start an episode everywhere."""
        self._envs.seed(0)
        self._envs.reset()

    def turn(self, tally: Tally) -> None:
        """Give the next commands and count what comes back."""
        _, _, ended, infos = self._envs.step(np.stack([draw(self._rng) for _ in range(self._envs.num_envs)]))
        tally.steps += self._envs.num_envs
        tally.trajectories += int(np.sum(ended))
        resets = [info for info, end in zip(self._envs.reset_infos, ended, strict=True) if end]
        tally.device_seconds += sum(info.get("device_seconds", 0.0) for info in [*infos, *resets])

    def settle(self) -> None:
        """Nothing is ever under way between two turns."""

    def close(self) -> None:
        """End the processes; may be called twice."""
        if not getattr(self._envs, "closed", False):  # `DummyVecEnv` has no such attribute, and closes twice
            self._envs.close()


def draw(rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random member of `SB3Compatible`'s action space: kind, column, row, 0, 0."""
    kind = rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values()))
    return np.array([SB3_KINDS.index(kind), rng.integers(COLUMNS), rng.integers(ROWS), 0, 0])


def typed(action: NDArray[np.int64]) -> Action:
    """Return the typed action that a `draw` means."""
    match SB3_KINDS[action[0]]:
        case "tap":
            return Tap((action[1] + 0.5) / COLUMNS, (action[2] + 0.5) / ROWS)
        case "back":
            return PressKey("back")
    return Finish()


def sb3_env(spec: EnvSpec) -> SB3Compatible:
    """Return `spec` as SB3 can use it."""
    return SB3Compatible(spec.make())


def window(rival: Rival, seconds: float) -> Tally:
    """Return what `rival` collects in `seconds` (the turn that is running then is waited for and counted)."""
    rival.start()
    tally, begun = Tally(), time.perf_counter()
    while tally.seconds < seconds:
        rival.turn(tally)
        tally.seconds = time.perf_counter() - begun
    rival.settle()
    return tally


def measure(
    make: Mapping[str, Callable[[], Rival]], repetitions: int, seconds: float, rng: np.random.Generator
) -> dict[str, list[Tally]]:
    """Return the windows of every rival, by repetition: all of them alive, one at work, the order drawn anew."""
    rivals: dict[str, Rival] = {}
    tallies: dict[str, list[Tally]] = {name: [] for name in make}
    try:
        for name, maker in make.items():
            rivals[name] = maker()
            window(rivals[name], min(seconds, 0.5))  # warms caches
        for _ in range(repetitions):
            for name in rng.permutation(list(rivals)):
                tallies[name].append(window(rivals[name], seconds))
    finally:
        for rival in rivals.values():
            rival.close()
    return tallies


def sim_rivals(envs: int) -> dict[str, Callable[[], Rival]]:
    """Return the rivals on phones without latency."""
    specs = [EnvSpec(suite="general", max_steps=MAX_STEPS)] * envs
    workers = min(2, envs)
    return {
        "pool": lambda: PoolRival(AsyncEnvPool(specs), "none", _rng()),
        f"pool_{workers}_workers": lambda: PoolRival(AsyncEnvPool(specs, workers=workers), "none", _rng()),
        **_vector_rivals(specs),
    }


def slow_rivals(envs: int, median_ms: float, sigma: float) -> dict[str, Callable[[], Rival]]:
    """Return the rivals on slow phones."""
    specs = [
        EnvSpec(
            id="benchmarks.slow_phone:SlowPhone-v0",
            device=device_name(seed, median_ms, sigma),
            suite="general",
            max_steps=MAX_STEPS,
        )
        for seed in range(envs)
    ]
    pool = AsyncEnvPool(specs, workers=envs)
    return {
        "any_ready": lambda: PoolRival(pool, "none", _rng()),
        "step_barrier": lambda: PoolRival(pool, "step", _rng()),
        "episode_barrier": lambda: PoolRival(pool, "episode", _rng()),
        **_vector_rivals(specs),
    }


def _vector_rivals(specs: Sequence[EnvSpec]) -> dict[str, Callable[[], Rival]]:
    makers = [spec.make for spec in specs]
    return {
        "gymnasium_sync": lambda: GymRival(gym.vector.SyncVectorEnv(makers), _rng()),
        "gymnasium_async": lambda: GymRival(gym.vector.AsyncVectorEnv(makers, context="forkserver"), _rng()),
        "sb3_subproc": lambda: SB3Rival(specs, _rng()),
    }


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def results_of(tallies: Mapping[str, Sequence[Tally]], envs: int) -> dict[str, Any]:
    """Return medians with intervals per rival, and the first one's ratios to the others, paired by repetition."""
    rates = {name: [tally.steps / tally.seconds for tally in runs] for name, runs in tallies.items()}
    episodes = {name: [60 * tally.trajectories / tally.seconds for tally in runs] for name, runs in tallies.items()}
    rivals: dict[str, dict[str, Any]] = {}
    for name, runs in tallies.items():
        rivals[name] = {
            "steps_per_second": summary(rates[name]),
            "trajectories_per_minute": summary(episodes[name]),
        }
        if any(tally.device_seconds for tally in runs):
            rivals[name]["utilisation"] = summary([t.device_seconds / (t.seconds * envs) for t in runs])
    first, *others = tallies
    ratio_of = {
        other: {
            "steps_per_second": ratio(rates[first], rates[other]),
            "trajectories_per_minute": ratio(episodes[first], episodes[other]),
        }
        for other in others
    }
    return {"envs": envs, "rivals": rivals, f"ratio_of_{first}_to": ratio_of}


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few, short windows on four phones")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument("--envs", type=int, metavar="N", help="phones (default: 8, quick: 4)")
    parser.add_argument("--median-ms", type=float, help="median time of a slow phone's action (default: 50, quick: 10)")
    parser.add_argument("--sigma", type=float, default=0.8, help="of the lognormal: 0.8 puts 1%% above 6.4 medians")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    # The rivals' processes are forked from one that has imported what they need (torch among it), not once for each.
    multiprocessing.set_forkserver_preload(["stable_baselines3.common.vec_env", "benchmarks.slow_phone"])
    envs = arguments.envs or (4 if arguments.quick else 8)
    median_ms = arguments.median_ms or (10.0 if arguments.quick else 50.0)
    repetitions, sim_seconds, slow_seconds = (3, 0.4, 1.0) if arguments.quick else (12, 2.0, 5.0)
    rng = np.random.default_rng(0)
    sim = measure(sim_rivals(envs), repetitions, sim_seconds, rng)
    slow = measure(slow_rivals(envs, median_ms, arguments.sigma), repetitions, slow_seconds, rng)
    results = {
        "sim": results_of(sim, envs),
        "slow": {
            "median_ms": median_ms,
            "sigma": arguments.sigma,
            **results_of(slow, envs),
        },
    }
    if not arguments.json:
        _print_tables(results)
    steps = sum(tally.steps for runs in (*sim.values(), *slow.values()) for tally in runs)
    print(report("collection", steps, results))
    return 0


def _print_tables(results: Mapping[str, Any]) -> None:
    for setting, found in results.items():
        print(f"{setting}: {found['envs']} phones; medians with 95% intervals")
        for name, measures in found["rivals"].items():
            texts = (
                f"{measure.replace('_', ' ')} {value['median']:,.4g} [{value['low']:,.4g}, {value['high']:,.4g}]"
                for measure, value in measures.items()
            )
            print(f"  {name:<16} {'   '.join(texts)}")


if __name__ == "__main__":
    sys.exit(main())
