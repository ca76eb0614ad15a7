"""Wrappers: stock Stable-Baselines3 on the environment, frame history."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gym_fakes import STRAY, WIN, make_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

import android_env_gym  # noqa: F401 (registers the environment)
from android_env_gym.actions import Finish, InvalidAction, LongPress, PressKey, Swipe, Tap, TypeText
from android_env_gym.wrappers import SB3_KINDS, FrameHistory, SB3Compatible, text_features


def test_sb3s_checker_passes_and_stock_ppo_trains():
    env = SB3Compatible(gym.make("AndroidTask-v0", suite="general", screen=(112, 56), max_steps=5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    model = PPO("MultiInputPolicy", env, n_steps=16, batch_size=8, n_epochs=1, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(32)
    assert model.num_timesteps == 32
    assert any(not (old == new).all() for old, new in zip(before, model.policy.parameters(), strict=True))
    action, _ = model.predict(env.reset(seed=1)[0], deterministic=True)
    assert env.action_space.contains(action)


def number(kind, column=0, row=0, direction=0, word=0):
    return np.array([SB3_KINDS.index(kind), column, row, direction, word])


def test_numbers_become_typed_actions():
    env = SB3Compatible(make_env(screen=(112, 56)))
    env.reset(options={"instance": 7})
    assert env.typed(number("tap", 1, 31)) == Tap(1.5 / 16, 31.5 / 32)
    assert env.typed(number("long_press")) == LongPress(0.5 / 16, 0.5 / 32)
    assert env.typed(number("swipe", 8, 24, 0)) == Swipe(8.5 / 16, 24.5 / 32, 8.5 / 16, 24.5 / 32 - 0.5)
    assert env.typed(number("swipe", 0, 0, 2)) == Swipe(0.5 / 16, 0.5 / 32, 0.0, 0.5 / 32)
    assert env.typed(number("type", word=2)) == TypeText("off")
    assert env.typed(number("type", word=15)) == InvalidAction("word 15 of the instruction, which has 5")
    assert env.typed(number("back")) == PressKey("back")
    assert env.typed(number("infeasible")) == Finish("infeasible")
    observation, reward, terminated, truncated, _ = env.step(number("finish"))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert observation in env.observation_space


def test_instruction_features_tell_instructions_apart():
    one, other = text_features("Turn Wi-Fi on"), text_features("Turn Wi-Fi off")
    assert one.dtype == np.float32 and set(np.unique(one)) == {0.0, 1.0}
    assert (one != other).any() and (text_features("turn WI-FI on") == one).all()


def test_frame_history_stacks_the_newest_last():
    env = FrameHistory(make_env(screen=(60, 27)), frames=3)
    first, _ = env.reset(seed=0)
    assert first in env.observation_space
    assert first["screenshot"].shape == (3, 60, 27, 3) and (first["screenshot"] == 170).all()
    env.step(STRAY)
    second = env.step(WIN)[0]["screenshot"]
    assert [int(frame[0, 0, 0]) for frame in second] == [170, 150, 100]
    assert (env.reset()[0]["screenshot"] == 170).all()
    assert (first["screenshot"] == 170).all()


def test_wrong_wrapping_is_refused():
    with pytest.raises(ValueError, match="SB3Compatible wraps AndroidTask-v0, got the observation space Box"):
        SB3Compatible(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="frames: got 0"):
        FrameHistory(make_env(), frames=0)
