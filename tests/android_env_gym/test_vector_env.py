"""Vectors of phones: `gym.make_vec`, Gymnasium's own vector classes, their wrappers, autoreset."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gym_fakes import WIN, FakePhone, WifiJudge, WifiOff, make_env
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as vector_wrappers

import android_env_gym  # noqa: F401 (registers the environment)
from android_env_gym.actions import ActionError, Finish, InvalidAction, PressKey, Tap, to_sample
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.errors import ResetError, UnknownNameError
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.vector import EnvSpec
from android_env_gym.vector_env import PhoneVectorEnv, workers_for

SPEC = {"suite": "general", "screen": (56, 28), "max_steps": 3}
UNGUARDED = """
import gymnasium, android_env_gym
from android_env_gym.actions import Finish
env = gymnasium.make_vec("AndroidTask-v0", num_envs=2, workers=2, screen=(56, 28))
env.reset(seed=3)
print(env.step([Finish(), Finish()])[4]["instruction"].tolist())
"""
COUNT = 3


def make(**arguments):
    env = gym.make_vec("AndroidTask-v0", num_envs=COUNT, **SPEC | {"workers": 0} | arguments)
    assert isinstance(env, PhoneVectorEnv)
    return env


def gymnasiums(mode, kind="sync", **arguments):
    return gym.make_vec(
        "AndroidTask-v0",
        num_envs=COUNT,
        vectorization_mode=kind,
        vector_kwargs={"autoreset_mode": mode, **arguments},
        **SPEC,
    )


def batches(steps=8):
    space = gymnasiums("NextStep").action_space
    space.seed(5)
    return [space.sample() for _ in range(steps)]


def assert_same(ours, theirs):
    """Two observations, infos or parts of them are equal, masks included."""
    assert type(ours) is type(theirs) or np.isscalar(ours)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple) or (isinstance(ours, np.ndarray) and ours.dtype == object):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


# --- the same as Gymnasium's ---


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_it_gives_what_gymnasiums_synchronous_vector_gives(mode):
    ours, theirs = make(autoreset_mode=mode), gymnasiums(mode)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode(mode)
    first = ours.reset(seed=4)
    assert_same(first, theirs.reset(seed=4))
    ends = 0
    for actions in batches():
        mine, other = ours.step(actions), theirs.step(actions)
        assert mine[0] in ours.observation_space
        for one, two in zip(mine, other, strict=True):
            assert_same(one, two)
        ends += int(mine[2].sum())
    assert ends >= 2 * COUNT
    ours.close()
    theirs.close()


def test_without_autoreset_the_caller_resets_who_has_ended():
    env, theirs = make(autoreset_mode="Disabled", max_steps=2), gymnasiums("Disabled")
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step([Finish()] * COUNT)
    with pytest.raises(ValueError, match="leaves out phone 1, which has had no episode"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    before, _ = env.reset(seed=1)
    theirs.reset(seed=1)
    after, *_ = env.step([Finish(), Tap(0.5, 0.5), Finish()])
    with pytest.raises(ResetNeeded, match="phone 0"):
        env.step([Finish()] * COUNT)
    mask = np.array([True, False, True])
    observation, infos = env.reset(options={"reset_mask": mask})
    assert (infos["_instruction"] == mask).all()
    theirs.step(env.action_space.sample())
    assert_same(infos["_instruction"], theirs.reset(options={"reset_mask": mask})[1]["_instruction"])
    assert np.array_equal(observation["screenshot"][1], after["screenshot"][1])
    assert observation["instruction"][1] == before["instruction"][1]
    env.step([Finish()] * COUNT)
    for wrong in (np.zeros(COUNT, bool), np.ones(2, bool), np.ones(COUNT), [1, 0, 1]):
        with pytest.raises(ValueError, match="reset_mask: got"):
            env.reset(options={"reset_mask": wrong})


def test_returned_arrays_are_not_written_again():
    env = make()
    observation, infos = env.reset(seed=0)
    kept = observation["screenshot"].copy(), json.dumps(infos["instruction"].tolist())
    for actions in batches(4):
        env.step(actions)
    assert (observation["screenshot"] == kept[0]).all() and json.dumps(infos["instruction"].tolist()) == kept[1]


def test_workers_give_what_one_process_gives():
    alone, workers = make(), make(workers=2)
    for one, other in zip(alone.reset(seed=3), workers.reset(seed=3), strict=True):
        assert_same(one, other)
    for actions in batches(5):
        for one, other in zip(alone.step(actions), workers.step(actions), strict=True):
            assert_same(one, other)
    workers.close()
    workers.close()


def test_a_script_without_a_guard_may_have_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    alone = gym.make_vec("AndroidTask-v0", num_envs=2, workers=0, screen=(56, 28))
    assert ended.stdout.strip() == repr(list(alone.reset(seed=3)[0]["instruction"]))


def test_workers_are_as_many_as_help(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(4), raising=False)
    phones = [EnvSpec()] * 8
    assert (workers_for(phones), workers_for(phones[:3]), workers_for(phones[:1])) == (4, 3, 0)
    assert workers_for([EnvSpec(device="adb:A"), EnvSpec(device="adb:B")]) == 2
    assert workers_for([EnvSpec(judge=WifiJudge())] * 8) == workers_for([EnvSpec(suite=(WifiOff(),))] * 8) == 0
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(1), raising=False)
    assert workers_for(phones) == 0


# --- actions and errors ---


def test_actions_are_typed_or_samples_alone_or_in_a_batch():
    env = make(suite="starter", max_steps=9)
    env.reset(seed=0)
    results = env.step([Tap(0.5, 0.5), InvalidAction("what?"), to_sample(PressKey("home"))])
    assert results[4]["invalid_action"].tolist() == ["", "what?", ""]
    with pytest.raises(ValueError, match="got 2 actions for 3 phones"):
        env.step([Finish()] * 2)
    with pytest.raises(ActionError, match="x: got 7"):
        env.step([Tap(7, 0), Finish(), Finish()])
    assert not env.step([Tap(0.5, 0.5)] * 3)[2].any()  # the invalid one performed nothing


def test_configs_may_be_dicts():
    one, other = make(device_config={"wallpaper": 3}), make(device_config=DeviceConfig(wallpaper=3), workers=1)
    assert_same(one.reset(seed=0)[0], other.reset(seed=0)[0])
    assert not np.array_equal(one.reset(seed=0)[0]["screenshot"], make().reset(seed=0)[0]["screenshot"])


def test_options_choose_the_task_and_seeds_repeat():
    env = make(suite="starter")
    observation, infos = env.reset(seed=[1, 2, None], options={"task": "settings.toggle", "instance": 3})
    assert set(infos["task_id"]) == {"settings.toggle/train/3"}
    assert len(set(observation["instruction"])) == 1 and infos["instruction"][0] == observation["instruction"][0]
    assert_same(env.reset(seed=9)[0], env.reset(seed=[9, 10, 11])[0])
    with pytest.raises(ValueError, match="got 2 seeds for 3 phones"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="seed: got -1"):
        env.reset(seed=[1, 2, -1])
    assert_same(env.reset(seed=np.int64(9))[0], env.reset(seed=list(np.arange(9, 12)))[0])
    with pytest.raises(UnknownNameError, match="tsk"):
        env.reset(options={"tsk": "settings.toggle"})
    with pytest.raises(UnknownNameError, match=r"did you mean 'settings\.toggle'"):
        env.reset(options={"task": "settings.togle"})


def test_wrong_arguments_are_explained():
    with pytest.raises(ValueError, match=r"got 1 devices \('adb:A'\) for num_envs=3: name one per phone"):
        make(device="adb:A")
    with pytest.raises(UnknownNameError, match="autoreset_mode 'Sometimes'"):
        make(autoreset_mode="Sometimes")
    with pytest.raises(UnknownNameError, match="human"):
        make(render_mode="human")
    with pytest.raises(UnknownNameError, match="did you mean 'general'"):  # before any worker is started
        make(suite="genral", workers=2)
    with pytest.raises(ValueError, match="screen: got"):
        make(screen=(0, 3), workers=2)
    with pytest.raises(ValueError, match="num_envs: got 0"):
        PhoneVectorEnv(0)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_device_that_fails_is_no_reward_and_one_that_cannot_start_an_error(mode, monkeypatch):
    phones = [FakePhone(), FakePhone()]
    given = iter([FakePhone(), *phones])  # the first is made to check the arguments
    monkeypatch.setattr(EnvSpec, "make", lambda spec: make_env(next(given), screen=(56, 28)))
    env = PhoneVectorEnv(2, screen=(56, 28), autoreset_mode=mode, workers=0)
    fails = [DeviceFailure("lost", "gone")]
    phones[1].faults["reset"] = fails * 4  # more than one environment's own attempts
    env.reset()
    phones[1].faults["perform"] = list(fails)
    _, rewards, terminated, truncated, infos = env.step([WIN, WIN])
    assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([1.0, 0.0], [True, False], [False, True])
    told = infos if mode == "NextStep" else infos["final_info"]
    assert told["failure"]["kind"].tolist() == ["", "lost"] and told["reward_valid"].tolist() == [True, False]
    phones[1].faults["reset"] = fails * 99
    with pytest.raises(ResetError, match=r"phone 1: .*gone"):
        env.reset()


def test_render_shows_what_was_observed():
    env = make(render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match="before the first reset"):
        env.render()
    observation, _ = env.reset(seed=0)
    assert np.array_equal(np.stack(env.render()), observation["screenshot"])
    assert make().render() is None


# --- Gymnasium's classes and wrappers ---


@pytest.mark.parametrize("arguments", [{}, {"copy": False}, {"context": "spawn"}, {"shared_memory": False}])
def test_gymnasiums_asynchronous_vector_shows_the_instructions(arguments):
    expected, env = gymnasiums("NextStep"), gymnasiums("NextStep", "async", **arguments)
    try:
        wanted, got = expected.reset(seed=2)[0], env.reset(seed=2)[0]
        for actions in [*batches(5), None]:
            assert tuple(got["instruction"]) == wanted["instruction"] and all(wanted["instruction"])
            if actions is not None:
                wanted, got = expected.step(actions)[0], env.step(actions)[0]
    finally:
        env.close()


def test_wrappers_for_vectors_work():
    env = vector_wrappers.DictInfoToList(vector_wrappers.RecordEpisodeStatistics(make()))
    env.reset(seed=0)
    infos = [info for actions in batches(4) for info in env.step(actions)[4] if "episode" in info]
    assert len(infos) == COUNT and {info["episode"]["l"] for info in infos} <= {1, 2, 3}
    assert all(info["verdict"]["judged"] for info in infos)


def test_conversions_to_torch_leave_texts_as_they_are():
    env = vector_wrappers.NumpyToTorch(make(autoreset_mode="SameStep", max_steps=1))
    observation, infos = env.reset(seed=0)
    assert observation["screenshot"].dtype == torch.uint8 and isinstance(infos["is_success"], torch.Tensor)
    assert observation["instruction"] == tuple(infos["instruction"])
    _, rewards, terminated, _, infos = env.step(env.action_space.sample())
    assert isinstance(rewards, torch.Tensor) and terminated.all() and infos["final_info"]["split"][0] == "train"


def test_samples_are_the_same_in_every_process():
    code = (
        "import gymnasium, android_env_gym.actions as a; s = a.make_action_space(seed=3); "
        "print(ascii([s.sample()['text'] for _ in range(3)]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
