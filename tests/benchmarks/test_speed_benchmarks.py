"""The benchmarks run and print what they promise; how fast anything is depends on the machine and is not asserted."""

from __future__ import annotations

import numpy as np
import pytest
from bench_fakes import check_summary, run_benchmark
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from android_env_gym.actions import Finish, PressKey, Tap
from android_env_gym.vector import EnvSpec
from benchmarks import replay_cost, vector_speed
from benchmarks.collection import Tally, draw, results_of, sb3_env, typed
from benchmarks.slow_phone import RESET_FACTOR, device_name

SIM = {"pool", "pool_2_workers", "gymnasium_sync", "gymnasium_async", "sb3_subproc"}
VECTORS = {"make_vec", "make_vec_no_workers", "gymnasium_sync", "gymnasium_async", "sb3_dummy", "sb3_subproc"}
SLOW = {"any_ready", "step_barrier", "episode_barrier", "gymnasium_sync", "gymnasium_async", "sb3_subproc"}


@pytest.mark.slow
def test_phone_speed_quick():
    results = run_benchmark("phone_speed", "--quick")["results"]
    for name in ("env_steps_per_second", "fork_ms", "restore_ms", "start_further_phone_ms"):
        check_summary(results[name])
    memory = results["memory_per_further_phone_mb"]
    assert memory["n"] > 0 and 0 <= memory["mean"] < 1000
    assert isinstance(results["browser_page_steps_per_second"], str | dict)


@pytest.mark.slow
def test_collection_quick():
    results = run_benchmark("collection", "--quick", "--envs", "2")["results"]
    assert set(results["sim"]["rivals"]) == SIM
    assert set(results["slow"]["rivals"]) == SLOW
    for setting, first in (("sim", "pool"), ("slow", "any_ready")):
        found = results[setting]
        assert found["envs"] == 2
        for measures in found["rivals"].values():
            for measure in measures.values():
                check_summary(measure)
        assert set(found[f"ratio_of_{first}_to"]) == set(found["rivals"]) - {first}
        for ratios in found[f"ratio_of_{first}_to"].values():
            assert ratios["steps_per_second"]["ratio"] > 0
    for measures in results["slow"]["rivals"].values():
        assert 0 < measures["utilisation"]["median"] <= 1
    assert all("utilisation" not in measures for measures in results["sim"]["rivals"].values())


@pytest.mark.slow
def test_vector_speed_quick():
    results = run_benchmark("vector_speed", "--quick", "--envs", "2")["results"]
    assert set(results["rivals"]) == VECTORS
    for measures in results["rivals"].values():
        check_summary(measures["steps_per_second"])
    for modes in results["instructions"].values():
        assert set(modes) == {"NEXT_STEP", "SAME_STEP", "DISABLED"}
        assert all(found["k"] == found["n"] > 30 for found in modes.values())


class Blanks(SyncVectorEnv):
    """Shows blanks instead of the second phone's instructions, as shared memory once did of all."""

    def step(self, actions):
        observation, *rest = super().step(actions)
        return {**observation, "instruction": (observation["instruction"][0], " " * 1000)}, *rest


def test_wrong_instructions_are_counted():
    mode = AutoresetMode.SAME_STEP
    envs = Blanks([EnvSpec(suite="general", max_steps=2, screen=(56, 28)).make] * 2, autoreset_mode=mode)
    right, shown = vector_speed.right_texts(envs, mode, steps=6)
    finals = shown - 2 * 7
    assert finals >= 4 and right == shown - 6


@pytest.mark.slow
def test_replay_cost_of_small_sizes():
    small, large = replay_cost.measure(100), replay_cost.measure(1000)
    assert (small["trajectories"], large["trajectories"]) == (20, 200)
    # A checkpoint names trajectories: some 60 bytes each, whatever their frames weigh.
    assert large["checkpoint_bytes"] - small["checkpoint_bytes"] < 100 * 180


def test_slow_phone_says_how_long_it_took():
    env = EnvSpec(
        id="benchmarks.slow_phone:SlowPhone-v0", device=device_name(3, 2.0, 0.5), suite="general", max_steps=4
    ).make()
    draws = 0.002 * np.random.default_rng(3).lognormal(sigma=0.5, size=3)
    _, info = env.reset(seed=0)
    assert info["device_seconds"] == pytest.approx(RESET_FACTOR * draws[0])
    assert env.step(Tap(0.5, 0.5))[4]["device_seconds"] == pytest.approx(draws[1])
    assert env.step(PressKey("back"))[4]["device_seconds"] == pytest.approx(draws[2])
    assert env.step(Finish())[4]["device_seconds"] == 0
    env.close()


def test_rivals_get_the_same_actions():
    env = sb3_env(EnvSpec(suite="general"))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(100)]
    assert all(env.action_space.contains(action) for action in drawn)
    assert [env.typed(action) for action in drawn] == [typed(action) for action in drawn]
    env.close()


def test_results_are_rates_and_ratios():
    fast = [Tally(steps=200, trajectories=20, device_seconds=3.0, seconds=2.0) for _ in range(3)]
    slow = [Tally(steps=50, trajectories=5, device_seconds=1.0, seconds=2.0) for _ in range(3)]
    found = results_of({"fast": fast, "slow": slow}, envs=2)
    assert found["rivals"]["fast"]["steps_per_second"]["median"] == 100
    assert found["rivals"]["fast"]["trajectories_per_minute"]["median"] == 600
    assert found["rivals"]["slow"]["utilisation"]["median"] == 0.25
    assert found["ratio_of_fast_to"]["slow"]["steps_per_second"]["ratio"] == 4
